"""LSTM with zoneout (Krueger et al., 2017): units that skip a step at random."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells.base import (
    Cell,
    Params,
    check_rate,
    is_one_hot,
    made_once,
    multiply_input,
)
from lstm_jax.cells.lstm import (
    LSTMCarry,
    LSTMGates,
    lstm,
    lstm_gates,
    lstm_update,
)
from lstm_jax.spread import spread_like


class ZoneoutGates(NamedTuple):
    """The gates of an LSTM, and how much of the old ``c`` and ``h`` stays."""

    i: Array
    f: Array
    g: Array
    o: Array
    hold_c: Array
    hold_h: Array


@made_once
def zoneout_lstm(
    hidden_size: int, *, c_rate: float = 0.5, h_rate: float = 0.05, **settings: Any
) -> Cell:
    """The LSTM some of whose units keep their old value at each step.

    ::

        c~, h~ = the c' and h' of an LSTM
        c' = hold_c * c + (1 - hold_c) * c~
        h' = hold_h * h + (1 - hold_h) * h~              y = h'

    In training each hold is 0 or 1, drawn anew at every step; otherwise it is its rate,
    the mean over all draws.  The draws are inputs: ``noise(key, xs)`` puts them beside
    the features, ``[T, B, D + 2H]``, where a step finds them.  Layers
    do so when ``apply`` is given a ``key``.

    Args:
      hidden_size: ``H``, at least 1.
      c_rate: share of the cell state that is held, in [0, 1).
      h_rate: share of the hidden state that is held, in [0, 1).
      **settings: those of ``lstm``.

    Returns:
      A ``Cell`` with the params of ``lstm``.

    Raises:
      ValueError: a size or a rate out of range: "expected ..., got ...".

    Source: Krueger et al. (2017).

    Example:
      >>> cell = zoneout_lstm(4)
      >>> xs = cell.noise(jax.random.key(0), jnp.ones((7, 2, 3)))
      >>> xs.shape
      (7, 2, 11)
    """
    check_rate("c_rate", c_rate)
    check_rate("h_rate", h_rate)

    def rates(dtype: DTypeLike) -> Array:
        """How much of c, then of h, is held on average, ``[2H]``."""
        halves = [jnp.full(hidden_size, rate, dtype) for rate in (c_rate, h_rate)]
        return jnp.concatenate(halves)

    def noise(key: Array, xs: Array) -> Array:
        """Draw what is held at each step, and put it beside the features."""
        if is_one_hot(xs):
            raise ValueError("zoneout: expected vectors for training, got integer xs")
        shape = (*xs.shape[:-1], 2 * hidden_size)
        hold = jax.random.bernoulli(key, jnp.broadcast_to(rates(jnp.float32), shape))
        hold = spread_like(hold, xs, whole=[-1])
        return jnp.concatenate([xs, hold.astype(xs.dtype)], axis=-1)

    def zoneout_project(params: Params, x: Array, dtype: DTypeLike) -> Array:
        """What the input adds to the gates, and beside it what is held, ``[B, 6H]``."""
        x, hold = _split(params, x, 2 * hidden_size)
        hold = rates(dtype) if hold is None else hold
        v = multiply_input(params, x, dtype)
        hold = jnp.broadcast_to(hold.astype(dtype), (*v.shape[:-1], 2 * hidden_size))
        return jnp.concatenate([v, jax.lax.stop_gradient(hold)], axis=-1)

    base = lstm(hidden_size, **settings)
    step = {
        "project": zoneout_project,
        "gates": zoneout_gates,
        "update": zoneout_update,
    }
    return base._replace(adjoint=None, noise=noise, **step)


def zoneout_gates(params: Params, carry: LSTMCarry, v: Array, u: Array) -> ZoneoutGates:
    """The gates of a step, and what is held."""
    v, hold = v[..., : u.shape[-1]], v[..., u.shape[-1] :]
    hold_c, hold_h = jnp.split(hold, 2, axis=-1)
    return ZoneoutGates(*lstm_gates(params, carry, v, u), hold_c, hold_h)


def zoneout_update(params: Params, carry: LSTMCarry, gates: ZoneoutGates) -> LSTMCarry:
    """An LSTM's update, of which a part is held back."""
    new = lstm_update(params, carry, LSTMGates(*gates[:4]))
    return LSTMCarry(
        gates.hold_c * carry.c + (1 - gates.hold_c) * new.c,
        gates.hold_h * carry.h + (1 - gates.hold_h) * new.h,
    )


def _split(params: Params, x: Array, width: int) -> tuple[Array, Array | None]:
    """The features, and what is held if it was drawn and put beside them."""
    num_features = params["w_ih"].shape[0]
    if is_one_hot(x) or x.shape[-1] == num_features:
        return x, None
    if x.shape[-1] != num_features + width:
        raise ValueError(
            f"x: expected {num_features} features, or {num_features + width} with "
            f"what is held, got {x.shape[-1]}"
        )
    return x[..., :num_features], x[..., num_features:]
