"""LSTM with coupled input and forget gates (CIFG): what is not kept is written."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer, lecun_normal, orthogonal
from jax.typing import DTypeLike

from lstm_jax.cells.base import (
    Cell,
    Params,
    add_bias,
    check_size,
    init_gates,
    made_once,
    multiply_input,
)
from lstm_jax.cells.lstm import LSTMCarry, LSTMGates, lstm, lstm_update


@made_once
def coupled_lstm(
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    input_init: Initializer = lecun_normal(),  # noqa: B008 (a pure function)
    recurrent_init: Initializer = orthogonal(),  # noqa: B008
) -> Cell:
    """The LSTM whose input gate is what its forget gate leaves.

    ::

        z = x @ w_ih + h @ w_hh + b          blocks in the order f, g, o
        f, o = sigmoid(z_f, z_o)             i = 1 - f
        c' = f * c + i * tanh(z_g)           h' = o * tanh(c')        y = h'

    Args:
      hidden_size: ``H``, at least 1.
      forget_bias: put into the forget block of ``b`` by ``init``.
      input_init: draws each gate's ``[D, H]`` block of ``w_ih``.
      recurrent_init: draws each gate's ``[H, H]`` block of ``w_hh``.

    Returns:
      A ``Cell`` with params ``w_ih [D, 3H]``, ``w_hh [H, 3H]``, ``b [3H]``: a quarter
      fewer than an LSTM's.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 1, got ...``.

    Source: Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber (2017), "CIFG".

    Example:
      >>> params = coupled_lstm(4).init(jax.random.key(0), input_size=3)
      >>> {name: w.shape for name, w in params.items()}
      {'w_ih': (3, 12), 'w_hh': (4, 12), 'b': (12,)}
    """
    initial_carry = lstm(hidden_size).initial_carry

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights, gate by gate."""
        check_size("input_size", input_size)
        key_ih, key_hh = jax.random.split(key)
        gates = partial(init_gates, hidden_size=hidden_size, num_gates=3, dtype=dtype)
        return {
            "w_ih": gates(input_init, key_ih, input_size),
            "w_hh": gates(recurrent_init, key_hh, hidden_size),
            "b": jnp.zeros(3 * hidden_size, dtype).at[:hidden_size].set(forget_bias),
        }

    step = (multiply_input, coupled_lstm_gates, lstm_update)
    return Cell(init, initial_carry, *step, hidden_size)


def coupled_lstm_gates(
    params: Params, carry: LSTMCarry, v: Array, u: Array
) -> LSTMGates:
    """The gates of a step, of which i is not free."""
    del carry  # h is in u
    z_f, z_g, z_o = jnp.split(add_bias(v + u, params["b"]), 3, axis=-1)
    f = jax.nn.sigmoid(z_f)
    return LSTMGates(1 - f, f, jnp.tanh(z_g), jax.nn.sigmoid(z_o))
