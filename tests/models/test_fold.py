"""The classifier without its embedding says what the one with it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.models.fold import fold_embedding

SIZES = {"vocab_size": 11, "num_logits": 2, "unknown_id": 1, "embedding_size": 5}
LENGTHS = np.array([7, 0, 1, 4], np.int32)
TOKENS = np.random.default_rng(0).integers(0, 11, (4, 7), np.int32)


def make(**changes):
    module = TextClassifier(**SIZES, hidden_size=4, **changes)
    key = jax.random.key(1)
    shapes = jax.eval_shape(module.init, key, TOKENS, LENGTHS)["params"]
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(key, len(leaves))
    drawn = map(lambda k, x: 0.7 * jax.random.normal(k, x.shape), keys, leaves)
    return module, tree.unflatten(drawn)


def both(module, params):
    folded = fold_embedding(module)
    logits = folded.module.apply({"params": folded.fold(params)}, TOKENS, LENGTHS)
    return module.apply({"params": params}, TOKENS, LENGTHS), logits, folded


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_the_logits_are_the_same(cell, bidirectional):
    changes = {"cell": cell, "bidirectional": bidirectional, "num_layers": 2}
    expected, got, _ = both(*make(**changes, input_dropout_rate=0.3))
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


def test_there_is_no_embedding_left_and_each_word_has_its_row():
    module, params = make()
    _, _, folded = both(module, params)
    prepared = folded.fold(params)
    assert "embedding" not in prepared and prepared["logits"] is params["logits"]
    way = params["layers"]["layer_0"]["backward"]
    row = params["embedding"]["embedding"][3] @ way["w_ih"]
    got = prepared["layers"]["layer_0"]["backward"]["w_ih"]
    assert got.shape == (11, 16)
    np.testing.assert_allclose(got[3], row, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": "one_hot"},
        {"cell": "layer_norm_lstm"},
        {"dtype": "bfloat16"},
    ],
)
def test_what_cannot_be_folded_stays_as_it_is(changes):
    module, params = make(**changes)
    folded = fold_embedding(module)
    assert folded.module is module and folded.fold(params) is params
    assert jnp.isfinite(both(module, params)[1]).all()


def test_a_kernel_that_takes_no_words_keeps_the_embedding():
    """Its first validation would end the run."""
    module, params = make()
    module = module.clone(implementation="cudnn")
    folded = fold_embedding(module)
    assert folded.module is module and folded.fold(params) is params
