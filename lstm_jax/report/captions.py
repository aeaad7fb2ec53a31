"""What stands for a picture where it is not seen, and what stands below it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lstm_jax.measures import (
    calibration,
    calibration_error,
    chances,
    precision_recall,
    predicted,
    roc,
)
from lstm_jax.plots import Findings
from lstm_jax.plots.calibration import NUM_BINS
from lstm_jax.plots.judged import Judged
from lstm_jax.plots.ranking import curves
from lstm_jax.plots.words import FEWEST_TO_NAME, extremes
from lstm_jax.report.page import figure

Words = tuple[str, str]  # the two of them


def picture(path: Path, found: Findings) -> str:
    """A picture, inside the page, with its words."""
    return figure(path.read_bytes(), *_WORDS[path.stem](found))


def _curve(what: str) -> Callable[[Findings], Words]:
    def words(found: Findings) -> Words:
        """What is said of the curve of one measure."""
        best, summary = found.summary["val"][what], found.summary
        shown = f"{best:.2%}" if what == "accuracy" else f"{best:.4f}"
        alt = (
            f"Line chart: {what} of training and validation over "
            f"{summary['epochs_run']} epochs; at the best epoch, "
            f"{summary['best_epoch']}, validation is at {shown}."
        )
        caption = (
            "Training: the mean since the last point, while the weights move and with "
            "dropout, if any. Validation: after each epoch, without dropout."
        )
        return alt, caption

    return words


def _learning_rate(found: Findings) -> Words:
    alt = "Line chart: the learning rate over epochs."
    return alt, "The learning rate at each logged step."


def _confusion(found: Findings) -> Words:
    judged = _judged(found)
    right = (predicted(judged.logits) == judged.labels).sum()
    alt = (
        f"Matrix of true and predicted classes: {right:,} of {judged.title} are right."
    )
    return alt, "Rows: the true class. Shares are of the reviews of that class."


def _roc(found: Findings) -> Words:
    areas = _areas(_judged(found), roc)
    alt = f"ROC curve: {areas}."
    caption = (
        "Each point is a threshold: the share of the class that is found, over the "
        "share of the others that is taken for it. An area of 1 is perfect, 0.5 chance."
    )
    return alt, caption


def _precision_recall(found: Findings) -> Words:
    alt = f"Precision-recall curve: {_areas(_judged(found), precision_recall)}."
    caption = (
        "Precision: the share of those taken for the class that are of it. Recall: the "
        "share of the class that is found."
    )
    return alt, caption


def _areas(judged: Judged, curve: Callable) -> str:
    """The area below the curve of each class that is drawn."""
    areas = [
        f"area {line.area:.4f} for {judged.label_names[n]!r}"
        for n, line in curves(judged, curve).items()
    ]
    return ", ".join(areas) or "none, as all reviews are of one class"


def _calibration(found: Findings) -> Words:
    judged = _judged(found)
    bins = calibration(*chances(judged.logits, judged.labels), NUM_BINS)
    error = calibration_error(bins)
    alt = (
        "Reliability diagram: observed share over predicted probability in "
        f"{len(bins.count)} bins; expected calibration error {error:.3f}."
    )
    caption = (
        "On the dotted line, what is said to be likely is as often true. The error is "
        "the mean distance from it, weighted by reviews; the bars are 95 % intervals."
    )
    return alt, caption


def _lengths(found: Findings) -> Words:
    judged = _judged(found)
    middle = np.median(judged.lengths)
    right = predicted(judged.logits) == judged.labels
    longer = judged.lengths > middle
    alt = (
        f"Accuracy over length: {_mean(right[~longer])} up to {middle:.0f} tokens, "
        f"{_mean(right[longer])} above."
    )
    return alt, "Tokens are counted before long reviews are cut."


def _mean(right: np.ndarray) -> str:
    return f"{right.mean():.1%}" if len(right) else "no review"


def _words(found: Findings) -> Words:
    words = found.words
    assert words is not None
    named = extremes(words)
    best = [words.names[n] for n in named if words.sentiments[n] > 0][:5]
    worst = [words.names[n] for n in named if words.sentiments[n] <= 0][:5]
    alt = (
        f"Scatter chart of {len(words.names):,} words. Strongest for "
        f"{found.label_names[1]!r}: {', '.join(best)}. Strongest for "
        f"{found.label_names[0]!r}: {', '.join(worst)}."
    )
    caption = (
        "A word's sentiment, as the model has learned it: the log-odds of "
        f"{found.label_names[1]!r} for a review of this word alone. A word that occurs "
        f"fewer than {FEWEST_TO_NAME} times is drawn, but not named."
    )
    return alt, caption


def _gates(found: Findings) -> Words:
    assert found.explanations is not None
    short = found.explanations.short
    alt = (
        f"Heat maps of {', '.join(short.gates)} in the first layer, word by word, over "
        f"the review: {' '.join(short.words)}"
    )
    caption = (
        "The shortest validation review with at least 20 tokens (the longest, where "
        "all have fewer). Above: what the whole model says of the review up to each "
        "word. Units are sorted by their hidden state at the last word."
    )
    return alt, caption


def _judged(found: Findings) -> Judged:
    assert found.judged is not None
    return found.judged


_WORDS = {
    "loss": _curve("loss"),
    "accuracy": _curve("accuracy"),
    "learning_rate": _learning_rate,
    "confusion": _confusion,
    "roc": _roc,
    "precision_recall": _precision_recall,
    "calibration": _calibration,
    "lengths": _lengths,
    "words": _words,
    "gates": _gates,
}
