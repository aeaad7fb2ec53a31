"""What is done around cuDNN's LSTM, with JAX's own model of it in its place."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import both_ways
from jax.experimental import rnn

from lstm_jax import LSTMCarry, gru, lstm, unroll

T, B, D, H = 6, 4, 3, 5
CELL = lstm(H)


def run_model(x, h, c, weights, lengths, input_size, hidden_size, *rest):
    """``jax.experimental.rnn.lstm`` without cuDNN."""
    parts = rnn.unpack_lstm_weights(weights, input_size, hidden_size, 1, False)
    assert lengths.dtype == jnp.int32
    assert rest == (1, 0.0, False)
    return rnn.lstm_ref(
        x, h, c, *parts, lengths, input_size, hidden_size, 1, 0.0, False
    )


@pytest.fixture
def cudnn_model(monkeypatch):
    monkeypatch.setattr(rnn, "lstm", run_model)


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def problem():
    params = CELL.init(jax.random.key(0), D) | {"b": random(1, 4 * H)}
    return params, random(2, T, B, D), LSTMCarry(random(3, B, H), random(4, B, H))


def outputs_and_gradients(implementation, reverse, lengths):
    cotangents = random(5, T, B, H), random(6, B, H), random(7, B, H)

    def loss(params, xs, carry):
        run = partial(unroll, reverse=reverse, implementation=implementation)
        (c, h), ys = run(CELL, params, xs, carry=carry, lengths=lengths)
        total = sum((a * d).sum() for a, d in zip((ys, c, h), cotangents, strict=True))
        return total, (ys, c, h)

    return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(*problem())


@both_ways
@pytest.mark.parametrize("lengths", [None, (T, 0, 1, 3)], ids=["whole", "ragged"])
@pytest.mark.usefixtures("cudnn_model")
def test_equals_the_scan(reverse, lengths):
    lengths = None if lengths is None else jnp.array(lengths)
    expected = outputs_and_gradients("scan", reverse, lengths)
    got = outputs_and_gradients("cudnn", reverse, lengths)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("cell", "change", "message"),
    [
        (gru(H), {}, "an LSTM cell"),
        (CELL, {"dtype": jnp.bfloat16}, "float32, got"),
        (CELL, {"carry": CELL.initial_carry((B,), "bfloat16")}, "float32, got"),
        (CELL, {"shape": (T, B, 2, D)}, "xs [T, B, D], got"),
        (CELL, {"h_mask": True}, "no h_mask"),
    ],
)
def test_refuses_what_cudnn_cannot_do(cell, change, message):
    shape, dtype = change.get("shape", (T, B, D)), change.get("dtype", jnp.float32)
    xs = random(0, *shape).astype(dtype)
    h_mask = random(1, B, H) if "h_mask" in change else None
    params = cell.init(jax.random.key(0), D)
    with pytest.raises(ValueError) as caught:
        how = {"carry": change.get("carry"), "h_mask": h_mask}
        unroll(cell, params, xs, **how, implementation="cudnn")
    assert str(caught.value).startswith(f"implementation='cudnn': expected {message}")


@both_ways
@pytest.mark.usefixtures("cudnn_model")
def test_what_stands_in_the_padding_reaches_no_gradient(reverse):
    params, xs, carry = problem()
    lengths = jnp.array([T, 0, 1, 3])
    spoilt = xs.at[0, 1].set(jnp.nan).at[3:, 3].set(jnp.nan)

    def loss(params, xs):
        how = {"lengths": lengths, "reverse": reverse, "implementation": "cudnn"}
        (c, h), ys = unroll(CELL, params, xs, carry=carry, **how)
        return (c * h).sum() + (ys**2).sum()

    expected, got = jax.grad(loss)(params, xs), jax.grad(loss)(params, spoilt)
    jax.tree.map(np.testing.assert_array_equal, got, expected)
