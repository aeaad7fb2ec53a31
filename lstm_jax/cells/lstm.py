"""Long short-term memory (Hochreiter & Schmidhuber, 1997), with a forget gate."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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


class LSTMCarry(NamedTuple):
    """What an LSTM remembers: cell state ``c`` and hidden state ``h``, ``[B, H]``."""

    c: Array
    h: Array


class LSTMGates(NamedTuple):
    """Input, forget and output gate in (0, 1), and the candidate g in (-1, 1)."""

    i: Array
    f: Array
    g: Array
    o: Array


def lstm_cell(params: Params, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
    """One step of an LSTM.

    ::

        z = x @ w_ih + h @ w_hh + b          blocks in the order i, f, g, o
        i, f, o = sigmoid(z_i, z_f, z_o)     g = tanh(z_g)
        c' = f * c + i * g                   h' = o * tanh(c')        y = h'

    Args:
      params: ``w_ih [D, 4H]``, ``w_hh [H, 4H]``, ``b [4H]``.
      carry: ``c`` and ``h``, each ``[B, H]``.
      x: ``[B, D]``; integers ``[B]`` stand for one-hot vectors.

    Returns:
      The next carry, and ``y [B, H]`` in the dtype of ``x``.

    Source: Hochreiter & Schmidhuber (1997); the forget gate from Gers,
      Schmidhuber & Cummins (2000).

    Example:
      >>> import jax
      >>> params = lstm(4).init(jax.random.key(0), input_size=3)
      >>> xs = jax.random.normal(jax.random.key(1), (7, 2, 3))  # [T, B, D]
      >>> carry, ys = jax.lax.scan(
      ...     partial(lstm_cell, params), lstm(4).initial_carry((2,)), xs
      ... )
      >>> ys.shape
      (7, 2, 4)
    """
    dtype = product_dtype(params, x)
    v = multiply_input(params, x, carry.h.dtype)
    check_batch(v, carry)
    u = project(carry.h.astype(dtype), params["w_hh"], v.dtype)
    carry = lstm_update(params, carry, lstm_gates(params, carry, v, u))
    return carry, carry.h.astype(dtype)


def lstm_gates(params: Params, carry: LSTMCarry, v: Array, u: Array) -> LSTMGates:
    """The gates of a step, from what input and hidden state add, ``[B, 4H]`` each."""
    del carry  # h is in u
    z = add_bias(v + u, params["b"])
    return LSTMGates(*jnp.split(_activate(z), 4, axis=-1))


def _activate(z: Array) -> Array:
    """Sigmoid of the blocks i, f and o, tanh of the block g, ``[..., 4H]``.

    One tanh over the whole, for ``sigmoid(x) = tanh(x / 2) / 2 + 1 / 2``: a function
    of each block by itself compiles to code that XLA does not vectorise on a CPU.
    """
    scale, shift = _blocks(z, 0.5, 1.0), _blocks(z, 0.5, 0.0)
    return jnp.tanh(z * scale) * scale + shift


def _blocks(z: Array, gate: float, candidate: float) -> Array:
    """One number for the blocks i, f and o, another for g, in the shape of z."""
    numbers = np.repeat([gate, gate, candidate, gate], z.shape[-1] // 4)
    return jnp.broadcast_to(jnp.asarray(numbers, z.dtype), z.shape)


def lstm_update(params: Params, carry: LSTMCarry, gates: LSTMGates) -> LSTMCarry:
    """``c' = f * c + i * g`` and ``h' = o * tanh(c')``."""
    del params
    c = gates.f * carry.c + gates.i * gates.g
    return LSTMCarry(c, gates.o * jnp.tanh(c))


class LSTMKept(NamedTuple):
    """What the gradient of a step multiplies by, besides its factors."""

    h_to_c: Array
    f: Array


def lstm_keep(
    params: Params, carry: LSTMCarry, v: Array, u: Array
) -> tuple[LSTMCarry, Array, LSTMKept]:
    """A step, and the factors by which its gradient multiplies."""
    i, f, g, o = gates = lstm_gates(params, carry, v, u)
    new = lstm_update(params, carry, gates)
    t = jnp.tanh(new.c)
    blocks = [g * i * (1 - i), carry.c * f * (1 - f), i * (1 - g * g), t * o * (1 - o)]
    return new, jnp.concatenate(blocks, axis=-1), LSTMKept(o * (1 - t * t), f)


def lstm_back(
    params: Params, factors: Array, kept: LSTMKept, d_carry: LSTMCarry
) -> tuple[LSTMCarry, Array, None]:
    """From the cotangent of a carry to those of the carry before it and of v."""
    del params
    d_h, d_c = d_carry.h, d_carry.c + d_carry.h * kept.h_to_c
    d_v = jnp.concatenate([d_c, d_c, d_c, d_h], axis=-1) * factors
    return LSTMCarry(c=d_c * kept.f, h=jnp.zeros_like(d_h)), d_v, None


@made_once
def lstm(
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    input_init: Initializer = lecun_normal(),  # noqa: B008 (a pure function)
    recurrent_init: Initializer = orthogonal(),  # noqa: B008
) -> Cell:
    """The LSTM as a ``Cell``.

    Args:
      hidden_size: ``H``, at least 1.
      forget_bias: put into the forget block of ``b`` by ``init``, and never
        added again: the stored bias is the bias that is used.
      input_init: draws each gate's ``[D, H]`` block of ``w_ih``.
      recurrent_init: draws each gate's ``[H, H]`` block of ``w_hh``.

    Returns:
      A ``Cell`` whose params are ``w_ih [D, 4H]``, ``w_hh [H, 4H]``, ``b [4H]``.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 1, got ...``.

    Source: forget bias of 1 from Jozefowicz, Zaremba & Sutskever (2015);
      orthogonal recurrent weights from Saxe, McClelland & Ganguli (2014).

    Example:
      >>> params = lstm(4).init(jax.random.key(0), input_size=3)
      >>> {name: w.shape for name, w in params.items()}
      {'w_ih': (3, 16), 'w_hh': (4, 16), 'b': (16,)}
    """
    check_size("hidden_size", hidden_size)

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights, gate by gate."""
        check_size("input_size", input_size)
        key_ih, key_hh = jax.random.split(key)
        gates = partial(init_gates, hidden_size=hidden_size, num_gates=4, dtype=dtype)
        forget = slice(hidden_size, 2 * hidden_size)
        return {
            "w_ih": gates(input_init, key_ih, input_size),
            "w_hh": gates(recurrent_init, key_hh, hidden_size),
            "b": jnp.zeros(4 * hidden_size, dtype).at[forget].set(forget_bias),
        }

    def initial_carry(
        batch_shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> LSTMCarry:
        """Zeros, of a buffer each: who donates a carry gives both away."""
        shape = (*batch_shape, hidden_size)
        return LSTMCarry(c=jnp.zeros(shape, dtype), h=jnp.zeros(shape, dtype))

    step = (lstm_gates, lstm_update)
    adjoint = Adjoint(*step, lstm_keep, lstm_back, bias_gradient)
    return Cell(init, initial_carry, multiply_input, *step, hidden_size, adjoint)


def is_lstm(cell: Cell) -> bool:
    """Whether a cell computes what ``lstm`` does, whatever it begins with.

    >>> is_lstm(lstm(4))
    True
    """
    own = (multiply_input, lstm_gates, lstm_update)
    return (cell.project, cell.gates, cell.update) == own
