"""Losses and metric sums from logits; sums, so that batches add up exactly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike


class Sums(NamedTuple):
    """What is added up over batches: float32 scalars."""

    loss: Array
    correct: Array
    count: Array


def cross_entropy(logits: Array, labels: ArrayLike) -> Array:
    """The loss of each review, or word, from its logits.

    Args:
      logits: ``[B, K]``, with K > 1 also ``[..., K]``; with K = 1 the log-odds of
        class 1.
      labels: int32 ``[B]``, or ``[...]``.

    Returns:
      float32 of the shape of the labels, in nats.

    Example:
      >>> one = cross_entropy(jnp.array([[2.0]]), jnp.array([1]))
      >>> two = cross_entropy(jnp.array([[0.0, 2.0]]), jnp.array([1]))
      >>> bool(jnp.allclose(one, two))
      True
    """
    labels = jnp.asarray(labels)
    if logits.shape[-1] == 1:
        targets = labels.astype(logits.dtype)
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], targets)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def soft_cross_entropy(logits: Array, targets: Array) -> Array:
    """The loss of each review where probabilities stand for its label.

    Args:
      logits: ``[B, K]``.
      targets: ``[B, K]``, the logits of those probabilities.

    Returns:
      float32 ``[B]``, in nats: least where both are the same, and then the entropy.

    Example:
      >>> undecided = jnp.zeros((1, 2))
      >>> round(float(soft_cross_entropy(undecided, undecided)[0]), 4)  # log 2
      0.6931
    """
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits, jax.nn.sigmoid(targets))[:, 0]
    return optax.softmax_cross_entropy(logits, jax.nn.softmax(targets))


def predict_labels(logits: Array) -> Array:
    """The likeliest class of each, int32 of the shape of the labels."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0).astype(jnp.int32)
    return logits.argmax(axis=-1).astype(jnp.int32)


def metric_sums(logits: Array, labels: ArrayLike, weights: ArrayLike) -> Sums:
    """Add up loss and correct answers; what has weight 0 does not count.

    Args:
      logits: ``[B, K]``; with K > 1 also ``[..., K]``.
      labels: of each.
      weights: of each.

    Example:
      >>> sums = metric_sums(jnp.zeros((1, 4)), jnp.array([3]), jnp.ones(1))
      >>> round(float(jnp.exp(sums.loss)), 4)  # perplexity: four words, all as likely
      4.0
    """
    weights = jnp.asarray(weights)
    correct = (predict_labels(logits) == labels).astype(jnp.float32)
    losses = cross_entropy(logits, labels)
    return Sums((losses * weights).sum(), (correct * weights).sum(), weights.sum())
