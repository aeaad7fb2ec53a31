"""The simple recurrent network (Elman, 1990)."""

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
    draw,
    made_once,
    multiply_input,
    product_dtype,
    project,
)


class RNNCarry(NamedTuple):
    """What an Elman network remembers: the hidden state ``h [B, H]``."""

    h: Array


class RNNGates(NamedTuple):
    """No gate: the new hidden state itself."""

    h: Array


def rnn_cell(params: Params, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
    """One step of an Elman network: ``h' = y = tanh(x @ w_ih + h @ w_hh + b)``.

    Args:
      params: ``w_ih [D, H]``, ``w_hh [H, H]``, ``b [H]``.
      carry: ``h [B, H]``.
      x: ``[B, D]``; integers ``[B]`` stand for one-hot vectors.

    Returns:
      The next carry, and ``y [B, H]`` in the dtype of ``x``.

    Source: Elman (1990).

    Example:
      >>> params = rnn(4).init(jax.random.key(0), input_size=3)
      >>> carry, y = rnn_cell(params, rnn(4).initial_carry((2,)), jnp.ones((2, 3)))
      >>> y.shape
      (2, 4)
    """
    dtype = product_dtype(params, x)
    v = multiply_input(params, x, carry.h.dtype)
    check_batch(v, carry)
    u = project(carry.h.astype(dtype), params["w_hh"], v.dtype)
    carry = rnn_update(params, carry, rnn_gates(params, carry, v, u))
    return carry, carry.h.astype(dtype)


def rnn_gates(params: Params, carry: RNNCarry, v: Array, u: Array) -> RNNGates:
    """The new hidden state, which no gate guards."""
    del carry  # h is in u
    return RNNGates(jnp.tanh(add_bias(v + u, params["b"])))


def rnn_update(params: Params, carry: RNNCarry, gates: RNNGates) -> RNNCarry:
    """Forget the old state whole."""
    del params, carry
    return RNNCarry(gates.h)


def rnn_keep(
    params: Params, carry: RNNCarry, v: Array, u: Array
) -> tuple[RNNCarry, Array, None]:
    """A step, and the factor by which its gradient multiplies."""
    new = rnn_update(params, carry, rnn_gates(params, carry, v, u))
    return new, 1 - new.h * new.h, None


def rnn_back(
    params: Params, factors: Array, kept: None, d_carry: RNNCarry
) -> tuple[RNNCarry, Array, None]:
    """From the cotangent of h to that of v; h before the step acts through u alone."""
    del params, kept
    return RNNCarry(jnp.zeros_like(d_carry.h)), d_carry.h * factors, None


@made_once
def rnn(
    hidden_size: int,
    *,
    input_init: Initializer = lecun_normal(),  # noqa: B008 (a pure function)
    recurrent_init: Initializer = orthogonal(),  # noqa: B008
) -> Cell:
    """The Elman network as a ``Cell``.

    Args:
      hidden_size: ``H``, at least 1.
      input_init: draws ``w_ih [D, H]``.
      recurrent_init: draws ``w_hh [H, H]``.

    Returns:
      A ``Cell`` with params ``w_ih [D, H]``, ``w_hh [H, H]``, ``b [H]``.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 1, got ...``.

    Source: Elman (1990).

    Example:
      >>> params = rnn(4).init(jax.random.key(0), input_size=3)
      >>> {name: w.shape for name, w in params.items()}
      {'w_ih': (3, 4), 'w_hh': (4, 4), 'b': (4,)}
    """
    check_size("hidden_size", hidden_size)

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights."""
        check_size("input_size", input_size)
        key_ih, key_hh = jax.random.split(key)
        return {
            "w_ih": draw(input_init, key_ih, (input_size, hidden_size), dtype),
            "w_hh": draw(recurrent_init, key_hh, (hidden_size, hidden_size), dtype),
            "b": jnp.zeros(hidden_size, dtype),
        }

    def initial_carry(
        batch_shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> RNNCarry:
        """Zeros."""
        return RNNCarry(h=jnp.zeros((*batch_shape, hidden_size), dtype))

    step = (rnn_gates, rnn_update)
    adjoint = Adjoint(*step, rnn_keep, rnn_back, bias_gradient)
    return Cell(init, initial_carry, multiply_input, *step, hidden_size, adjoint)
