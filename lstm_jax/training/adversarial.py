"""Words shifted the way that hurts most: what a classifier is also trained on."""

import jax.numpy as jnp
from jax import Array

from lstm_jax.unroll import time_mask


def worst_shift(slope: Array, vectors: Array, lengths: Array, norm: float) -> Array:
    """The shift of the words of each review that raises its loss most.

    To first order: along the gradient.  It is told in the vectors' own size, so that
    a network gains nothing by making them larger.

    Args:
      slope: the gradient of the reviews' losses by ``vectors``, ``[T, B, E]``.
      vectors: of the words, ``[T, B, E]``.
      lengths: int32 ``[B]``.
      norm: of a review's shift, over all of its words, in root mean squares of a
        number of ``vectors``.

    Returns:
      ``[T, B, E]``, 0 at padding.

    Source: Miyato, Dai & Goodfellow (2017), who normalise the vectors instead.

    Example:
      >>> slope, vectors = jnp.array([[[3.0, 4.0]]]), 2 * jnp.ones((1, 1, 2))
      >>> shift = worst_shift(slope, vectors, jnp.array([1]), norm=5.0)
      >>> [round(float(x), 4) for x in shift[0, 0]]
      [6.0, 8.0]
    """
    steepness = jnp.sqrt(jnp.sum(slope**2, axis=(0, 2), keepdims=True))
    # The slope of a review that nothing can hurt is 0, and so is its shift.
    along = slope / jnp.maximum(steepness, jnp.finfo(slope.dtype).tiny)
    real = time_mask(lengths, vectors.shape[0])[..., None]
    size = jnp.mean(vectors**2, where=jnp.broadcast_to(real, vectors.shape)) ** 0.5
    return norm * size * along
