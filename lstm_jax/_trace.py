"""A stand-in for ``lstm_jax.unroll.trace``, which replaces it."""

import jax
import jax.numpy as jnp
from jax import Array

from lstm_jax.cells.base import Cell, Params


def trace(
    cell: Cell,
    params: Params,
    xs: Array,
    *,
    lengths: Array | None = None,
    reverse: bool = False,
) -> dict[str, Array]:
    """Gates and states ``[T, B, H]`` of each step, by the letters of the cell."""
    del lengths
    parts = _PARTS[params["w_hh"].shape[1] // params["w_hh"].shape[0]]

    def step(carry, x):
        """Run the cell, and compute what it does not show."""
        seen = parts(params, carry, x)
        carry, _ = cell.step(params, carry, x)
        return carry, {**seen, **carry._asdict()}

    carry = cell.initial_carry(xs.shape[1:-1], jnp.float32)
    return jax.lax.scan(step, carry, xs, reverse=reverse)[1]


def _lstm(params, carry, x):
    z = x @ params["w_ih"] + carry.h.astype(x.dtype) @ params["w_hh"] + params["b"]
    i, f, g, o = jnp.split(z, 4, axis=-1)
    sigmoid = jax.nn.sigmoid
    return {"i": sigmoid(i), "f": sigmoid(f), "g": jnp.tanh(g), "o": sigmoid(o)}


def _gru(params, carry, x):
    a = jnp.split(x @ params["w_ih"] + params["b"], 3, axis=-1)
    u = jnp.split(carry.h.astype(x.dtype) @ params["w_hh"], 3, axis=-1)
    r, z = jax.nn.sigmoid(a[0] + u[0]), jax.nn.sigmoid(a[1] + u[1])
    return {"r": r, "z": z, "n": jnp.tanh(a[2] + r * (u[2] + params["b_hn"]))}


def _rnn(params, carry, x):
    return {}


_PARTS = {4: _lstm, 3: _gru, 1: _rnn}
