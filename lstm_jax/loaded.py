"""A trained model that is ready to be asked, from wherever it was loaded."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lstm_jax.data.datasets import Text


class Programs(NamedTuple):
    """What can be computed; the first argument of each are the parameters.

    Attributes:
      prepare: ``(params) -> prepared``, once, for ``logits``.
      logits: ``(prepared, token_ids [B, T], lengths [B], ngram_ids [B, G],
        ngram_values [B, G, K]) -> [B, K]``.
      gates: ``(params, token_ids [T]) -> {letter: [T, H]}``, of the first layer,
        forward where it reads both ways.
      gradients: ``(params, token_ids [T], length [], ngram_ids [G], ngram_values
        [G, K], contrast [K], shares [S]) -> ([T], [G])``: how much each word and
        each n-gram adds to ``contrast @ logits``, by integrated gradients at
        ``shares`` of the way from a text of unknown words without n-grams.
    """

    prepare: Callable[[Any], Any]
    logits: Callable[..., Any]
    gates: Callable[..., Any]
    gradients: Callable[..., Any]


class About(NamedTuple):
    """What the numbers of a model mean, and where it comes from.

    Attributes:
      label_names: one name a class.
      name: of the config.
      dataset: that it was trained on.
      notice: what should be said of that, or "".
    """

    label_names: tuple[str, ...]
    name: str
    dataset: str
    notice: str


class Loaded(NamedTuple):
    """All that is asked of a model.

    Attributes:
      programs: what can be computed.
      params: their first argument.
      text: how a text becomes numbers.
      max_length: tokens that the network reads.
      truncate: which ones, see ``lstm_jax.data.tokenizer.truncate``.
      num_logits: ``K``.
      about: its classes and where it comes from.
    """

    programs: Programs
    params: Any
    text: Text
    max_length: int
    truncate: str
    num_logits: int
    about: About
