"""Several models that are asked as one, as those of the two directions."""

from collections.abc import Sequence

import numpy as np

from lstm_jax import measures
from lstm_jax.errors import UserError
from lstm_jax.inference import Predictor


class Ensemble:
    """The mean of the probabilities that several models give.

    Each may have a tokenizer and a length of its own. Any number of threads may ask.

    Example::

      ensemble = Ensemble(
          [
              Predictor.from_workdir("runs/finetune"),
              Predictor.from_workdir("runs/finetune_backward"),
          ]
      )
      ensemble.predict(["A film I will not forget."])  # array([1])
    """

    def __init__(self, predictors: Sequence[Predictor]) -> None:
        """Keep them, in their order.

        Raises:
          UserError: there is none, or their classes differ.
        """
        names = [predictor.label_names for predictor in predictors]
        if not names:
            raise UserError("ensemble: expected one model or more, got none")
        for other in names[1:]:
            if other != names[0]:
                raise UserError(
                    "expected models of the same classes in the same order, got "
                    f"{', '.join(names[0])} and {', '.join(other)}"
                )
        self.predictors = tuple(predictors)

    @property
    def label_names(self) -> tuple[str, ...]:
        """One name a class; ``predict`` gives indices into it."""
        return self.predictors[0].label_names

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """The logits of the mean probabilities of each text, float64 ``[N, K]``.

        K is 1 for two classes: the log-odds of class 1.
        """
        return measures.averaged([each.logits(texts) for each in self.predictors])

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """The mean probability of each class, float64 ``[N, C]``."""
        return measures.probabilities(self.logits(texts))

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The likeliest class of each text, int ``[N]``."""
        return measures.predicted(self.logits(texts))
