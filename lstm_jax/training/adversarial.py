"""Words shifted the way that hurts most: what a classifier is also trained on."""

import jax
import jax.numpy as jnp
from jax import Array

from lstm_jax.data.batches import NO_LABEL, Batch
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.training.losses import Sums, metric_sums, soft_cross_entropy
from lstm_jax.training.state import PyTree
from lstm_jax.training.steps import Loss, Told, add_losses, logits_of_parts
from lstm_jax.unroll import time_mask


def adversarial_loss(model: TextClassifier, norm: float) -> Loss:
    """The loss of a classifier, and once more of its network on shifted words.

    Reviews without a label, where there are any, are learned from too.  Of the words as
    they are: to be sure, by the entropy of what the network says.  Of words shifted the
    way that makes it least sure: to say the same.  All reviews of a batch count alike.

    Args:
      model: the classifier.
      norm: of the shifts, see ``worst_shift``.

    Source: Miyato, Dai & Goodfellow (2017), who find the shift of a review without a
      label by a step of the power method.  With two classes there is no need to: to
      second order what the network says changes along one direction alone, the
      gradient of its logit, and so of the entropy.
    """

    def loss(
        params: PyTree, carry: PyTree, batch: Batch, key: Array
    ) -> tuple[Array, Told]:
        """The losses as they are, then that of the network on the hardest words."""
        held = jax.lax.stop_gradient(params)
        vectors = held["embedding"]["embedding"][batch.token_ids.T]
        unlabelled = jnp.asarray(batch.labels) == NO_LABEL

        def unshifted(params: PyTree, shift: Array) -> tuple[Array, tuple[Sums, Array]]:
            """The loss of the reviews as they are, for ``shift`` = 0."""
            parts = logits_of_parts(model, params, batch, key, shift)
            total, sums = add_losses(model, parts, batch)
            entropy = soft_cross_entropy(parts[0], parts[0])
            return total + (entropy * unlabelled).sum(), (sums, parts[0])

        both = jax.value_and_grad(unshifted, argnums=(0, 1), has_aux=True)
        (total, (sums, said)), (gradient, slope) = both(held, jnp.zeros_like(vectors))
        shift = worst_shift(slope, vectors, jnp.asarray(batch.lengths), norm)
        # The network alone: n-grams have no vectors.
        shifted = logits_of_parts(model, params, batch, key, shift)[0]
        total += metric_sums(shifted, batch.labels, batch.weights).loss
        total += (soft_cross_entropy(shifted, said) * unlabelled).sum()
        total += _with_gradient(params, gradient)
        return total, Told(sums, sums.count + unlabelled.sum(), carry)

    return loss


def worst_shift(slope: Array, vectors: Array, lengths: Array, norm: float) -> Array:
    """The shift of the words of each review that raises its loss most.

    To first order: along the gradient.  It is told in the size of the review's own
    vectors, so that a network gains nothing by making them larger.

    Args:
      slope: the gradient of the reviews' losses by ``vectors``, ``[T, B, E]``.
      vectors: of the words, ``[T, B, E]``.
      lengths: int32 ``[B]``.
      norm: of a review's shift, over all of its words, in root mean squares of a
        number of its vectors.

    Returns:
      ``[T, B, E]``, 0 at padding, and for a review that nothing can hurt.

    Source: Miyato, Dai & Goodfellow (2017), who normalise the vectors instead.

    Example:
      >>> slope, vectors = jnp.array([[[3.0, 4.0]]]), 2 * jnp.ones((1, 1, 2))
      >>> shift = worst_shift(slope, vectors, jnp.array([1]), norm=5.0)
      >>> [round(float(x), 4) for x in shift[0, 0]]
      [6.0, 8.0]
    """
    # Scaled before they are squared: the square of 1e-20 is 0 in float32.
    highest = jnp.max(jnp.abs(slope), axis=(0, 2), keepdims=True)
    scaled = slope / jnp.where(highest > 0, highest, 1)
    steepness = _norm(scaled)
    along = scaled / jnp.where(steepness > 0, steepness, 1)
    real = time_mask(lengths, vectors.shape[0])[..., None]
    count = jnp.maximum(lengths, 1)[None, :, None] * vectors.shape[-1]
    size = _norm(jnp.where(real, vectors, 0)) / jnp.sqrt(count)
    return norm * size * along


def _norm(x: Array) -> Array:
    """Of each review, ``[1, B, 1]``."""
    return jnp.sqrt(jnp.sum(x**2, axis=(0, 2), keepdims=True))


def _with_gradient(params: PyTree, gradient: PyTree) -> Array:
    """0, but with this gradient: one that is at hand need not be computed again."""
    held = jax.lax.stop_gradient(params)
    terms = jax.tree.map(lambda g, p, h: jnp.sum(g * (p - h)), gradient, params, held)
    return jax.tree.reduce(jnp.add, terms)
