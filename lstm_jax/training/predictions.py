"""``predictions.npz`` and ``examples.json``: what a run's best parameters say."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.arrays import read_arrays
from lstm_jax.data.batches import Encoded
from lstm_jax.drafts import draft_of
from lstm_jax.errors import UserError
from lstm_jax.measures import losses, predicted

_NUM_MISTAKES = 20
# The review to look into a network with: short enough to read word by word.
_FEWEST_TOKENS = 20


class Split(NamedTuple):
    """The reviews of a split, in its order.

    Attributes:
      logits: float32 ``[N, K]``.
      labels: int32 ``[N]``.
      lengths: int32 ``[N]``, tokens of the whole review, also of those cut away.
    """

    logits: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray


class Predictions(NamedTuple):
    """What ``predictions.npz`` holds.

    Attributes:
      val: the validation reviews.
      test: the test reviews, or None.
      word_counts: int64 ``[V]``, how often each token of the vocabulary stands in
        the train reviews, in the part of them that the network reads.
    """

    val: Split
    test: Split | None
    word_counts: np.ndarray


def split_of(data: Encoded, logits: np.ndarray) -> Split:
    """Put the logits beside what they are about."""
    return Split(logits, data.labels, data.whole_lengths)


def count_words(data: Encoded, vocab_size: int) -> np.ndarray:
    """How often each token stands in ``data``, int64 ``[V]``."""
    return np.bincount(np.concatenate(data.token_ids), minlength=vocab_size)


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Write a ``predictions.npz``, whole or not at all."""
    arrays: dict[str, Any] = {"word_counts": predictions.word_counts}
    for name in ("val", "test"):
        split = getattr(predictions, name)
        if split is not None:
            arrays |= {f"{name}_{key}": x for key, x in split._asdict().items()}
    with draft_of(path) as draft:
        np.savez_compressed(draft, **arrays)


def load_predictions(path: Path) -> Predictions:
    """Read what ``save_predictions`` wrote.

    Raises:
      UserError: the file is not whole.
    """
    arrays = read_arrays(path, "predictions")
    try:
        names = [n for n in ("val", "test") if f"{n}_logits" in arrays]
        splits = {name: _split(arrays, name) for name in names}
        return Predictions(splits["val"], splits.get("test"), arrays["word_counts"])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: expected predictions, got: {error}") from error


def _split(arrays: dict[str, np.ndarray], name: str) -> Split:
    """The arrays of a split, once they fit together."""
    split = Split(*(arrays[f"{name}_{key}"] for key in Split._fields))
    kinds = [x.dtype.kind + str(x.ndim) for x in split]
    if kinds != ["f2", "i1", "i1"] or len({len(x) for x in split}) > 1:
        shapes = ", ".join(f"{x.dtype} {x.shape}" for x in split)
        raise ValueError(f"arrays of {name} that do not fit together: {shapes}")
    return split


def choose_examples(val: Split, texts: list[str]) -> dict[str, Any]:
    """The worst mistakes and one short review, as ``examples.json`` holds them.

    They are validation reviews.  Who looks at mistakes on test reviews will sooner or
    later choose something by them, and the test score is then no longer honest.

    Args:
      val: what was said of the validation reviews.
      texts: the reviews.

    Returns:
      ``mistakes``, those of the highest loss first, and ``short``, the shortest with
      20 tokens or more (the longest, when all are shorter): each with text, label,
      logits and its row in the split.
    """
    loss = losses(val.logits, val.labels)
    wrong = np.flatnonzero(predicted(val.logits) != val.labels)
    worst = wrong[np.argsort(-loss[wrong], kind="stable")][:_NUM_MISTAKES]
    return {
        "mistakes": [_example(val, texts, int(row)) for row in worst],
        "short": _example(val, texts, _short(val.lengths)),
    }


def _short(lengths: np.ndarray) -> int:
    """The row of the shortest review of 20 tokens or more, else of the longest."""
    enough = np.flatnonzero(lengths >= _FEWEST_TOKENS)
    if not len(enough):
        return int(lengths.argmax())
    return int(enough[lengths[enough].argmin()])


def _example(val: Split, texts: list[str], row: int) -> dict[str, Any]:
    return {
        "row": row,
        "text": texts[row],
        "label": int(val.labels[row]),
        "logits": val.logits[row].tolist(),
    }
