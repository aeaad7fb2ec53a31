"""The commands of the learning curve, and what it makes of their summaries."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

# Below its folder, as for the script itself.
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    learning_curve = importlib.import_module("learning_curve")

WORDS = learning_curve.Point("lstm_words", 300, 2)
TUNED = learning_curve.Point("finetune", 0, 1)


def test_the_commands_are_those_of_a_user():
    assert learning_curve.command(WORDS, Path("/a/b"), "lm")[1:] == [
        *("train.py", "--config", "configs/lstm_words.py", "--workdir=/a/b"),
        *("--config.seed=2", "--config.data.num_labelled=300"),
        "--config.train.epochs=30",
    ]
    words = learning_curve.command(TUNED, Path("/a/b"), "/runs/lm")
    assert words[-2:] == [
        "--config.train.epochs=2",
        "--config.model.pretrained=/runs/lm",
    ]
    assert words[0] == sys.executable


@pytest.fixture
def summaries(monkeypatch):
    """Runs that leave a summary and train nothing."""
    commands = []

    def run(words, **how):
        commands.append(words)
        folder = Path(words[4].partition("=")[2])
        folder.mkdir(parents=True, exist_ok=True)
        summary = {
            "counts": {"train": 22_495},
            "best_epoch": 2,
            "val": {"accuracy": 0.9},
            "test": {"accuracy": 0.91},
            "seconds": {"train": 12.5},
        }
        (folder / "summary.json").write_text(json.dumps(summary))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(learning_curve.rows.subprocess, "run", run)
    return commands


def test_a_row_has_the_number_of_reviews_that_were_learned_from(summaries, tmp_path):
    flags = ["--config.data.validation_groups=movies.txt"]
    for _ in range(2):  # the second time it is there
        row = learning_curve.measure(TUNED, tmp_path / TUNED.name, "runs/lm", flags)
    assert len(summaries) == 2
    assert summaries[0][-1:] == flags and TUNED.name == "finetune-all-1"
    assert row == {
        "config": "finetune",
        "num_labelled": 22_495,
        "seed": 1,
        "best_epoch": 2,
        "val_accuracy": 0.9,
        "test_accuracy": 0.91,
        "train_seconds": 12.5,
    }


def test_a_run_that_fails_ends_all(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 2)
    monkeypatch.setattr(learning_curve.rows.subprocess, "run", lambda *a, **k: failed)
    (tmp_path / "summary.json").write_text("{}")  # of other settings, for all we know
    with pytest.raises(SystemExit) as stopped:
        learning_curve.measure(WORDS, tmp_path, "lm", [])
    assert stopped.value.code == 2


def test_a_row_joins_those_of_other_seeds(monkeypatch, tmp_path):
    monkeypatch.setattr(learning_curve, "OUTPUT", tmp_path / "new" / "curve.json")
    for point, row in ((WORDS, {"a": 1}), (TUNED, {"b": 2}), (WORDS, {"c": 3})):
        learning_curve.rows.keep(learning_curve.OUTPUT, point.name, row)
    found = learning_curve.rows.read(learning_curve.OUTPUT)
    assert found == {WORDS.name: {"c": 3}, TUNED.name: {"b": 2}}


def test_the_table_has_the_means_over_seeds():
    points = [
        {"config": config, "num_labelled": count, "test_accuracy": score}
        for config, count, score in (
            *(("finetune", 1000, 0.8), ("finetune", 1000, 0.9)),
            *(("lstm_words", 1000, 0.7), ("lstm_words", 100, 0.55)),
            *(("finetune", 100, 0.65), ("lstm_words", 300, 0.6)),
            ("linear", 100, 0.62),
        )
    ]
    assert learning_curve.make_table(points).splitlines()[1:] == [
        "|---|---|---|---|",
        "| 100 | 65.00% | 55.00% | 62.00% |",
        "| 300 |  | 60.00% |  |",
        "| 1,000 | 85.00% | 70.00% |  |",
    ]


def test_the_picture_has_the_means_over_seeds(tmp_path):
    rows = [
        {"config": config, "num_labelled": count, "test_accuracy": accuracy}
        for config, count, accuracy in (
            *(("finetune", 1000, 0.8), ("finetune", 100, 0.7)),
            *(("finetune", 1000, 0.9), ("lstm_words", 100, 0.5)),
        )
    ]
    figure = learning_curve.draw(rows)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    tuned = lines["begins as a language model"].get_xydata().tolist()
    assert tuned == [[100, 70], pytest.approx([1000, 85])]
    assert lines["begins with nothing"].get_xydata().tolist() == [[100, 50]]
    learning_curve.save(figure, tmp_path / "new" / "curve.png")
    assert (tmp_path / "new" / "curve.png").stat().st_size > 10_000


@pytest.mark.parametrize("config", learning_curve.EPOCHS)
def test_all_labels_get_the_epochs_of_the_config(config):
    settings = importlib.import_module(f"configs.{config}").get_config()
    assert learning_curve.EPOCHS[config][0] == settings.train.epochs
