"""Gated recurrent unit (Cho et al., 2014), in the form that cuDNN computes."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer, lecun_normal, orthogonal
from jax.typing import DTypeLike

from lstm_jax.cells.base import (
    Adjoint,
    Cell,
    Params,
    add_bias,
    bias_gradient,
    check_batch,
    check_size,
    init_gates,
    made_once,
    multiply_input,
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

    Source: Cho et al. (2014), the first version of arXiv:1406.1078; the third, and
      Chung, Gulcehre, Cho & Bengio (2014), reset ``h`` before the product.

    Example:
      >>> params = gru(4).init(jax.random.key(0), input_size=3)
      >>> carry, y = gru_cell(params, gru(4).initial_carry((2,)), jnp.ones((2, 3)))
      >>> y.shape
      (2, 4)
    """
    dtype = product_dtype(params, x)
    v = multiply_input(params, x, carry.h.dtype)
    check_batch(v, carry)
    u = project(carry.h.astype(dtype), params["w_hh"], v.dtype)
    carry = gru_update(params, carry, gru_gates(params, carry, v, u))
    return carry, carry.h.astype(dtype)


def gru_gates(params: Params, carry: GRUCarry, v: Array, u: Array) -> GRUGates:
    """The gates of a step, from what input and hidden state add, ``[B, 3H]`` each."""
    del carry  # h is in u
    a = add_bias(v, params["b"])
    # Of the whole, for sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: a function of one block
    # compiles to code that XLA does not vectorise on a CPU.  The third is not used: it
    # is cut off first, as JAX before 0.9 has no gradient of a part that nobody reads
    # under shard_map.
    size = a.shape[-1] // 3
    gates = jnp.tanh((a + u) * 0.5) * 0.5 + 0.5
    r, z = jnp.split(gates[..., : 2 * size], 2, axis=-1)
    a_n, u_n = a[..., -size:], u[..., -size:]
    return GRUGates(r, z, jnp.tanh(a_n + r * add_bias(u_n, params["b_hn"])))


def gru_update(params: Params, carry: GRUCarry, gates: GRUGates) -> GRUCarry:
    """``h' = (1 - z) * n + z * h``."""
    del params
    return GRUCarry((1 - gates.z) * gates.n + gates.z * carry.h)


class GRUKept(NamedTuple):
    """What the gradient of a step multiplies by, besides its factors."""

    h_to_u: Array
    z: Array


def gru_keep(
    params: Params, carry: GRUCarry, v: Array, u: Array
) -> tuple[GRUCarry, Array, GRUKept]:
    """A step, and the factors by which its gradient multiplies."""
    r, z, n = gates = gru_gates(params, carry, v, u)
    m = add_bias(u[..., -n.shape[-1] :], params["b_hn"])
    h_to_v = (1 - z) * (1 - n * n)
    blocks = [h_to_v * m * r * (1 - r), (carry.h - n) * z * (1 - z), h_to_v]
    kept = GRUKept(h_to_u=h_to_v * r, z=z)
    return gru_update(params, carry, gates), jnp.concatenate(blocks, axis=-1), kept


def gru_back(
    params: Params, factors: Array, kept: GRUKept, d_carry: GRUCarry
) -> tuple[GRUCarry, Array, Array]:
    """From the cotangent of h to those of the h before it, of v and of u."""
    del params
    d_h = d_carry.h
    d_v = jnp.concatenate([d_h, d_h, d_h], axis=-1) * factors
    d_u = [d_v[..., : -d_h.shape[-1]], d_h * kept.h_to_u]
    return GRUCarry(d_h * kept.z), d_v, jnp.concatenate(d_u, axis=-1)


def gru_others(params: Params, kept: GRUKept, d_carry: GRUCarry, d_v: Array) -> Params:
    """The gradients of both biases."""
    b_hn = bias_gradient({"b": params["b_hn"]}, kept, d_carry, d_carry.h * kept.h_to_u)
    return bias_gradient(params, kept, d_carry, d_v) | {"b_hn": b_hn["b"]}


@made_once
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

    step = (gru_gates, gru_update)
    adjoint = Adjoint(*step, gru_keep, gru_back, gru_others)
    return Cell(init, initial_carry, multiply_input, *step, hidden_size, adjoint)
