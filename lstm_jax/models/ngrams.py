"""A linear classifier over naive-Bayes weighted n-grams."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array


class NGramLogits(nn.Module):
    """``logits_k = b_k + sum_g w_gk r_gk`` over the n-grams g of a review.

    The values ``r`` are log-count ratios and stay as they are; the weights ``w``
    start at 0.  Scaled by ``r``, an n-gram that speaks for a class learns faster
    than one that stands everywhere.

    Source: Wang & Manning (2012), with logistic regression for the SVM.

    Attributes:
      num_ngrams: rows of the table.
      num_logits: ``K``.
    """

    num_ngrams: int
    num_logits: int

    @nn.compact
    def __call__(self, ngram_ids: Array, ngram_values: Array) -> Array:
        """Ids int32 ``[B, G]``, values float32 ``[B, G, K]`` to logits ``[B, K]``."""
        shape = (self.num_ngrams, self.num_logits)
        weights = self.param("weights", nn.initializers.zeros, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.num_logits,))
        sums = (weights[ngram_ids] * ngram_values).sum(axis=1)
        return sums + jnp.broadcast_to(bias, sums.shape)
