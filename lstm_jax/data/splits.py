"""The validation split: a fixed rule, by group where groups are known."""

import logging
from collections.abc import Iterable

import numpy as np

from lstm_jax.cache import digest_of
from lstm_jax.data.copies import without_copies
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.errors import UserError

logger = logging.getLogger(__name__)

_RANDOM = (
    "Validation is a random split: reviews of one subject may stand on both sides of "
    "it, which flatters a model that memorises. Name groups, which stay whole, in "
    "data.validation_groups (or, for files, data.group_column)."
)

# Not the seed of a run: every seed is validated on the same reviews.
_SPLIT_SEED = 0


def hold_out(corpus: Corpus, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """``split_validation`` of the train reviews; warns of what flatters.

    Not of made-up reviews, which say themselves that they are no measure.
    """
    train, val = split_validation(corpus.train, fraction)
    if corpus.notice:
        return train, val
    if corpus.train.groups is None:
        logger.warning(_RANDOM)
    _tell_copies(*(corpus.train.pick(rows).texts for rows in (train, val)))
    return train, val


def _tell_copies(train: list[str], val: list[str]) -> None:
    copies = len(val) - len(without_copies(val, of=train))
    if copies:
        logger.warning(
            "%s of %s validation reviews also stand among those to learn from",
            *(f"{copies:,}", f"{len(val):,}"),
        )


def split_validation(
    reviews: Reviews, fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out about ``fraction`` of the reviews, whole groups where there are any.

    Reviews of one movie share its names, so a model that memorises looks better
    on a random split than it is; a split by movie does not flatter it.

    Args:
      reviews: the train split of a source.
      fraction: share to hold out, in (0, 1).

    Returns:
      Sorted int indices of the train reviews and of the validation reviews.

    Raises:
      UserError: nothing would be left on one side.

    Example:
      >>> reviews = Reviews(["a"] * 10, np.zeros(10), np.arange(10) // 2)
      >>> train, val = split_validation(reviews, 0.2)
      >>> len(train), len(val), {i // 2 for i in train} & {i // 2 for i in val}
      (8, 2, set())
    """
    count = len(reviews.texts)
    groups = np.arange(count) if reviews.groups is None else reviews.groups
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(sizes))
    taken_before = np.cumsum(sizes[order]) - sizes[order]
    held_out = np.zeros(len(sizes), bool)
    held_out[order[taken_before < fraction * count]] = True
    _warn_of_large(sizes[held_out], fraction, count)
    in_validation = held_out[group_of]
    if in_validation.all():
        raise UserError(
            f"data.validation_fraction: holding out {fraction:g} of {count} reviews in "
            f"{len(sizes)} groups leaves none to train on; expected more groups"
        )
    return np.flatnonzero(~in_validation), np.flatnonzero(in_validation)


def sample_rows(rows: np.ndarray, count: int, setting: str) -> np.ndarray:
    """Choose ``count`` of ``rows``; all, when there are no more or ``count`` is 0.

    A larger sample holds every smaller one, and no seed of a run changes it.

    >>> sample_rows(np.arange(5), 3, "data.num_labelled").tolist()
    [2, 3, 4]
    """
    if count > len(rows):
        logger.warning("%s: all of them, %d, are used", setting, len(rows))
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(rows))
    return np.sort(rows[order[: count or None]])


def digest_texts(texts: Iterable[str]) -> str:
    """A short name for these texts in this order.

    >>> digest_texts(["ab", "c"]) == digest_texts(["a", "bc"])
    False
    """
    return digest_of(text.encode(errors="surrogatepass") for text in texts)[:16]


def _warn_of_large(held_out: np.ndarray, fraction: float, count: int) -> None:
    """Say when a single group makes validation larger than was asked for."""
    if count and held_out.max() > max(fraction * count, 1):
        logger.warning(
            "Validation has %d of %d reviews, %.0f %% where data.validation_fraction "
            "asks for %.0f %%: a group of %d is held out whole",
            held_out.sum(),
            count,
            100 * held_out.sum() / count,
            100 * fraction,
            held_out.max(),
        )
