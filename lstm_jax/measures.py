"""What logits say of the reviews of a split: measures in NumPy, of any classes.

Logits are ``[N, K]``; one logit (K = 1) is the log-odds of class 1 of two.  The
functions take them as they are and work with ``scores``, which are ``[N, C]`` for C
classes, two or more.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Curve(NamedTuple):
    """A curve over all thresholds, and the area below it."""

    x: np.ndarray
    y: np.ndarray
    area: float


class Bins(NamedTuple):
    """Reviews in bins; the bins that hold none are left out.

    Attributes:
      count: int ``[G]``, reviews in each.
      mean: what the bins are of, on average in each.
      share: of the reviews in each that turned out true.
    """

    count: np.ndarray
    mean: np.ndarray
    share: np.ndarray


def scores(logits: np.ndarray) -> np.ndarray:
    """One number a class, ``[N, C]``: the other class of one logit gets a 0.

    >>> scores(np.array([[1.5]])).tolist()
    [[0.0, 1.5]]
    """
    if logits.shape[1] > 1:
        return logits
    return np.concatenate([np.zeros_like(logits), logits], axis=1)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The probability of each class, float64 ``[N, C]``.

    >>> probabilities(np.array([[0.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = scores(logits).astype(np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def averaged(several: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of the mean of the probabilities of several ``[N, K]``, K by itself each.

    Returns:
      Float64 ``[N, 1]`` of two classes, else ``[N, C]``. Finite also where the
      probabilities are 0 or 1 to rounding.

    >>> averaged([np.array([[0.0]]), np.array([[0.0, np.log(3)]])]).round(4).tolist()
    [[0.5108]]
    """
    wide = np.stack([scores(logits).astype(np.float64) for logits in several])
    logs = wide - np.logaddexp.reduce(wide, axis=-1, keepdims=True)
    mean = np.logaddexp.reduce(logs, axis=0) - np.log(len(several))
    return mean[:, 1:] - mean[:, :1] if mean.shape[1] == 2 else mean


def predicted(logits: np.ndarray) -> np.ndarray:
    """The likeliest class of each review, int ``[N]``."""
    return scores(logits).argmax(axis=1)


def verdicts(logits: np.ndarray, label_names: Sequence[str]) -> list[dict[str, Any]]:
    """What is said of each review, as plain values.

    >>> verdicts(np.array([[0.0]]), ["bad", "good"])
    [{'label': 'bad', 'probability': 0.5, 'probabilities': {'bad': 0.5, 'good': 0.5}}]
    """
    return [
        {
            "label": label_names[best],
            "probability": float(row[best]),
            "probabilities": dict(zip(label_names, row.tolist(), strict=True)),
        }
        for row, best in zip(probabilities(logits), predicted(logits), strict=True)
    ]


def losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The cross-entropy of each review, in nats."""
    wide = scores(logits).astype(np.float64)
    total = np.logaddexp.reduce(wide, axis=1)
    return total - np.take_along_axis(wide, labels[:, None], axis=1)[:, 0]


def log_odds(logits: np.ndarray, label: int) -> np.ndarray:
    """The logarithm of p / (1 - p), p the probability of class ``label``."""
    wide = scores(logits).astype(np.float64)
    others = np.delete(wide, label, axis=1)
    return wide[:, label] - np.logaddexp.reduce(others, axis=1)


def confusion(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> np.ndarray:
    """How many reviews of each class (row) were taken for each class (column).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = labels.astype(np.int64) * num_classes + predictions
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def f1(confusion: np.ndarray) -> float:
    """The harmonic mean of precision and recall, from what ``confusion`` counts.

    Of two classes that of class 1; of more the mean over the classes that are true of
    a review or said of one.

    >>> f1(np.array([[8, 2], [1, 9]])) == 18 / 21
    True
    """
    right, both = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1)
    each = 2 * right / np.maximum(both, 1)
    if len(confusion) == 2:
        return float(each[1])
    return float(each[both > 0].mean())


def brier(chance: np.ndarray, labels: np.ndarray) -> float:
    """The mean squared distance of ``chance [N, C]`` from what came true, by review.

    It is summed over the classes: 0 at best, 2 at worst (Brier, 1950).

    >>> brier(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([1, 1]))
    0.25
    """
    came_true = np.eye(chance.shape[1])[labels]
    return float(((chance - came_true) ** 2).sum(axis=1).mean())


def roc(positive: np.ndarray, score: np.ndarray) -> Curve | None:
    """The share of positives found over the share of negatives taken for positive.

    Args:
      positive: bool ``[N]``.
      score: ``[N]``, higher is likelier positive.

    Returns:
      A point for each distinct score, from (0, 0) to (1, 1); None when one of the
      two kinds is missing.
    """
    found, wrong = _counts_above(positive, score)
    if not found[-1] or not wrong[-1]:
        return None
    x = np.concatenate([[0.0], wrong / wrong[-1]])
    y = np.concatenate([[0.0], found / found[-1]])
    return Curve(x, y, float(np.trapezoid(y, x)))


def precision_recall(positive: np.ndarray, score: np.ndarray) -> Curve | None:
    """Precision over recall; its area is the average precision.

    The area is the sum of the precisions, each times the recall that it adds: between
    two points of this curve a straight line would flatter (Davis & Goadrich, 2006).
    The arguments are those of ``roc``; None when there are no positives.
    """
    found, wrong = _counts_above(positive, score)
    if not found[-1]:
        return None
    recall, precision = found / found[-1], found / (found + wrong)
    area = float((np.diff(recall, prepend=0.0) * precision).sum())
    x = np.concatenate([[0.0], recall])
    y = np.concatenate([precision[:1], precision])
    return Curve(x, y, area)


def calibration(chance: np.ndarray, came_true: np.ndarray, num_bins: int) -> Bins:
    """Compare chances with what happened, in bins of equal width from 0 to 1."""
    return binned(chance_bins(chance, num_bins), chance, came_true, num_bins)


def chance_bins(chance: np.ndarray, num_bins: int) -> np.ndarray:
    """The bin of each chance; one between two bins belongs to the lower.

    >>> chance_bins(np.array([0.0, 0.5, 0.51, 1.0]), 2).tolist()
    [0, 0, 1, 1]
    """
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    return np.searchsorted(edges[1:-1], chance)


def binned(
    bins: np.ndarray, values: np.ndarray, came_true: np.ndarray, num_bins: int
) -> Bins:
    """Count reviews, average ``values`` and what came true, bin by bin."""
    count = np.bincount(bins, minlength=num_bins)
    some = count > 0
    mean = np.bincount(bins, values, num_bins)[some] / count[some]
    share = np.bincount(bins, came_true.astype(float), num_bins)[some] / count[some]
    return Bins(count[some], mean, share)


def calibration_error(bins: Bins) -> float:
    """The mean distance of chance and outcome, weighted by reviews.

    Source: Naeini, Cooper & Hauskrecht (2015).
    """
    return float((bins.count * np.abs(bins.share - bins.mean)).sum() / bins.count.sum())


def chances(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What ``calibration`` compares: the chance of an event, and whether it came.

    Of two classes the event is class 1; of more, that the likeliest class is right
    (Guo, Pleiss, Sun & Weinberger, 2017).
    """
    chance = probabilities(logits)
    if chance.shape[1] == 2:
        return chance[:, 1], labels == 1
    return chance.max(axis=1), predicted(logits) == labels


def interval(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of a share of ``count`` reviews (Wilson, 1927).

    >>> low, high = interval(np.array([1.0]), np.array([10]))
    >>> f"{low[0]:.3f} {high[0]:.3f}"
    '0.722 1.000'
    """
    z = 1.959964
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = share * (1 - share) / count + (z / (2 * count)) ** 2
    half = z * np.sqrt(spread) / (1 + z**2 / count)
    return np.minimum(centre - half, share), np.maximum(centre + half, share)


def equal_bins(values: np.ndarray, num_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut into bins of like many values; equal values stay together.

    Returns:
      int ``[N]``, the bin of each value, and ``[G + 1]``, the edges: bin g holds the
      values above edge g and up to edge g + 1; the first also its lower edge.

    >>> bins, edges = equal_bins(np.array([1, 1, 1, 2, 5, 9]), 2)
    >>> bins.tolist(), edges.tolist()
    ([0, 0, 0, 1, 1, 1], [1, 1, 9])
    """
    ends = np.quantile(values, np.arange(1, num_bins + 1) / num_bins, method="lower")
    ends = np.unique(ends)
    edges = np.concatenate([[values.min()], ends])
    return np.searchsorted(ends, values), edges


def _counts_above(
    positive: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives at or above each distinct score, from the highest."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found = np.cumsum(positive[order])[last]
    return found, last + 1 - found
