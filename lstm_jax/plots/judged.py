"""The reviews that a run is judged by: those of the test split, when there is one."""

from typing import Any, NamedTuple

import numpy as np

from lstm_jax.plots.style import names_of
from lstm_jax.training.predictions import Predictions


class Judged(NamedTuple):
    """One split and what was said of it.

    Attributes:
      name: "test" or "validation", for the titles.
      logits: float32 ``[N, K]``.
      labels: int32 ``[N]``.
      lengths: int32 ``[N]``, tokens of the whole review.
      label_names: one name a class.
      max_length: tokens of a review that the network reads.
    """

    name: str
    logits: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray
    label_names: list[str]
    max_length: int

    @property
    def num_classes(self) -> int:
        """Two or more."""
        return len(self.label_names)

    @property
    def title(self) -> str:
        """How the reviews are named in a title."""
        return f"{len(self.labels):,} {self.name} reviews"


def judged_split(
    predictions: Predictions, summary: dict[str, Any], settings: dict[str, Any]
) -> Judged:
    """The test reviews, or the validation reviews where there are no others."""
    test = predictions.test
    name = "validation" if test is None else "test"
    split = predictions.val if test is None else test
    names = names_of(summary, max(2, split.logits.shape[1]))
    return Judged(name, *split, names, settings["data"]["max_length"])
