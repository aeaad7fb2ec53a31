"""The pictures of predictions and explanations, from made-up ones."""

import itertools
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from runs import NOTICE, make_findings

from lstm_jax.measures import (
    calibration,
    calibration_error,
    chances,
    confusion,
    log_odds,
    precision_recall,
    predicted,
    roc,
)
from lstm_jax.plots import (
    draw_calibration,
    draw_confusion,
    draw_findings,
    draw_gates,
    draw_lengths,
    draw_precision_recall,
    draw_roc,
    draw_words,
)
from lstm_jax.plots.style import names_of
from lstm_jax.plots.words import FEWEST_TO_NAME, choose_words, extremes

JUDGED = [
    draw_confusion,
    draw_roc,
    draw_precision_recall,
    draw_calibration,
    draw_lengths,
]
ALL_CLASSES = [2, 3, 12]


def words_of(figure):
    """All that is written in a picture."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    texts = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return [t.get_text() for t in texts if t.get_visible() and t.get_text()]


def draw_all(found):
    """Every picture of explanations and of predictions."""
    figures = [draw(found.judged, found.summary) for draw in JUDGED]
    if found.words is not None:
        figures.append(draw_words(found.words, found.summary, found.label_names))
    short = found.explanations.short
    return [*figures, draw_gates(short, found.summary, found.label_names)]


@pytest.mark.parametrize("num_classes", ALL_CLASSES)
def test_everything_written_is_inside_the_picture(num_classes):
    for figure in draw_all(make_findings(num_classes, notice=NOTICE)):
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        name = words_of(figure)[:3]
        assert box.x0 >= -0.02 and box.x1 <= width + 0.02, name
        assert box.y0 >= -0.02 and box.y1 <= height + 0.02, name


@pytest.mark.parametrize("draw", JUDGED)
def test_the_title_says_which_reviews_and_which_run(draw):
    found = make_findings(2, notice=NOTICE)
    texts = " ".join(words_of(draw(found.judged, found.summary)))
    assert "400 test reviews" in texts
    assert "lstm on imdb_reviews" in texts.replace("\n", " ") and NOTICE in texts
    found = make_findings(2, test=False)
    texts = " ".join(words_of(draw(found.judged, found.summary)))
    assert "300 validation reviews" in texts and "test" not in texts


@pytest.mark.parametrize("num_classes", ALL_CLASSES)
def test_confusion_shows_each_count(num_classes):
    found = make_findings(num_classes)
    judged = found.judged
    counts = confusion(judged.labels, predicted(judged.logits), num_classes)
    texts = words_of(draw_confusion(judged, found.summary))
    cells = [text for text in texts if "%" in text and "\n" in text]
    if num_classes > 10:
        assert cells == []
        return
    found = [int(cell.split("\n")[0]) for cell in cells]
    assert sorted(found) == sorted(counts.flatten())


@pytest.mark.parametrize("num_classes", ALL_CLASSES)
@pytest.mark.parametrize(
    ("draw", "measure"), [(draw_roc, roc), (draw_precision_recall, precision_recall)]
)
def test_curves_are_those_of_each_class(num_classes, draw, measure):
    found = make_findings(num_classes)
    judged, axes = found.judged, draw(found.judged, found.summary).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    classes = [1] if num_classes == 2 else range(num_classes)
    for label in classes:
        curve = measure(judged.labels == label, log_odds(judged.logits, label))
        (name,) = [n for n in lines if n.startswith(f"{judged.label_names[label]}:")]
        assert name.endswith(f"{curve.area:.4f}")
        np.testing.assert_allclose(lines[name].get_ydata(), 100 * curve.y)
    # Two lines of one colour have different dashes.
    looks = [(line.get_color(), line.get_linestyle()) for line in lines.values()]
    assert len(set(looks)) == len(looks)


def test_calibration_says_its_error_and_counts_all_reviews():
    found = make_findings(2)
    judged = found.judged
    figure = draw_calibration(judged, found.summary)
    bins = calibration(*chances(judged.logits, judged.labels), 10)
    assert f"{100 * calibration_error(bins):.1f} percentage" in figure.get_supxlabel()
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 400


def test_lengths_mark_where_reviews_are_cut():
    found = make_findings(2)
    texts = words_of(draw_lengths(found.judged, found.summary))
    assert "cut to 100 from here on" in texts
    uncut = found.judged._replace(max_length=5000)
    assert not any("cut" in t for t in words_of(draw_lengths(uncut, found.summary)))


def test_the_named_words_are_the_extreme_ones_and_do_not_overlap():
    found = make_findings(2)
    words = found.words
    common = words.counts >= FEWEST_TO_NAME
    named = extremes(words)
    assert all(common[n] for n in named)
    order = np.argsort(np.where(common, words.sentiments, 0))
    assert set(named) == {*order[:12].tolist(), *order[-12:].tolist()}
    figure = draw_words(words, found.summary, found.label_names)
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    texts = [t for t in figure.axes[0].texts if t.get_text() in words.names]
    assert sorted(t.get_text() for t in texts) == sorted(words.names[n] for n in named)
    boxes = [t.get_bbox_patch() or t for t in texts]
    boxes = [super(type(t), t).get_window_extent() for t in texts]
    inside = figure.axes[0].get_window_extent()
    assert all(box.x0 > inside.x1 for box in boxes)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_positive_and_negative_words_differ_in_colour_and_marker():
    found = make_findings(2)
    axes = draw_words(found.words, found.summary, found.label_names).axes[0]
    positive, negative = axes.collections
    assert (positive.get_offsets()[:, 1] > 0).all()
    assert (negative.get_offsets()[:, 1] <= 0).all()
    total = len(positive.get_offsets()) + len(negative.get_offsets())
    assert total == len(found.words.names)
    assert (positive.get_facecolor() != negative.get_facecolor()).any()
    shapes = [c.get_paths()[0].vertices for c in (positive, negative)]
    assert (shapes[0] != shapes[1]).any()


def test_a_word_that_is_none_or_never_stands_there_is_no_word():
    names = ["[PAD]", "[UNK]", "\n", ",", "don't", "10", "never"]
    counts = np.array([5, 5, 5, 5, 5, 5, 0])
    words = choose_words(names, counts, np.ones((7, 1), np.float32))
    assert words.names == ["don't", "10"]
    assert choose_words(names, counts, np.ones((7, 3), np.float32)) is None


@pytest.mark.parametrize("letters", ["ifgoch", "rznh", "h"])
def test_gates_are_drawn_below_the_running_probability(letters):
    found = make_findings(2)
    short = found.explanations.short
    values = np.tanh(np.random.default_rng(0).normal(size=(len(short.words), 5)))
    short = short._replace(gates={letter: values for letter in letters})
    figure = draw_gates(short, found.summary, found.label_names)
    maps = [image for axes in figure.axes for image in axes.images]
    assert len(maps) == len(set(letters) - {"g"})
    order = np.argsort(values[-1], kind="stable")
    for image in maps:
        np.testing.assert_array_equal(image.get_array(), values[:, order].T)
    (line, _) = figure.axes[0].get_lines()
    expected = 100 / (1 + np.exp(-short.logits[:, 0].astype(float)))
    np.testing.assert_allclose(line.get_ydata(), expected)
    ticks = [t.get_text() for axes in figure.axes for t in axes.get_xticklabels()]
    assert [t for t in ticks if t in short.words][-len(short.words) :] == short.words
    assert any("First layer over" in text for text in words_of(figure))


def test_units_of_gates_are_all_drawn_where_fewer_come_out():
    """As of a cell with a projection."""
    found = make_findings(2)
    short = found.explanations.short
    values = np.tanh(np.random.default_rng(0).normal(size=(len(short.words), 6)))
    short = short._replace(gates={"i": values, "c": values, "h": values[:, :3]})
    figure = draw_gates(short, found.summary, found.label_names)
    i, _, h = [image for axes in figure.axes for image in axes.images]
    np.testing.assert_array_equal(i.get_array(), values.T)
    order = np.argsort(values[-1, :3], kind="stable")
    np.testing.assert_array_equal(h.get_array(), values[:, order].T)


@pytest.mark.parametrize(("highest", "top"), [(0.5, 1.0), (3.0, 3.0)])
def test_the_colours_of_a_state_end_at_one_or_where_it_goes_beyond(highest, top):
    """As of a cell with a projection, or a ReLU."""
    found = make_findings(2)
    short = found.explanations.short
    values = np.random.default_rng(0).uniform(-0.5, 0.5, size=(len(short.words), 5))
    values[1, 2] = highest
    gates = {"i": np.abs(values).clip(0, 1), "c": 0 * values, "h": values}
    figure = draw_gates(short._replace(gates=gates), found.summary, found.label_names)
    i, c, h = [image for axes in figure.axes for image in axes.images]
    assert i.get_clim() == (0, 1)
    assert c.get_clim() == (-1, 1)
    assert h.get_clim() == (-top, top)


def test_without_a_word_no_gates_are_drawn(tmp_path):
    found = make_findings(2)
    explanations = found.explanations
    short = explanations.short._replace(words=[])
    bare = found._replace(explanations=explanations._replace(short=short))
    drawn = {path.name for path in draw_findings(found, tmp_path)}
    assert drawn - {path.name for path in draw_findings(bare, tmp_path / "bare")} == {
        "gates.png"
    }


@pytest.mark.parametrize("num_classes", [2, 3])
def test_names_that_begin_with_an_underscore_are_in_the_legends(num_classes):
    names = [f"__label__{n}" for n in range(num_classes)]
    found = make_findings(num_classes, label_names=names)
    shown = names_of({"label_names": names}, num_classes)
    for draw in (draw_roc, draw_precision_recall):
        written = "\n".join(words_of(draw(found.judged, found.summary)))
        assert all(f" {name}: " in written for name in shown[1:])
    if num_classes > 2:
        short = found.explanations.short
        written = words_of(draw_gates(short, found.summary, shown))
        assert {f" {name}" for name in shown} <= set(written)


def test_of_many_classes_the_likeliest_are_drawn_while_it_is_read():
    found = make_findings(12)
    short, rng = found.explanations.short, np.random.default_rng(3)
    logits = rng.normal(size=(len(short.words), 12)).astype(np.float32)
    logits[-1] = rng.permutation(12)
    short = short._replace(logits=logits)
    names = [f"class {n}" for n in range(12)]
    axes = draw_gates(short, found.summary, names).axes[0]
    drawn = {text.get_text() for text in axes.get_legend().get_texts()}
    assert drawn == {f"class {n}" for n in np.argsort(logits[-1])[6:]}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("letter", ["x", "\u597d"])
def test_a_long_word_takes_the_room_of_a_short_one(letter):
    """A text in a script without spaces, or a link."""
    found = make_findings(2)
    short, words = found.explanations.short, found.words
    long = short._replace(words=[letter * 600, *short.words[1:]])
    named = set(extremes(words))
    words = words._replace(
        names=[letter * 600 if n in named else x for n, x in enumerate(words.names)]
    )
    if not letter.isascii():  # the font has no such letters
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
    gates = draw_gates(long, found.summary, found.label_names)
    usual = draw_gates(short, found.summary, found.label_names)
    figures = [gates, usual, draw_words(words, found.summary, found.label_names)]
    assert all(max(map(len, words_of(figure))) < 200 for figure in figures)
    heights = [figure.axes[0].get_position().height for figure in (gates, usual)]
    assert heights[0] > 0.5 * heights[1]


def test_names_of_many_classes_do_not_overlap():
    found = make_findings(77)
    figure = draw_confusion(found.judged, found.summary)
    words_of(figure)
    labels = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    assert 10 <= len(labels) <= 20
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(labels))
    assert figure.axes[0].images[0].get_array().shape == (77, 77)


@pytest.mark.parametrize("draw", [draw_roc, draw_precision_recall])
def test_what_is_left_out_of_the_curves_is_told(draw):
    many, few = (
        words_of(draw(found.judged, found.summary))
        for found in (make_findings(77), make_findings(12))
    )
    assert "The most frequent 12 of 77 classes." in many
    assert not any("most frequent" in text for text in few)


@pytest.mark.parametrize(
    ("draw", "label"), [(draw_roc, 0), (draw_roc, 1), (draw_precision_recall, 0)]
)
def test_without_a_class_there_is_no_curve_and_a_note(draw, label):
    found = make_findings(2)
    judged = found.judged._replace(labels=np.full_like(found.judged.labels, label))
    assert "No curve: all reviews are of one class." in words_of(
        draw(judged, found.summary)
    )


@pytest.mark.parametrize("names", [["$x", "y$_{"], ["$", "$$"], ["$", "$$", "$$$"]])
def test_dollars_in_names_are_no_formula(names):
    found = make_findings(len(names), label_names=names, config_name="$\\bad{$")
    for figure in draw_all(found):
        figure.draw_without_rendering()


@pytest.mark.parametrize(
    "names",
    [
        ["somewhat negative", "somewhat positive"],
        ["comp.os.ms-windows.misc", "comp.sys.mac.hardware", "comp.sys.ibm.hardware"],
        ["x" * 100 + "a" + "y" * 100, "x" * 100 + "b" + "y" * 100],
    ],
)
def test_shortened_names_stay_different(names):
    short = names_of({"label_names": names}, len(names))
    assert len(set(short)) == len(names)
    for name, part in zip(names, short, strict=True):
        assert name.startswith(part[:8]) and len(part) <= 18
