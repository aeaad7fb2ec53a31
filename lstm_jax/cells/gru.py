"""Gated recurrent unit (Cho et al., 2014), in the form that cuDNN computes."""

from functools import partial
from typing import NamedTuple

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
    product_dtype,
    project,
)


class GRUCarry(NamedTuple):
    """What a GRU remembers: the hidden state ``h [B, H]``."""

    h: Array


class GRUGates(NamedTuple):
    """Reset and update gate in (0, 1), and the candidate n in (-1, 1)."""

    r: Array
    z: Array
    n: Array


def gru_cell(params: Params, carry: GRUCarry, x: Array) -> tuple[GRUCarry, Array]:
    """One step of a GRU.

    ::

        a = x @ w_ih + b                     u = h @ w_hh
        r, z = sigmoid(a_r + u_r, a_z + u_z) blocks in the order r, z, n
        n = tanh(a_n + r * (u_n + b_hn))
        h' = (1 - z) * n + z * h             y = h'

    The reset gate acts on ``h @ w_hh``, not on ``h``: torch, Flax, cuDNN and
    Keras' ``reset_after=True`` compute this form.

    Args:
      params: ``w_ih [D, 3H]``, ``w_hh [H, 3H]``, ``b [3H]``, ``b_hn [H]``.
      carry: ``h [B, H]``.
      x: ``[B, D]``; integers ``[B]`` stand for one-hot vectors.

    Returns:
      The next carry, and ``y [B, H]`` in the dtype of ``x``.

    Source: Cho et al. (2014), with the reset gate after the product as in
      Chung, Gulcehre, Cho & Bengio (2014).

    Example:
      >>> params = gru(4).init(jax.random.key(0), input_size=3)
      >>> carry, y = gru_cell(params, gru(4).initial_carry((2,)), jnp.ones((2, 3)))
      >>> y.shape
      (2, 4)
    """
    a = gru_project(params, x, carry.h.dtype)
    dtype = product_dtype(params, x)
    u = project(carry.h.astype(dtype), params["w_hh"], a.dtype)
    carry = gru_update(carry, gru_gates(params, a, u))
    return carry, carry.h.astype(dtype)


def gru_project(params: Params, x: Array, dtype: DTypeLike) -> Array:
    """What the input adds to the gates: ``x @ w_ih + b``, ``[B, 3H]``."""
    return add_bias(project(x, params["w_ih"], dtype), params["b"])


def gru_gates(params: Params, a: Array, u: Array) -> GRUGates:
    """The gates of a step, from what input and hidden state add."""
    a_r, a_z, a_n = jnp.split(a, 3, axis=-1)
    u_r, u_z, u_n = jnp.split(u, 3, axis=-1)
    r, z = jax.nn.sigmoid(a_r + u_r), jax.nn.sigmoid(a_z + u_z)
    return GRUGates(r, z, jnp.tanh(a_n + r * add_bias(u_n, params["b_hn"])))


def gru_update(carry: GRUCarry, gates: GRUGates) -> GRUCarry:
    """``h' = (1 - z) * n + z * h``."""
    return GRUCarry((1 - gates.z) * gates.n + gates.z * carry.h)


def gru(
    hidden_size: int,
    *,
    input_init: Initializer = lecun_normal(),  # noqa: B008 (a pure function)
    recurrent_init: Initializer = orthogonal(),  # noqa: B008
) -> Cell:
    """The GRU as a ``Cell``.

    Args:
      hidden_size: ``H``, at least 1.
      input_init: draws each gate's ``[D, H]`` block of ``w_ih``.
      recurrent_init: draws each gate's ``[H, H]`` block of ``w_hh``.

    Returns:
      A ``Cell`` with params ``w_ih [D, 3H]``, ``w_hh [H, 3H]``, ``b [3H]``,
      ``b_hn [H]``.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 1, got ...``.

    Source: Cho et al. (2014).

    Example:
      >>> params = gru(4).init(jax.random.key(0), input_size=3)
      >>> {name: w.shape for name, w in params.items()}
      {'w_ih': (3, 12), 'w_hh': (4, 12), 'b': (12,), 'b_hn': (4,)}
    """
    check_size("hidden_size", hidden_size)

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights, gate by gate."""
        check_size("input_size", input_size)
        key_ih, key_hh = jax.random.split(key)
        gates = partial(init_gates, hidden_size=hidden_size, num_gates=3, dtype=dtype)
        return {
            "w_ih": gates(input_init, key_ih, input_size),
            "w_hh": gates(recurrent_init, key_hh, hidden_size),
            "b": jnp.zeros(3 * hidden_size, dtype),
            "b_hn": jnp.zeros(hidden_size, dtype),
        }

    def initial_carry(
        batch_shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> GRUCarry:
        """Zeros."""
        return GRUCarry(h=jnp.zeros((*batch_shape, hidden_size), dtype))

    return Cell(init, initial_carry, gru_project, gru_gates, gru_update, hidden_size)
