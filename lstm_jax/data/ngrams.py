"""Which n-grams a review holds, and how much each speaks for a class.

The value of an n-gram is its naive-Bayes log-count ratio (Wang & Manning, 2012)::

    r_k = log (a + n_k) / (a V + sum n_k)  -  log (a + m_k) / (a V + sum m_k)

where ``n_k`` counts the training reviews of class k that hold it, ``m_k`` those of
all other classes, ``V`` the n-grams, and ``a = 1``.  An n-gram counts once a review.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_jax.arrays import read_arrays
from lstm_jax.drafts import draft_of
from lstm_jax.errors import UserError

# N-grams of fewer training reviews than this say nothing of new reviews.
_MIN_REVIEWS = 2
# Kept of one review: that of some 1,500 words; a shape that all long ones share.
MAX_NGRAMS = 4096


class NGrams(NamedTuple):
    """The n-grams of the training reviews.

    Attributes:
      order: n-grams of 1 up to this many tokens; 0 is none at all.
      base: of the number that stands for an n-gram: the vocabulary's size + 1.
      keys: int64 ``[G]``, rising: the n-grams, as such numbers.
      ratios: float32 ``[G, K]``, the value of each for every logit.
    """

    order: int
    base: int
    keys: np.ndarray
    ratios: np.ndarray


def no_ngrams(num_logits: int) -> NGrams:
    """What a model without n-grams reads."""
    return NGrams(0, 1, np.zeros(0, np.int64), np.zeros((0, num_logits), np.float32))


def learn_ngrams(
    token_ids: list[np.ndarray],
    labels: np.ndarray,
    *,
    order: int,
    vocab_size: int,
    num_logits: int,
) -> NGrams:
    """Find the n-grams of the training reviews and weigh them.

    Args:
      token_ids: one int array a training review.
      labels: int ``[N]``.
      order: n-grams of 1 up to this many tokens.
      vocab_size: token ids are below it.
      num_logits: 1 weighs class 1 against class 0, K each class against the rest.

    Returns:
      The ``NGrams`` that at least two reviews hold.
    """
    base = vocab_size + 1
    found = [review_keys(ids, order, base) for ids in token_ids]
    keys = _common(found)
    counts = np.zeros((max(num_logits, 2), len(keys)), np.int64)
    for own, label in zip(found, labels, strict=True):
        counts[label, _look_up(own, keys)] += 1
    total = counts.sum(axis=0)
    classes = [1] if num_logits == 1 else range(num_logits)
    ratios = [log_count_ratios(counts[k], total - counts[k]) for k in classes]
    return NGrams(order, base, keys, np.stack(ratios, axis=1))


def _common(found: list[np.ndarray]) -> np.ndarray:
    """The n-grams of ``_MIN_REVIEWS`` reviews at least, rising.

    Sorted in place: what ``np.unique`` would give besides is several times as large.
    """
    every = np.concatenate(found)
    every.sort()
    last = every[_MIN_REVIEWS - 1 :]
    return np.unique(last[last == every[: len(last)]])


def log_count_ratios(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """How much more often each n-gram stands inside a class than outside of it.

    >>> [f"{r:.2f}" for r in log_count_ratios(np.array([3, 1]), np.array([0, 2]))]
    ['0.98', '-0.81']
    """
    inside, outside = inside + 1.0, outside + 1.0
    ratios = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    return ratios.astype(np.float32)


def review_keys(token_ids: np.ndarray, order: int, base: int) -> np.ndarray:
    """The distinct n-grams of one review as numbers, rising.

    An n-gram is written in base ``base`` with the digits ``token_id + 1``; no digit
    is 0, so n-grams of different lengths never meet.

    >>> review_keys(np.array([0, 1, 0, 1]), 2, 10).tolist()
    [1, 2, 12, 21]
    """
    digits = token_ids.astype(np.int64) + 1
    keys = [current := digits]
    for n in range(2, order + 1):
        current = current[: len(digits) - n + 1] * base + digits[n - 1 :]
        keys.append(current)
    return np.unique(np.concatenate(keys))


def find_ngrams(token_ids: np.ndarray, ngrams: NGrams) -> np.ndarray:
    """The known n-grams of one review: int32 indices into ``ngrams.keys``."""
    if not len(ngrams.keys):
        return np.zeros(0, np.int32)
    keys = review_keys(token_ids, ngrams.order, ngrams.base)
    return _look_up(keys, ngrams.keys)[:MAX_NGRAMS].astype(np.int32)


def _look_up(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where those of ``keys`` stand that are among ``known``, which rise."""
    if not len(known):
        return np.zeros(0, np.int64)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return places[known[places] == keys]


def spread_over_tokens(
    values: np.ndarray, token_ids: np.ndarray, ngrams: NGrams
) -> np.ndarray:
    """Share what belongs to n-grams among the tokens that they are made of.

    Args:
      values: ``[G]``, of the n-grams that ``find_ngrams`` finds.
      token_ids: ``[T]``, of the review.
      ngrams: where they were found.

    Returns:
      float64 ``[T]``; the value of an n-gram that stands in several places is shared
      by all of them.
    """
    shared = np.zeros(len(token_ids))
    found = ngrams.keys[find_ngrams(token_ids, ngrams)]
    if not len(found):
        return shared
    places = [_places(token_ids, found, n, ngrams.base) for n in _orders(ngrams)]
    known = np.concatenate(places)
    counts = np.bincount(known[known >= 0], minlength=len(found))
    for n, place in zip(_orders(ngrams), places, strict=True):
        starts = np.flatnonzero(place >= 0)
        share = values[place[starts]] / (counts[place[starts]] * n)
        for offset in range(n):
            np.add.at(shared, starts + offset, share)
    return shared


def save_ngrams(ngrams: NGrams, path: Path) -> None:
    """Write ``ngrams`` to a ``.npz`` file, whole or not at all."""
    with draft_of(path) as draft:
        np.savez(draft, **ngrams._asdict())


def load_ngrams(path: Path) -> NGrams:
    """Read what ``save_ngrams`` wrote.

    Raises:
      UserError: the file is not whole.
    """
    arrays = read_arrays(path, "a file of n-grams")
    try:
        order, base = int(arrays["order"]), int(arrays["base"])
        ngrams = NGrams(order, base, arrays["keys"], arrays["ratios"])
        check_ngrams(ngrams)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: expected a file of n-grams, got: {error}") from error
    return ngrams


def check_ngrams(ngrams: NGrams) -> None:
    """Refuse arrays that are none of ``NGrams``, which may come from strangers.

    Raises:
      ValueError: they are not; it says how.
    """
    keys, ratios = ngrams.keys, ngrams.ratios
    if not 1 <= ngrams.order <= 3 or ngrams.base < 1:
        raise ValueError(f"order {ngrams.order} and base {ngrams.base}")
    if (keys.dtype, ratios.dtype) != (np.int64, np.float32):
        raise ValueError(f"arrays of {keys.dtype} and {ratios.dtype}")
    if keys.ndim != 1 or ratios.ndim != 2 or len(keys) != len(ratios):
        raise ValueError(f"shapes {keys.shape} and {ratios.shape}")
    if (np.diff(keys) <= 0).any() or not np.isfinite(ratios).all():
        raise ValueError("keys that do not rise, or ratios that are not finite")


def _orders(ngrams: NGrams) -> range:
    return range(1, ngrams.order + 1)


def _places(token_ids: np.ndarray, keys: np.ndarray, n: int, base: int) -> np.ndarray:
    """For the n-gram that begins at each token: its index in ``keys``, -1 if none."""
    digits = token_ids.astype(np.int64) + 1
    count = max(len(digits) - n + 1, 0)
    numbers = np.zeros(count, np.int64)
    for offset in range(n):
        numbers = numbers * base + digits[offset : offset + count]
    places = np.minimum(np.searchsorted(keys, numbers), len(keys) - 1)
    return np.where(keys[places] == numbers, places, -1)
