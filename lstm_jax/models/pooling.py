"""From a sequence of outputs to one vector a review; padding never counts."""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from lstm_jax.unroll import time_mask

POOLINGS = (
    "last",
    "mean",
    "max",
    "mean_max",
    "last_mean_max",
    "first_last",
    "attention",
)

Direction = Literal["forward", "backward", "both"]


class Pool(nn.Module):
    """Pool ``ys [T, B, F]`` over the real steps to ``[B, F]``, ``[B, 2F]`` or more.

    Attributes:
      kind: one of ``POOLINGS``.  ``last`` is each direction's own last output
        (for a backward one that is the one at the first word); ``first_last``
        puts the outputs at the first and at the last word side by side;
        ``attention`` weighs the steps by a learned score.
      direction: that ``ys`` come from; of "both" the second half is backward.

    A review without words gives zeros.
    """

    kind: str
    direction: Direction

    @nn.compact
    def __call__(self, ys: Array, lengths: Array) -> Array:
        """Pool ys ``[T, B, F]`` by lengths ``[B]``."""
        lengths = jnp.minimum(lengths, ys.shape[0])  # more than all steps is all steps
        match self.kind:
            case "last":
                return last(ys, lengths, self.direction)
            case "mean":
                return mean(ys, lengths)
            case "max":
                return maximum(ys, lengths)
            case "mean_max":
                both = [mean(ys, lengths), maximum(ys, lengths)]
                return jnp.concatenate(both, axis=-1)
            case "last_mean_max":
                three = [last(ys, lengths, self.direction)]
                three += [mean(ys, lengths), maximum(ys, lengths)]
                return jnp.concatenate(three, axis=-1)
            case "first_last":
                return jnp.concatenate([ys[0], at_last_word(ys, lengths)], axis=-1)
            case "attention":
                scores = self._scores(ys)
                return attention(ys, scores, lengths)
        raise ValueError(f"pooling: expected one of {POOLINGS}, got {self.kind!r}")

    def _scores(self, ys: Array) -> Array:
        # Without a bias: a softmax does not see it.
        score = nn.Dense(1, use_bias=False, dtype=ys.dtype, name="score")
        return score(ys)[..., 0]


def at_last_word(ys: Array, lengths: Array) -> Array:
    """``ys`` at the last real step, ``[B, F]``; zeros for a length of 0."""
    steps = jnp.maximum(lengths - 1, 0)[None, :, None]
    picked = jnp.take_along_axis(ys, steps, axis=0)[0]
    return jnp.where(lengths[:, None] > 0, picked, jnp.zeros_like(picked))


def last(ys: Array, lengths: Array, direction: Direction) -> Array:
    """Each direction's last output, ``[B, F]``."""
    size = ys.shape[-1]
    forward = {"forward": size, "both": size // 2, "backward": 0}[direction]
    ends = at_last_word(ys, lengths)
    return jnp.concatenate([ends[:, :forward], ys[0, :, forward:]], axis=-1)


def mean(ys: Array, lengths: Array) -> Array:
    """The mean over the real steps; ``ys`` is 0 at the others."""
    count = jnp.maximum(lengths, 1)[:, None].astype(jnp.float32)
    return (ys.sum(axis=0, dtype=jnp.float32) / count).astype(ys.dtype)


def maximum(ys: Array, lengths: Array) -> Array:
    """The maximum over the real steps, feature by feature."""
    real = time_mask(lengths, ys.shape[0])[..., None]
    lowest = jnp.full_like(ys, jnp.finfo(ys.dtype).min)
    highest = jnp.where(real, ys, lowest).max(axis=0)
    return jnp.where(lengths[:, None] > 0, highest, jnp.zeros_like(highest))


def attention(ys: Array, scores: Array, lengths: Array) -> Array:
    """The mean of ``ys`` weighted by the softmax of ``scores [T, B]``."""
    real = time_mask(lengths, ys.shape[0])
    lowest = jnp.full_like(scores, jnp.finfo(scores.dtype).min)
    weights = nn.softmax(jnp.where(real, scores, lowest), axis=0)
    weights = jnp.where(real, weights, jnp.zeros_like(weights))
    return (weights[..., None] * ys).sum(axis=0)
