"""LSTM with layer normalisation (Ba, Kiros & Hinton, 2016)."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells.base import Cell, Params, add_bias, made_once, multiply_input, scale
from lstm_jax.cells.lstm import LSTMCarry, LSTMGates, lstm, lstm_gates

EPSILON = 1e-5  # added to the variance


@made_once
def layer_norm_lstm(hidden_size: int, **settings: Any) -> Cell:
    """The LSTM whose products and cell state are normalised.

    ::

        norm(a) = (a - mean(a)) / sqrt(var(a) + 1e-5)     over the features of a row
        z = g_ih * norm(x @ w_ih) + g_hh * norm(h @ w_hh) + b        order i, f, g, o
        c' = f * c + i * g                                as in an LSTM
        h' = o * tanh(g_c * norm(c') + b_c)               y = h'

    The paper's other biases would be added to ``b``, so there is one.

    Args:
      hidden_size: ``H``, at least 2: one number alone is always normalised to 0.
      **settings: those of ``lstm``.

    Returns:
      A ``Cell`` with the params of ``lstm`` and the gains ``g_ih [4H]``, ``g_hh [4H]``,
      ``g_c [H]``, which start at 1, and ``b_c [H]``.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 2, got ...``.

    Source: Ba, Kiros & Hinton (2016), the LSTM of their supplement.

    Example:
      >>> params = layer_norm_lstm(4).init(jax.random.key(0), input_size=3)
      >>> {name: w.shape for name, w in params.items() if name.startswith("g")}
      {'g_ih': (16,), 'g_hh': (16,), 'g_c': (4,)}
    """
    base = lstm(hidden_size, **settings)
    if hidden_size < 2:
        raise ValueError(f"hidden_size: expected an integer >= 2, got {hidden_size}")

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights; the gains start at 1."""
        return base.init(key, input_size, dtype) | {
            "g_ih": jnp.ones(4 * hidden_size, dtype),
            "g_hh": jnp.ones(4 * hidden_size, dtype),
            "g_c": jnp.ones(hidden_size, dtype),
            "b_c": jnp.zeros(hidden_size, dtype),
        }

    return base._replace(
        init=init,
        project=layer_norm_lstm_project,
        gates=layer_norm_lstm_gates,
        update=layer_norm_lstm_update,
        adjoint=None,
    )


def layer_norm_lstm_project(params: Params, x: Array, dtype: DTypeLike) -> Array:
    """What the input adds to the gates, normalised, ``[B, 4H]``."""
    v = normalize(multiply_input(params, x, dtype))
    return scale(v, params["g_ih"])


def layer_norm_lstm_gates(
    params: Params, carry: LSTMCarry, v: Array, u: Array
) -> LSTMGates:
    """The gates of a step; what the hidden state adds is normalised by itself."""
    return lstm_gates(params, carry, v, scale(normalize(u), params["g_hh"]))


def layer_norm_lstm_update(
    params: Params, carry: LSTMCarry, gates: LSTMGates
) -> LSTMCarry:
    """``c' = f * c + i * g``, of which ``h'`` sees the normalised form."""
    c = gates.f * carry.c + gates.i * gates.g
    shown = add_bias(scale(normalize(c), params["g_c"]), params["b_c"])
    return LSTMCarry(c, gates.o * jnp.tanh(shown))


def normalize(a: Array) -> Array:
    """Mean 0 and variance 1 over the last axis, one row at a time."""
    centred = a - a.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPSILON)
