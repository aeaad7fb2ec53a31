"""The sentiment classifier: a recurrent network, and n-grams beside it if asked."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.nn.initializers import Initializer, variance_scaling
from jax.typing import ArrayLike

from lstm_jax.cells import CELLS, draw_together
from lstm_jax.layers import Layer, bidirectional, one_way, stack
from lstm_jax.models.ngrams import NGramLogits
from lstm_jax.models.pooling import Direction, Pool

# What Flax itself draws an embedding from.
EMBEDDING_INIT = variance_scaling(1.0, "fan_in", "normal", out_axis=0)


class TextClassifier(nn.Module):
    """Token ids in, logits out.

    ::

        words [B, T] -> embedding [T, B, E] -> layers [T, B, F] -> pooling [B, P]
        -> (hidden layer) -> logits [B, K]
        (with one-hot inputs the words go into the layers as they are)
        n-grams [B, G] -> weighted sum -> logits [B, K], mixed with those above

    Attributes:
      vocab_size: rows of the embedding.
      num_logits: ``K``: 1 for two classes by one logit, else one a class.
      unknown_id: the token that word dropout puts in a word's place.
      num_ngrams: rows of the n-gram table; 0 leaves the n-grams out.
      embedding_init: draws the embedding.

    The other attributes are those of ``ModelConfig``.
    """

    vocab_size: int
    num_logits: int
    unknown_id: int
    num_ngrams: int = 0
    embedding_init: Initializer = EMBEDDING_INIT
    inputs: str = "embedding"
    embedding_size: int = 64
    train_embedding: bool = True
    cell: str = "lstm"
    gates_drawn: str = "apart"
    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = True
    backward: bool = False
    pooling: str = "mean_max"
    head_size: int = 0
    word_dropout_rate: float = 0.0
    embedding_dropout_rate: float = 0.0
    input_dropout_rate: float = 0.0
    recurrent_dropout_rate: float = 0.0
    layer_dropout_rate: float = 0.0
    head_dropout_rate: float = 0.0
    ngram_share: float = 0.5
    dtype: str = "float32"
    implementation: str = "auto"
    unroll: int = 0
    chunk_size: int = 0

    def __call__(
        self,
        token_ids: Array,
        lengths: Array,
        ngram_ids: Array | None = None,
        ngram_values: Array | None = None,
        *,
        train: bool = False,
    ) -> Array:
        """Classify a batch.

        Args:
          token_ids: int32 ``[B, T]``, real tokens first.
          lengths: int32 ``[B]``, the number of real tokens.
          ngram_ids: int32 ``[B, G]``, when the model reads n-grams.
          ngram_values: float32 ``[B, G, K]``, 0 at padding.
          train: apply dropout, with the rng stream "dropout".

        Returns:
          float32 logits ``[B, K]``: ``combine`` of the parts'.  Padding changes
          nothing.
        """
        inputs = (token_ids, lengths, ngram_ids, ngram_values)
        return self.combine(self.parts(*inputs, train=train))

    def combine(self, parts: Array) -> Array:
        """Mix the logits of the parts, ``[P, B, K]`` to ``[B, K]``."""
        if not self.num_ngrams:
            return parts[0]
        return (1 - self.ngram_share) * parts[0] + self.ngram_share * parts[1]

    @property
    def direction(self) -> Direction:
        """In which the layers read."""
        if self.bidirectional:
            return "both"
        return "backward" if self.backward else "forward"

    @nn.compact
    def parts(
        self,
        token_ids: Array,
        lengths: Array,
        ngram_ids: Array | None = None,
        ngram_values: Array | None = None,
        *,
        train: bool = False,
        shift: ArrayLike = 0.0,
    ) -> Array:
        """The logits ``[P, B, K]`` of each part: the network's, then the n-grams'.

        Each part is trained to classify by itself.  Trained on their sum, the
        n-grams, which learn faster, would leave the network nothing to learn.
        ``shift [T, B, E]`` is added to the vectors of the words.
        """
        # The one transposition: integers, before they become vectors.
        xs = self._embed(token_ids.T, train)
        if self.inputs != "one_hot":
            xs = xs + jnp.asarray(shift, xs.dtype)
        ys = self._recur(xs, lengths, train)
        pooled = Pool(self.pooling, self.direction, name="pool")(ys, lengths)
        parts = [self._head(pooled.astype(jnp.float32), train)]
        if self.num_ngrams:
            if ngram_ids is None or ngram_values is None:
                raise ValueError("ngram_ids, ngram_values: expected arrays, got None")
            ngrams = NGramLogits(self.num_ngrams, self.num_logits, name="ngrams")
            parts.append(ngrams(ngram_ids, ngram_values))
        return jnp.stack(parts)

    def _embed(self, token_ids: Array, train: bool) -> Array:
        """Vectors ``[T, B, E]``; the ids themselves where they stand for one-hot."""
        if train and self.word_dropout_rate:
            token_ids = self._drop_words(token_ids)
        if self.inputs == "one_hot":
            return token_ids
        embed = nn.Embed(
            self.vocab_size,
            self.embedding_size,
            embedding_init=self.embedding_init,
            name="embedding",
        )
        # Looked up, then rounded: the gradient of a word that stands everywhere is a
        # long sum, which bfloat16 does not hold.
        xs = embed(token_ids).astype(self.dtype)
        if not self.train_embedding:
            # The optimizer leaves it alone anyhow; so its gradient is not computed.
            xs = jax.lax.stop_gradient(xs)
        # One mask a review, the same at each word (Gal & Ghahramani, 2016).
        drop = nn.Dropout(
            self.embedding_dropout_rate, broadcast_dims=(0,), deterministic=not train
        )
        return drop(xs)

    def _drop_words(self, token_ids: Array) -> Array:
        key = self.make_rng("dropout")
        dropped = jax.random.bernoulli(key, self.word_dropout_rate, token_ids.shape)
        return jnp.where(dropped, self.unknown_id, token_ids)

    def _recur(self, xs: Array, lengths: Array, train: bool) -> Array:
        layers, one_hot = self._layers(), self.inputs == "one_hot"
        input_size = self.vocab_size if one_hot else xs.shape[-1]
        # Flax draws them at each trace, to compare shapes; JAX cannot draw a matrix
        # whose size is a symbol, as in an exported program.
        given = self.get_variable("params", "layers")
        params = given or self.param("layers", layers.init, input_size)
        if one_hot:
            # Numbers of words have no dtype to compute in: the weights give it.
            params = jax.tree.map(lambda w: w.astype(self.dtype), params)
        key = self.make_rng("dropout") if train else None
        return layers.apply(params, xs, lengths=lengths, key=key)[1]

    def _layers(self) -> Layer:
        alone = partial(one_way, reverse=self.backward)
        build = bidirectional if self.bidirectional else alone
        cell = CELLS[self.cell](self.hidden_size)
        layer = build(
            draw_together(cell) if self.gates_drawn == "together" else cell,
            input_dropout_rate=self.input_dropout_rate,
            recurrent_dropout_rate=self.recurrent_dropout_rate,
            unroll=self.unroll or None,
            chunk_size=self.chunk_size or None,
            implementation=self.implementation,
        )
        return stack([layer] * self.num_layers, dropout_rate=self.layer_dropout_rate)

    def _head(self, pooled: Array, train: bool) -> Array:
        drop = nn.Dropout(self.head_dropout_rate, deterministic=not train)
        hidden = drop(pooled)
        if self.head_size:
            hidden = drop(nn.relu(nn.Dense(self.head_size, name="hidden")(hidden)))
        return nn.Dense(self.num_logits, name="logits")(hidden)
