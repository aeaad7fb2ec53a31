"""LSTM with a recurrent projection (Sak, Senior & Beaufays, 2014)."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer, lecun_normal, orthogonal
from jax.typing import DTypeLike

from lstm_jax.cells.base import (
    Cell,
    Params,
    check_size,
    draw,
    init_gates,
    made_once,
    multiply_input,
    project,
)
from lstm_jax.cells.lstm import (
    LSTMCarry,
    LSTMGates,
    lstm_gates,
    lstm_update,
)


@made_once
def lstmp(
    hidden_size: int,
    projection_size: int | None = None,
    *,
    forget_bias: float = 1.0,
    input_init: Initializer = lecun_normal(),  # noqa: B008 (a pure function)
    recurrent_init: Initializer = orthogonal(),  # noqa: B008
    projection_init: Initializer = orthogonal(),  # noqa: B008
) -> Cell:
    """The LSTM whose hidden state is narrower than its cell state.

    ::

        z = x @ w_ih + h @ w_hh + b          blocks in the order i, f, g, o
        i, f, o = sigmoid(z_i, z_f, z_o)     g = tanh(z_g)
        c' = f * c + i * g                   [B, H]
        h' = (o * tanh(c')) @ w_hr           [B, P]       y = h'

    The projection runs in the carry's dtype.

    Args:
      hidden_size: ``H``, the width of the cell state, at least 1.
      projection_size: ``P``, the width of the hidden state and of the output; None
        is half of ``H``.
      forget_bias: put into the forget block of ``b`` by ``init``.
      input_init: draws each gate's ``[D, H]`` block of ``w_ih``.
      recurrent_init: draws each gate's ``[P, H]`` block of ``w_hh``.
      projection_init: draws ``w_hr [H, P]``.

    Returns:
      A ``Cell`` with params ``w_ih [D, 4H]``, ``w_hh [P, 4H]``, ``b [4H]`` and
      ``w_hr [H, P]``: torch's ``nn.LSTM(proj_size=P)``.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 1, got ...``.

    Source: Sak, Senior & Beaufays (2014), without peepholes and without the second,
      non-recurrent projection.

    Example:
      >>> cell = lstmp(6, projection_size=2)
      >>> carry = cell.initial_carry((5,))
      >>> carry.c.shape, carry.h.shape, cell.output_size
      ((5, 6), (5, 2), 2)
    """
    check_size("hidden_size", hidden_size)
    width = max(1, hidden_size // 2) if projection_size is None else projection_size
    check_size("projection_size", width)

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights, gate by gate."""
        check_size("input_size", input_size)
        key_ih, key_hh, key_hr = jax.random.split(key, 3)
        gates = partial(init_gates, hidden_size=hidden_size, num_gates=4, dtype=dtype)
        forget = slice(hidden_size, 2 * hidden_size)
        return {
            "w_ih": gates(input_init, key_ih, input_size),
            "w_hh": gates(recurrent_init, key_hh, width),
            "b": jnp.zeros(4 * hidden_size, dtype).at[forget].set(forget_bias),
            "w_hr": draw(projection_init, key_hr, (hidden_size, width), dtype),
        }

    def initial_carry(
        batch_shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> LSTMCarry:
        """Zeros."""
        c = jnp.zeros((*batch_shape, hidden_size), dtype)
        return LSTMCarry(c=c, h=jnp.zeros((*batch_shape, width), dtype))

    return Cell(init, initial_carry, multiply_input, lstm_gates, lstmp_update, width)


def lstmp_update(params: Params, carry: LSTMCarry, gates: LSTMGates) -> LSTMCarry:
    """An LSTM's update, whose hidden state is then projected."""
    whole = lstm_update(params, carry, gates)
    return LSTMCarry(whole.c, project(whole.h, params["w_hr"], whole.h.dtype))
