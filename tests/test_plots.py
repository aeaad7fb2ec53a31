import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

import lstm_jax.plots
from lstm_jax.errors import UserError
from lstm_jax.plots import (
    draw_accuracy,
    draw_learning_rate,
    draw_loss,
    steps_per_epoch,
    write_plots,
)

NOTICE = "synthetic reviews, not IMDB"
NAMES = ["loss.png", "accuracy.png", "learning_rate.png"]
DRAWINGS = [draw_loss, draw_accuracy, draw_learning_rate]


def make_metrics(epochs=6, steps=40, log_every=10, test=True):
    """Lines such as a run writes: a falling loss, then one that rises."""
    rng = np.random.default_rng(0)
    lines = []
    for step in range(1, epochs * steps + 1):
        epoch = math.ceil(step / steps)
        place = {"step": step, "epoch": epoch}
        if step % log_every == 0 or step % steps == 0:
            loss = 0.7 * math.exp(-step / steps) + 0.02 * rng.random()
            scores = {"loss": loss, "accuracy": 1 - loss / 2, "learning_rate": 1 / step}
            lines.append({"split": "train", **place, **scores})
        if step % steps == 0:
            loss = 0.3 + 0.02 * (epoch - 4) ** 2
            lines.append({"split": "val", **place, "loss": loss, "accuracy": 1 - loss})
    if test:
        place = {"step": epochs * steps, "epoch": min(4, epochs)}
        lines.append({"split": "test", **place, "loss": 0.3456, "accuracy": 0.8765})
    return lines


def make_summary(**changes):
    return {
        "config_name": "lstm",
        "dataset": "imdb_reviews",
        "notice": "",
        "best_epoch": 4,
        "test": {"loss": 0.3456, "accuracy": 0.8765, "count": 25_000},
        **changes,
    }


@pytest.fixture
def make_run(tmp_path):
    """Writes the files of a finished run, and says where."""

    def make(metrics, summary):
        lines = "".join(json.dumps(line) + "\n" for line in metrics)
        (tmp_path / "metrics.jsonl").write_text(lines, encoding="utf-8")
        (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        return tmp_path

    return make


def line_of(figure: Figure, label: str):
    """The x and y values of the line whose label begins with ``label``."""
    (line,) = [x for x in figure.axes[0].get_lines() if x.get_label().startswith(label)]
    return list(line.get_xdata()), list(line.get_ydata())


def legend_of(figure: Figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_writes_three_pictures_of_twice_the_width_of_a_readme(make_run):
    folder = make_run(make_metrics(), make_summary())
    files = write_plots(folder)
    assert files == [folder / "plots" / name for name in NAMES]
    for file in files:
        height, width = imread(file).shape[:2]
        assert 1500 <= width <= 2000 and 800 <= height <= 1200
        assert 10_000 < file.stat().st_size < 400_000


def test_a_second_call_writes_the_same_pictures(make_run):
    folder = make_run(make_metrics(), make_summary())
    first = [file.read_bytes() for file in write_plots(folder)]
    assert [file.read_bytes() for file in write_plots(folder)] == first


@pytest.mark.parametrize(
    ("draw", "key"), [(draw_loss, "loss"), (draw_accuracy, "accuracy")]
)
def test_draws_each_split_over_epochs(draw, key):
    metrics = make_metrics()
    figure = draw(metrics, make_summary())
    val = [line for line in metrics if line["split"] == "val"]
    train = [line for line in metrics if line["split"] == "train"]
    assert line_of(figure, "validation") == (
        [1, 2, 3, 4, 5, 6],
        [line[key] for line in val],
    )
    x, y = line_of(figure, "training")
    np.testing.assert_allclose(x, np.arange(0.25, 6.01, 0.25))
    assert y == [line[key] for line in train]


def test_draws_the_learning_rate_of_the_training_steps():
    metrics = make_metrics()
    x, y = line_of(draw_learning_rate(metrics, make_summary()), "training")
    train = [line for line in metrics if line["split"] == "train"]
    assert x[-1] == 6.0
    assert y == [line["learning_rate"] for line in train]


def test_the_steps_of_an_epoch_are_read_off_validation():
    assert steps_per_epoch(make_metrics(epochs=3, steps=7)) == 7.0


@pytest.mark.parametrize("best", [1, 4, 6])
def test_the_ring_is_at_the_best_epoch_of_the_summary(best):
    """Even where another epoch is better: the summary says what was kept."""
    metrics = make_metrics()
    (val,) = [m for m in metrics if m["split"] == "val" and m["epoch"] == best]
    summary = make_summary(best_epoch=best)
    for draw, key in [(draw_loss, "loss"), (draw_accuracy, "accuracy")]:
        assert line_of(draw(metrics, summary), "best epoch") == ([best], [val[key]])


def test_the_legend_names_the_best_epoch_and_its_value():
    metrics, summary = make_metrics(), make_summary()
    names = ["training", "validation"]
    assert legend_of(draw_loss(metrics, summary)) == [*names, "best epoch, 4: 0.3000"]
    assert legend_of(draw_accuracy(metrics, summary))[2] == "best epoch, 4: 70.00%"


@pytest.mark.parametrize("draw", [draw_loss, draw_accuracy])
def test_the_legend_is_below_the_axes_and_in_the_picture(draw):
    figure = draw(make_metrics(), make_summary(notice=NOTICE * 5))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    box = axes.get_legend().get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
    assert box.y1 <= axes.xaxis.label.get_window_extent().y0


def test_test_is_a_note_and_no_line():
    figure = draw_accuracy(make_metrics(), make_summary())
    assert "accuracy 87.65% (25,000 reviews)" in figure.get_supxlabel()
    assert len(figure.axes[0].get_lines()) == 3
    assert "loss 0.3456" in draw_loss(make_metrics(), make_summary()).get_supxlabel()


def test_says_when_there_is_no_test_split():
    figure = draw_loss(make_metrics(test=False), make_summary(test=None))
    assert figure.get_supxlabel() == "There is no test split."


@pytest.mark.parametrize("sampled", [0, 2048])
def test_a_language_model_is_judged_by_words(sampled):
    summary = make_summary(test=None, perplexity=72.5, sampled_words=sampled)
    loss = draw_loss(make_metrics(test=False), summary)
    assert loss.axes[0].get_ylabel() == "Cross-entropy (nats per word)"
    assert loss.get_supxlabel() == ""
    accuracy = draw_accuracy(make_metrics(test=False), summary)
    assert accuracy.axes[0].get_ylabel() == "Accuracy (% of words)"
    told = {0: "training", 2048: "training (of 2,048 words and the right one)"}
    assert legend_of(loss)[0] == legend_of(accuracy)[0] == told[sampled]
    reviews = draw_loss(make_metrics(), make_summary())
    assert reviews.axes[0].get_ylabel() == "Cross-entropy (nats per review)"


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_title_holds_the_names_and_the_notice(draw):
    axes = draw(make_metrics(), make_summary(notice=NOTICE)).axes[0]
    assert axes.get_title().endswith("lstm on imdb_reviews\n" + NOTICE)
    assert axes.title.get_color() != "#000000"
    plain = draw(make_metrics(), make_summary()).axes[0]
    assert plain.get_title().endswith("lstm on imdb_reviews")
    assert plain.title.get_color() == "#000000"


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_axes_have_names_and_whole_epochs(draw):
    axes = draw(make_metrics(), make_summary()).axes[0]
    assert axes.get_xlabel() == "Epoch"
    assert axes.get_ylabel()
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


@pytest.mark.parametrize("draw", DRAWINGS)
def test_long_titles_stay_in_the_picture(draw):
    """Also with dollar signs, which are formulas to matplotlib."""
    name = "a_$rather_long_name$" * 6
    figure = draw(make_metrics(), make_summary(config_name=name, notice=NOTICE * 5))
    figure.draw_without_rendering()
    box = figure.axes[0].title.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


@pytest.mark.parametrize(
    "metrics",
    [
        make_metrics(epochs=1, steps=1, test=False),
        make_metrics(epochs=1, steps=3, log_every=50, test=False),
        [line for line in make_metrics(epochs=1) if line["split"] == "val"],
        make_metrics(epochs=200, steps=3, log_every=1),
    ],
    ids=["one step", "one training line", "no training line", "many epochs"],
)
def test_draws_unusual_runs(make_run, metrics):
    folder = make_run(metrics, make_summary(best_epoch=1, test=None))
    assert all(imread(file).std() > 0.01 for file in write_plots(folder))


def test_a_single_training_line_is_seen():
    metrics = make_metrics(epochs=1, steps=3, log_every=50)
    figure = draw_loss(metrics, make_summary(best_epoch=1))
    line = figure.axes[0].get_lines()[0]
    assert len(line.get_xdata()) == 1
    assert line.get_marker() == "."


def test_a_torn_last_line_is_left_out(make_run):
    folder = make_run(make_metrics(), make_summary())
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"split": "tra')
    assert len(write_plots(folder)) == 3


def test_refuses_a_run_that_is_not_finished(make_run, tmp_path):
    with pytest.raises(UserError, match="expected a finished run"):
        write_plots(tmp_path)
    folder = make_run([], make_summary())
    with pytest.raises(
        UserError, match="metrics.jsonl: expected a line for each epoch"
    ):
        write_plots(folder)


def test_leaves_the_global_state_of_matplotlib_alone():
    sources = Path(lstm_jax.plots.__file__).parent.glob("*.py")
    assert not [path for path in sources if "pyplot" in path.read_text()]
