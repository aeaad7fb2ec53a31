"""LSTM with peepholes (Gers & Schmidhuber, 2000): the gates see the cell state."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer, normal
from jax.typing import DTypeLike

from lstm_jax.cells.base import Cell, Params, add_bias, draw, made_once, scale
from lstm_jax.cells.lstm import LSTMCarry, LSTMGates, lstm


@made_once
def peephole_lstm(
    hidden_size: int,
    *,
    peephole_init: Initializer = normal(0.1),  # noqa: B008 (a pure function)
    **settings: Any,
) -> Cell:
    """The LSTM with peepholes as a ``Cell``.

    ::

        z = x @ w_ih + h @ w_hh + b          blocks in the order i, f, g, o
        i, f = sigmoid(z_i + w_c[0] * c, z_f + w_c[1] * c)
        c' = f * c + i * tanh(z_g)
        o = sigmoid(z_o + w_c[2] * c')       the new cell state, not the old
        h' = o * tanh(c')                    y = h'

    Args:
      hidden_size: ``H``, at least 1.
      peephole_init: draws ``w_c``.
      **settings: those of ``lstm``.

    Returns:
      A ``Cell`` with the params of ``lstm`` and ``w_c [3, H]``, for i, f and o.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 1, got ...``.

    Source: Gers & Schmidhuber (2000); equations of Gers, Schraudolph & Schmidhuber
      (2002).

    Example:
      >>> params = peephole_lstm(4).init(jax.random.key(0), input_size=3)
      >>> params["w_c"].shape
      (3, 4)
    """
    base = lstm(hidden_size, **settings)

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights."""
        key_lstm, key_c = jax.random.split(key)
        w_c = draw(peephole_init, key_c, (3, hidden_size), dtype)
        return base.init(key_lstm, input_size, dtype) | {"w_c": w_c}

    return base._replace(init=init, gates=peephole_lstm_gates, adjoint=None)


def peephole_lstm_gates(
    params: Params, carry: LSTMCarry, v: Array, u: Array
) -> LSTMGates:
    """The gates of a step; the last one needs the cell state that the others make."""
    z_i, z_f, z_g, z_o = jnp.split(add_bias(v + u, params["b"]), 4, axis=-1)
    w_i, w_f, w_o = params["w_c"]
    i = jax.nn.sigmoid(z_i + scale(carry.c, w_i))
    f = jax.nn.sigmoid(z_f + scale(carry.c, w_f))
    g = jnp.tanh(z_g)
    o = jax.nn.sigmoid(z_o + scale(f * carry.c + i * g, w_o))
    return LSTMGates(i, f, g, o)
