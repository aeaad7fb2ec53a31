"""Texts as streams that a language model reads on and on, window by window."""

from typing import NamedTuple

import numpy as np

from lstm_jax.data.tokenizer import PAD_ID

# What stands between two texts.  No text holds it, so that the number is free.
END_ID = PAD_ID


class Window(NamedTuple):
    """What a step of a language model computes on.

    Attributes:
      token_ids: int32 ``[B, T + 1]``: the words that are read, and the last one that
        is foretold.
      weights: float32 ``[B, T]``, 0 where the word after is none.
      fresh: bool ``[B]``, true where nothing was read before.
    """

    token_ids: np.ndarray
    weights: np.ndarray
    fresh: np.ndarray


class Streams(NamedTuple):
    """Texts one after another, cut into rows of one length.

    Attributes:
      token_ids: int32 ``[B, S * T + 1]``; a row begins with the last word of the one
        before, and the first row with ``END_ID``.
      weights: float32 ``[B, S * T]``, of the words from the second on.
      window: ``T``, the words of a step.
    """

    token_ids: np.ndarray
    weights: np.ndarray
    window: int

    @property
    def num_windows(self) -> int:
        """``S``."""
        return self.weights.shape[1] // self.window

    def at(self, index: int, rows: slice = slice(None)) -> Window:
        """The window of a step, of some of the rows."""
        first, last = index * self.window, (index + 1) * self.window
        token_ids = self.token_ids[rows, first : last + 1]
        fresh = np.full(len(token_ids), index == 0)
        return Window(token_ids, self.weights[rows, first:last], fresh)


def lay_out(
    texts: list[np.ndarray],
    *,
    rows: int,
    window: int,
    backward: bool = False,
    shuffle: tuple[int, ...] | None = None,
) -> Streams:
    """Put texts one after another and cut them into rows.

    Args:
      texts: token ids of each.
      rows: ``B``.
      window: ``T``.
      backward: each text from its last word to its first.
      shuffle: what the order of the texts is drawn from; None leaves it.

    Returns:
      Streams of every word and the end of every text; the last row is filled up.

    Example:
      >>> streams = lay_out([np.array([5, 6]), np.array([7])], rows=2, window=2)
      >>> streams.token_ids.tolist(), streams.weights.tolist()
      ([[0, 5, 6], [6, 0, 7]], [[1.0, 1.0], [1.0, 1.0]])
    """
    order = np.arange(len(texts))
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permutation(order)
    step = -1 if backward else 1
    end = np.array([END_ID], np.int32)
    words = np.concatenate([end, *(x for i in order for x in (texts[i][::step], end))])
    width = count_windows(texts, rows, window) * window
    filled = np.full(rows * width + 1, END_ID, np.int32)
    filled[: min(len(words), len(filled))] = words[: len(filled)]
    starts = np.arange(rows)[:, None] * width
    token_ids = filled[starts + np.arange(width + 1)]
    real = starts + np.arange(width) < len(words) - 1
    return Streams(token_ids, real.astype(np.float32), window)


def count_windows(texts: list[np.ndarray], rows: int, window: int) -> int:
    """How many windows ``lay_out`` makes of texts, whatever their order.

    >>> count_windows([np.array([5, 6]), np.array([7])], rows=2, window=2)
    1
    """
    words = sum(len(text) + 1 for text in texts)
    # The end of the last text is left out where it alone would need another window.
    return -(-max(words - 1, 1) // (rows * window))
