"""Length-bucketed batches as a pure function of (seed, epoch, step)."""

from typing import NamedTuple

import numpy as np

from lstm_jax.data.ngrams import MAX_NGRAMS
from lstm_jax.data.tokenizer import PAD_ID

NO_LABEL = -1  # of a review that nobody has judged


class Encoded(NamedTuple):
    """One split as token ids.

    Attributes:
      token_ids: one int32 array a review.
      lengths: int32 ``[N]``, the tokens in each.
      whole_lengths: int32 ``[N]``, the tokens before any were cut away.
      labels: int32 ``[N]``; ``NO_LABEL`` where there is none.
      ngram_ids: one int32 array a review, its n-grams; all empty without n-grams.
      ngram_values: float32 ``[G, K]``, what each n-gram says.
    """

    token_ids: list[np.ndarray]
    lengths: np.ndarray
    whole_lengths: np.ndarray
    labels: np.ndarray
    ngram_ids: list[np.ndarray]
    ngram_values: np.ndarray


class Batch(NamedTuple):
    """What a step computes on.

    Attributes:
      token_ids: int32 ``[B, T]``, padded with ``PAD_ID`` at the end.
      lengths: int32 ``[B]``.
      labels: int32 ``[B]``; ``NO_LABEL`` where there is none.
      weights: float32 ``[B]``, 0 for rows without a label, and for those that fill up
        the batch.
      ngram_ids: int32 ``[B, G]``; G is 0 without n-grams.
      ngram_values: float32 ``[B, G, K]``, 0 at padding.
    """

    token_ids: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    ngram_ids: np.ndarray
    ngram_values: np.ndarray

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        """What a classifier reads of it."""
        return self.token_ids, self.lengths, self.ngram_ids, self.ngram_values


class Plan(NamedTuple):
    """The batches of one epoch.

    Attributes:
      rows: int32 ``[S, B]``, the reviews of each batch; -1 fills it up.
      widths: int32 ``[S]``, the length that each batch is padded to.
    """

    rows: np.ndarray
    widths: np.ndarray


def bucket_widths(
    lengths: np.ndarray, num_buckets: int, *, multiple: int = 8
) -> np.ndarray:
    """Choose the lengths to pad to, so that the least padding is computed.

    Args:
      lengths: int ``[N]``, of the training reviews.
      num_buckets: widths at most; each costs one compilation.
      multiple: widths are multiples of this.

    Returns:
      Rising int32 widths; the last holds the longest review.

    Example:
      >>> bucket_widths(np.array([3, 3, 4, 60, 61, 62]), 2).tolist()
      [8, 64]
    """
    padded = np.maximum(-(-lengths // multiple), 1)
    candidates, counts = np.unique(padded, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: steps computed for the reviews up to candidate j, in k buckets;
    # a dynamic programme over the last bucket's lower end.
    cost = (candidates * below[1:]).astype(float)
    choices = []
    for _ in range(min(num_buckets, len(candidates)) - 1):
        last = candidates[None, :] * (below[None, 1:] - below[1:, None])
        total = np.where(np.tri(len(candidates), k=0).T > 0, cost[:, None] + last, cost)
        choices.append(total.argmin(axis=0))
        cost = total.min(axis=0)
    end, ends = len(candidates) - 1, []
    for choice in reversed(choices):
        ends.append(end)
        end = choice[end]
    widths = candidates[sorted({*ends, end})] * multiple
    return widths.astype(np.int32)


def plan_epoch(
    lengths: np.ndarray, widths: np.ndarray, batch_size: int, *, seed: int, epoch: int
) -> Plan:
    """Shuffle the training reviews into batches of like length.

    The same arguments always give the same plan, so step ``s`` of an epoch can
    be computed again without running the steps before it.

    Args:
      lengths: int ``[N]``.
      widths: what ``bucket_widths`` gave.
      batch_size: reviews in a batch.
      seed: of the run.
      epoch: counted from 0.

    Returns:
      A ``Plan`` in which every review stands once; ``ceil(N / B)`` batches, whose
      sizes differ by one at most.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    plan = _chunk(order, lengths, widths, batch_size)
    shuffled = rng.permutation(len(plan.rows))
    return Plan(plan.rows[shuffled], plan.widths[shuffled])


def plan_evaluation(lengths: np.ndarray, widths: np.ndarray, batch_size: int) -> Plan:
    """Put every review into one batch, shortest first."""
    return _chunk(np.arange(len(lengths)), lengths, widths, batch_size)


def padding_share(plan: Plan, lengths: np.ndarray) -> float:
    """The share of computed token positions that are padding."""
    computed = plan.widths.sum(dtype=np.int64) * plan.rows.shape[1]
    return float(1 - lengths.sum(dtype=np.int64) / computed)


def make_batch(data: Encoded, rows: np.ndarray, width: int, ngram_width: int) -> Batch:
    """Gather and pad one batch.

    Args:
      data: a split.
      rows: int ``[B]`` as in ``Plan``, -1 for a filler.
      width: ``T``, tokens to pad to.
      ngram_width: ``G``, n-grams to pad to.
    """
    token_ids = np.full((len(rows), width), PAD_ID, np.int32)
    ngram_ids = np.zeros((len(rows), ngram_width), np.int32)
    ngram_values = np.zeros((*ngram_ids.shape, data.ngram_values.shape[1]), np.float32)
    for i, row in enumerate(rows):
        if row >= 0:
            token_ids[i, : data.lengths[row]] = data.token_ids[row]
            ngrams = data.ngram_ids[row][:ngram_width]
            ngram_ids[i, : len(ngrams)] = ngrams
            ngram_values[i, : len(ngrams)] = data.ngram_values[ngrams]
    real = rows >= 0
    lengths = np.where(real, data.lengths[rows], 0).astype(np.int32)
    labels = np.where(real, data.labels[rows], 0).astype(np.int32)
    weights = (real & (labels != NO_LABEL)).astype(np.float32)
    return Batch(token_ids, lengths, labels, weights, ngram_ids, ngram_values)


def ngram_width(width: int, max_length: int, order: int) -> int:
    """How many n-grams a batch padded to ``width`` tokens holds.

    Reviews that were cut, which have ``max_length`` tokens, have the n-grams of the
    whole text.  There is one shape for each width.

    >>> ngram_width(8, 20, 3), ngram_width(24, 20, 3), ngram_width(24, 20, 0)
    (24, 4096, 0)
    """
    if order and width >= max_length:
        return MAX_NGRAMS
    return min(order * width, MAX_NGRAMS)


def _chunk(
    order: np.ndarray, lengths: np.ndarray, widths: np.ndarray, batch_size: int
) -> Plan:
    """Sort ``order`` by bucket, keeping it within one, and cut it into batches.

    Sizes differ by one at most.  What a step learns is divided by its reviews: a last
    batch of the few that are left, always of the longest, would have each of them
    count for several others.
    """
    buckets = np.searchsorted(widths, lengths)
    order = order[np.argsort(buckets[order], kind="stable")]
    rows = np.full((-(-len(order) // batch_size), batch_size), -1, np.int32)
    for row, some in zip(rows, np.array_split(order, len(rows) or 1), strict=False):
        row[: len(some)] = some
    # The last real row of a batch is from its highest bucket.
    highest = np.array([buckets[r[r >= 0][-1]] for r in rows], np.int32)
    return Plan(rows, widths[highest])
