"""Models whose products are in bfloat16: what is added up stays float32."""

import jax
import jax.numpy as jnp
import jaxprs
import numpy as np
import pytest

from lstm_jax.data.streams import lay_out
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.training.next_word import Penalties, next_word_loss

VOCAB, SIZE = 19, 6


def classifier(dtype, inputs="embedding"):
    model = TextClassifier(
        vocab_size=VOCAB,
        num_logits=1,
        unknown_id=1,
        embedding_size=SIZE,
        hidden_size=5,
        dtype=dtype,
        inputs=inputs,
    )
    token_ids = jax.random.randint(jax.random.key(1), (4, 300), 0, 3)
    lengths = jnp.array([300, 100, 7, 250])
    params = model.init(jax.random.key(0), token_ids, lengths)["params"]

    def loss(params):
        return model.apply({"params": params}, token_ids, lengths).sum()

    return loss, params


def one_hot(dtype):
    return classifier(dtype, "one_hot")


def language_model(dtype):
    model = LanguageModel(
        vocab_size=VOCAB, embedding_size=SIZE, hidden_size=5, dtype=dtype
    )
    params = model.init(jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
    texts = [np.arange(600, dtype=np.int32) % 3 + 1]
    window = lay_out(texts, rows=4, window=120).at(0)

    def loss(params):
        sampled = next_word_loss(model, Penalties(), num_sampled=8)
        return sampled(params, model.initial_carry(4), window, jax.random.key(2))[0]

    return loss, params


def tables_added_to(jaxpr):
    """The dtypes of all tables of words that rows are added to."""
    results = [e.outvars[0].aval for e in jaxprs.named(jaxpr, "scatter-add")]
    return [x.dtype.name for x in results if x.shape in {(VOCAB, SIZE), (VOCAB, 20)}]


@pytest.mark.parametrize("make", [classifier, one_hot, language_model])
def test_what_a_frequent_word_learns_is_a_sum_in_float32(make):
    """In bfloat16 it stops growing after a few hundred of its places."""
    loss, params = make("bfloat16")
    program = jax.make_jaxpr(jax.grad(loss))(params)
    found = tables_added_to(program.jaxpr)
    assert found and set(found) == {"float32"}


def test_the_gradient_is_about_that_of_float32():
    half, whole = (
        jax.grad(loss)(params)["embedding"]["embedding"]
        for loss, params in map(language_model, ("bfloat16", "float32"))
    )
    assert np.linalg.norm(half - whole) < 0.03 * np.linalg.norm(whole)
