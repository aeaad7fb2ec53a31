"""Keras' LSTM, GRU and SimpleRNN: outputs and final states on ragged lengths."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from lstm_jax import (  # noqa: E402
    CELLS,
    bidirectional,
    convert,
    draw_together,
    one_way,
)

keras = pytest.importorskip("keras", reason="Keras is an optional peer")

STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5
LENGTHS = np.array([4, STEPS, 1, 0])
KINDS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}


def make_keras(kind, both):
    """A built layer with random weights, biases too."""
    theirs = getattr(keras.layers, kind)(
        HIDDEN, return_sequences=True, return_state=True, zero_output_for_mask=True
    )
    theirs = keras.layers.Bidirectional(theirs) if both else theirs
    theirs.build((BATCH, STEPS, INPUT))
    rng = np.random.default_rng(0)
    theirs.set_weights([0.7 * rng.standard_normal(w.shape) for w in theirs.weights])
    return theirs


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_keras(kind, both):
    theirs, cell = make_keras(kind, both), CELLS[KINDS[kind]](HIDDEN)
    layer = bidirectional(cell) if both else one_way(cell)
    xs = np.random.default_rng(1).standard_normal((BATCH, STEPS, INPUT), "float32")
    mask = np.arange(STEPS) < LENGTHS[:, None]
    ys, *last = theirs(xs, mask=mask)
    params = convert.from_keras(kind, theirs.get_weights())
    carry, got = layer.apply(params, xs.swapaxes(0, 1), lengths=jnp.asarray(LENGTHS))
    assert_close(got.swapaxes(0, 1), np.asarray(ys))
    if kind == "LSTM":  # Keras has h before c
        last = [last[n ^ 1] for n in range(len(last))]
    for a, b in zip(jax.tree.leaves(carry), last, strict=True):
        assert_close(a, np.asarray(b))


@pytest.mark.parametrize("kind", KINDS)
def test_keras_computes_the_same_from_our_weights(kind):
    theirs, layer = make_keras(kind, False), one_way(CELLS[KINDS[kind]](HIDDEN))
    params = layer.init(jax.random.key(0), INPUT)
    theirs.set_weights(convert.to_keras(kind, params))
    xs = np.random.default_rng(1).standard_normal((BATCH, STEPS, INPUT), "float32")
    _, got = layer.apply(params, xs.swapaxes(0, 1))
    assert_close(got.swapaxes(0, 1), np.asarray(theirs(xs)[0]))


def test_a_gru_that_resets_before_the_product_is_refused():
    theirs = keras.layers.GRU(HIDDEN, reset_after=False)
    theirs.build((BATCH, STEPS, INPUT))
    with pytest.raises(ValueError, match="^GRU: expected reset_after=True"):
        convert.from_keras("GRU", theirs.get_weights())


@pytest.mark.parametrize("kind", KINDS)
def test_weights_drawn_together_are_drawn_as_by_keras(kind):
    theirs = getattr(keras.layers, kind)(32)
    theirs.build((None, 3, 64))
    theirs = convert.from_keras(kind, theirs.get_weights())
    ours = draw_together(CELLS[KINDS[kind]](32)).init(jax.random.key(0), 64)
    for params in (theirs, ours):
        w = np.asarray(params["w_hh"])
        np.testing.assert_allclose(w @ w.T, np.eye(32), atol=1e-5)
    limits = [np.abs(params["w_ih"]).max() for params in (theirs, ours)]
    np.testing.assert_allclose(*limits, rtol=0.01)
    np.testing.assert_array_equal(theirs["b"], ours["b"])
