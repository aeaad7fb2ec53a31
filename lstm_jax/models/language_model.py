"""A language model: which word comes next, from a recurrent network."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from lstm_jax.cells import CELLS
from lstm_jax.kernels.product import multiply
from lstm_jax.layers import Layer, dropout, one_way, stack
from lstm_jax.models.classifier import EMBEDDING_INIT


class LanguageModel(nn.Module):
    """Words in, for each a vector that foretells the next.

    ::

        words [B, T] -> embedding [T, B, E] -> layers [T, B, H] -> (projection)
        -> hs [T, B, E]; the scores of the words to come are hs @ embedding.T + bias

    One matrix reads the words and foretells them (Press & Wolf, 2017).  The
    regularisers are those of AWD-LSTM (Merity, Keskar & Socher, 2018).

    Attributes:
      vocab_size: rows of the embedding.
      weight_dropout_rate: of the recurrent weights, one draw a step.
      vocabulary_dropout_rate: of words, everywhere in a batch.

    The other attributes are those of ``ModelConfig``; those of dropout draw once a
    row, for all of its words.
    """

    vocab_size: int
    embedding_size: int = 64
    cell: str = "lstm"
    hidden_size: int = 64
    num_layers: int = 1
    vocabulary_dropout_rate: float = 0.0
    embedding_dropout_rate: float = 0.0
    weight_dropout_rate: float = 0.0
    recurrent_dropout_rate: float = 0.0
    layer_dropout_rate: float = 0.0
    head_dropout_rate: float = 0.0
    dtype: str = "float32"
    implementation: str = "auto"
    unroll: int = 0
    chunk_size: int = 0

    def setup(self) -> None:
        """Declare the parameters, under the names that a classifier gives them."""
        self.embedding = nn.Embed(
            self.vocab_size,
            self.embedding_size,
            embedding_init=EMBEDDING_INIT,
        )
        self.layers = self.param("layers", self._layers().init, self.embedding_size)
        if self._is_projected():
            self.projection = nn.Dense(self.embedding_size, dtype=self.dtype)
        self.bias = self.param("bias", nn.initializers.zeros, (self.vocab_size,))

    def __call__(
        self, token_ids: Array, carry: Any = None, *, train: bool = False
    ) -> tuple[Any, Array, Array]:
        """Read on.

        Args:
          token_ids: int32 ``[B, T]``.
          carry: of the words before, None at the start.
          train: apply dropout, with the rng stream "dropout".

        Returns:
          ``(carry, hs, ys)``: ``hs [T, B, E]`` foretell the next words, ``ys [T, B,
          output_size]`` are the outputs of the last layer before any dropout.
        """
        keys = iter(jax.random.split(self.make_rng("dropout"), 5)) if train else None
        xs = self._embed(token_ids.T, keys)
        layers = self._drop_weights(self.layers, keys)
        key = None if keys is None else next(keys)
        carry, ys = self._layers().apply(layers, xs, carry=carry, key=key)
        hs = ys
        if keys is not None:
            hs = dropout(next(keys), ys, self.head_dropout_rate, along=(0,))
        if self._is_projected():
            hs = self.projection(hs)
        return carry, hs, ys

    def initial_carry(self, batch_size: int) -> Any:
        """What is remembered before the first word."""
        return self._layers().initial_carry((batch_size,))

    def scores(self, hs: Array) -> Array:
        """Of every word, float32 ``[..., V]``, from ``hs [..., E]``."""
        # Not attend(): its scores would have the dtype of the products.
        products: Any = multiply(jnp.float32, hs, self.embedding.embedding.T)
        return products + self.bias

    def words(self, token_ids: Array) -> tuple[Array, Array]:
        """What the scores of some words are made of: vectors ``[..., E]``, biases."""
        return self.embedding(token_ids), self.bias[token_ids]

    def _embed(self, token_ids: Array, keys: Any) -> Array:
        # Looked up, then rounded, as in TextClassifier.
        xs = self.embedding(token_ids).astype(self.dtype)
        if keys is None:
            return xs
        kept = dropout(
            next(keys), jnp.ones(self.vocab_size), self.vocabulary_dropout_rate
        )
        xs = xs * kept[token_ids][..., None].astype(xs.dtype)
        return dropout(next(keys), xs, self.embedding_dropout_rate, along=(0,))

    def _drop_weights(self, layers: Any, keys: Any) -> Any:
        if keys is None:
            return layers
        key, rate = next(keys), self.weight_dropout_rate
        dropped = {}
        for n, (name, layer) in enumerate(layers.items()):
            w_hh = dropout(jax.random.fold_in(key, n), layer["w_hh"], rate)
            dropped[name] = {**layer, "w_hh": w_hh}
        return dropped

    def _is_projected(self) -> bool:
        return self._layers().output_size != self.embedding_size

    def _layers(self) -> Layer:
        layer = one_way(
            CELLS[self.cell](self.hidden_size),
            recurrent_dropout_rate=self.recurrent_dropout_rate,
            unroll=self.unroll or None,
            chunk_size=self.chunk_size or None,
            implementation=self.implementation,
        )
        return stack(
            [layer] * self.num_layers, dropout_rate=self.layer_dropout_rate, along=(0,)
        )
