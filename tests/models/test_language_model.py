import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax import layers
from lstm_jax.models.language_model import LanguageModel

SIZES = {"vocab_size": 11, "embedding_size": 6}


def make(hidden_size=8, **settings):
    model = LanguageModel(**SIZES, hidden_size=hidden_size, **settings)
    token_ids = jax.random.randint(jax.random.key(1), (3, 9), 0, 11)
    return model, model.init(jax.random.key(0), token_ids), token_ids


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("hidden_size", [6, 8])
def test_no_word_is_foretold_by_itself_or_later_ones(hidden_size, num_layers):
    model, variables, token_ids = make(hidden_size, num_layers=num_layers)
    _, hs, ys = model.apply(variables, token_ids)
    assert (hs.shape, ys.shape) == ((9, 3, 6), (9, 3, hidden_size))
    other = token_ids.at[:, 5].set((token_ids[:, 5] + 1) % 11)
    _, changed, _ = model.apply(variables, other)
    np.testing.assert_array_equal(hs[:5], changed[:5])
    assert (np.abs(hs[5:] - changed[5:]).max(axis=(1, 2)) > 1e-6).all()


@pytest.mark.parametrize("hidden_size", [6, 8, 12])
def test_a_cell_whose_output_is_narrower_than_its_state(hidden_size):
    """Of lstmp, half: only where that is not a word's width are outputs projected."""
    model, variables, token_ids = make(hidden_size, cell="lstmp")
    assert ("projection" in variables["params"]) == (hidden_size != 12)
    _, hs, ys = model.apply(variables, token_ids)
    assert (hs.shape, ys.shape) == ((9, 3, 6), (9, 3, hidden_size // 2))
    assert model.apply(variables, hs, method="scores").shape == (9, 3, 11)


def test_two_windows_are_one():
    model, variables, token_ids = make(num_layers=2)
    last, whole, _ = model.apply(variables, token_ids)
    carry = model.initial_carry(3)
    parts = []
    for part in (token_ids[:, :4], token_ids[:, 4:]):
        carry, hs, _ = model.apply(variables, part, carry)
        parts.append(hs)
    np.testing.assert_allclose(jnp.concatenate(parts), whole, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), carry, last)


def test_the_words_are_foretold_by_the_matrix_that_reads_them():
    model, variables, token_ids = make()
    table = np.asarray(variables["params"]["embedding"]["embedding"], np.float64)
    bias = np.random.default_rng(0).normal(size=11)
    params = {**variables["params"], "bias": jnp.asarray(bias, jnp.float32)}
    _, hs, _ = model.apply({"params": params}, token_ids)
    scores = model.apply({"params": params}, hs, method="scores")
    expected = np.asarray(hs, np.float64) @ table.T + bias
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    vectors, biases = model.apply({"params": params}, token_ids, method="words")
    np.testing.assert_allclose(vectors, table[token_ids], rtol=1e-6)
    np.testing.assert_allclose(biases, bias[token_ids], rtol=1e-6)


RATES = (
    "vocabulary_dropout_rate",
    "embedding_dropout_rate",
    "weight_dropout_rate",
    "recurrent_dropout_rate",
    "layer_dropout_rate",
    "head_dropout_rate",
)


@pytest.mark.parametrize("name", RATES)
def test_each_kind_of_dropout_is_drawn_in_training_alone(name):
    model, variables, token_ids = make(num_layers=2, **{name: 0.5})
    plain, _, _ = make(num_layers=2)
    read = model.apply(variables, token_ids)
    jax.tree.map(np.testing.assert_array_equal, read, plain.apply(variables, token_ids))

    def train(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(variables, token_ids, train=True, rngs=rngs)[1]

    np.testing.assert_array_equal(train(0), train(0))
    assert np.abs(train(0) - train(1)).max() > 1e-3
    assert np.abs(train(0) - read[1]).max() > 1e-3


def test_dropout_between_layers_is_one_draw_a_row(monkeypatch):
    model, variables, token_ids = make(num_layers=2, layer_dropout_rate=0.5)
    real, handed_up = layers.dropout, []

    def spy(key, x, rate, **how):
        y = real(key, x, rate, **how)
        handed_up.append(y) if rate else None
        return y

    monkeypatch.setattr(layers, "dropout", spy)
    model.apply(variables, token_ids, train=True, rngs={"dropout": jax.random.key(0)})
    (ys,) = handed_up
    dropped = np.asarray(ys) == 0
    assert dropped.any() and (dropped == dropped[0]).all()
    assert not (dropped[0] == dropped[0, 0]).all()


def test_a_word_that_is_dropped_is_dropped_everywhere():
    model, variables, _ = make(vocabulary_dropout_rate=0.5)
    token_ids = jnp.array([[2, 3, 2, 3, 2, 3]] * 2)

    def embed(module, token_ids):
        keys = iter(jax.random.split(module.make_rng("dropout"), 5))
        return module._embed(token_ids.T, keys)

    seen = set()
    for seed in range(8):
        rngs = {"dropout": jax.random.key(seed)}
        xs = np.asarray(model.apply(variables, token_ids, method=embed, rngs=rngs))
        kept = np.abs(xs).max(axis=-1) > 0  # [T, B]
        for first in (0, 1):
            assert len(np.unique(kept[first::2])) == 1
        seen |= set(kept.ravel().tolist())
    assert seen == {True, False}
