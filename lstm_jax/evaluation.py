"""How good a trained model is on labelled texts, in numbers."""

from typing import Any, NamedTuple

import numpy as np

from lstm_jax import measures

NUM_BINS = 10  # of the calibration, as in the pictures of a run


class Evaluation(NamedTuple):
    """What labelled texts say of a model.

    Attributes:
      count: texts.
      loss: cross-entropy, in nats a text.
      accuracy: share that is judged right.
      interval: of 95 %, of the accuracy (Wilson).
      f1: of class 1; of more than two classes the mean over those that occur.
      auc: area below the ROC curve of class 1; of more classes the mean of each
        against the rest; None when a class is missing.
      calibration_error: expected calibration error, in 10 bins.
      brier: mean squared distance of the probabilities from the truth, summed over
        the classes.
      confusion: int ``[C, C]``, true class by row, predicted class by column.
    """

    count: int
    loss: float
    accuracy: float
    interval: tuple[float, float]
    f1: float
    auc: float | None
    calibration_error: float
    brier: float
    confusion: np.ndarray


def evaluate(logits: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Compare ``logits [N, K]`` with ``labels`` int ``[N]``; N is 1 or more."""
    chance = measures.probabilities(logits)
    said = measures.predicted(logits)
    right = float((said == labels).mean())
    low, high = measures.interval(np.array([right]), np.array([len(labels)]))
    confusion = measures.confusion(labels, said, chance.shape[1])
    bins = measures.calibration(*measures.chances(logits, labels), NUM_BINS)
    return Evaluation(
        count=len(labels),
        loss=float(measures.losses(logits, labels).mean()),
        accuracy=right,
        interval=(float(low[0]), float(high[0])),
        f1=measures.f1(confusion),
        auc=_auc(logits, labels, chance.shape[1]),
        calibration_error=measures.calibration_error(bins),
        brier=measures.brier(chance, labels),
        confusion=confusion,
    )


def to_json(evaluation: Evaluation, label_names: tuple[str, ...]) -> dict[str, Any]:
    """What ``evaluate --format json`` prints."""
    values = evaluation._asdict() | {"interval": list(evaluation.interval)}
    confusion = evaluation.confusion.tolist()
    return {**values, "confusion": confusion, "label_names": list(label_names)}


def _auc(logits: np.ndarray, labels: np.ndarray, num_classes: int) -> float | None:
    classes = [1] if num_classes == 2 else range(num_classes)
    curves = [measures.roc(labels == k, measures.log_odds(logits, k)) for k in classes]
    areas = [curve.area for curve in curves if curve is not None]
    return sum(areas) / len(areas) if len(areas) == len(curves) else None
