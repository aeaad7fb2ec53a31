"""minLSTM (Feng et al., 2024): no step waits for the one before.

The gates look at the input alone, so the state is a sum of inputs with weights that are
known beforehand, and ``jax.lax.associative_scan`` computes all steps in log2(T) rounds.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn.initializers import Initializer, lecun_normal
from jax.typing import DTypeLike

from lstm_jax.cells.base import (
    Params,
    add_bias,
    carry_dtype,
    check_batch,
    check_size,
    init_gates,
    product_dtype,
    project,
)
from lstm_jax.kernels.scan import keep
from lstm_jax.layers import Layer
from lstm_jax.shapes import (
    batch_shape,
    check_floats,
    check_lengths,
    check_width,
    tell_shapes,
)
from lstm_jax.spread import leave_to_xla
from lstm_jax.unroll import time_mask


class MinLSTMCarry(NamedTuple):
    """What a minLSTM remembers: the hidden state ``h [B, H]``."""

    h: Array


def min_lstm_cell(
    params: Params, carry: MinLSTMCarry, x: Array
) -> tuple[MinLSTMCarry, Array]:
    """One step of a minLSTM.

    ::

        z = x @ w_ih + b                     blocks in the order f, i, g
        f, i = sigmoid(z_f, z_i)             g = z_g
        h' = (f * h + i * g) / (f + i)       y = h'

    Args:
      params: ``w_ih [D, 3H]``, ``b [3H]``.
      carry: ``h [B, H]``.
      x: ``[B, D]``; integers ``[B]`` stand for one-hot vectors.

    Returns:
      The next carry, and ``y [B, H]`` in the dtype of ``x``.

    Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi (2024), "Were RNNs All We
      Needed?", the version whose gates add up to 1.

    Example:
      >>> params = min_lstm(4).init(jax.random.key(0), input_size=3)
      >>> carry = MinLSTMCarry(h=jnp.zeros((2, 4)))
      >>> carry, y = min_lstm_cell(params, carry, jnp.ones((2, 3)))
      >>> y.shape
      (2, 4)
    """
    f, new = _weigh(params, x, carry.h.dtype)
    check_batch(f, carry)
    h = f * carry.h + new
    return MinLSTMCarry(h), h.astype(product_dtype(params, x))


def min_lstm_unroll(
    params: Params,
    xs: Array,
    *,
    carry: MinLSTMCarry | None = None,
    lengths: Array | None = None,
    reverse: bool = False,
) -> tuple[MinLSTMCarry, Array]:
    """Run a minLSTM over ``xs``, all steps at once.

    Args:
      params: ``w_ih [D, 3H]``, ``b [3H]``.
      xs: ``[T, B, D]``, or integers ``[T, B]``; T is at least 1.
      carry: to start from; None starts from zeros.
      lengths: integers ``[B]``, the real steps, which come first; None means all T.
      reverse: from the last step to the first.

    Returns:
      The carry after the last real step, and ``ys [T, B, H]``, as ``lstm_jax.unroll``
      gives them: at padded steps the carry is held and ``ys`` is 0.

    Raises:
      ValueError: a shape that does not fit: "expected ..., got ...".

    Example:
      >>> params = min_lstm(4).init(jax.random.key(0), input_size=3)
      >>> xs = jax.random.normal(jax.random.key(1), (7, 2, 3))
      >>> carry, ys = min_lstm_unroll(params, xs, lengths=jnp.array([7, 2]))
      >>> ys.shape, bool((ys[2:, 1] == 0).all())
      ((7, 2, 4), True)
    """
    _check(params, xs, carry, lengths)
    run = partial(_run, reverse=reverse)
    return leave_to_xla(run, len(batch_shape(xs)), carry, xs, params, lengths)


@partial(jax.jit, static_argnames="reverse")
def _run(
    carry: MinLSTMCarry | None,
    xs: Array,
    params: Params,
    lengths: Array | None,
    *,
    reverse: bool,
) -> tuple[MinLSTMCarry, Array]:
    """All steps at once."""
    mask = None if lengths is None else time_mask(lengths, xs.shape[0])
    xs = keep(mask, xs, 0)
    start = jnp.zeros((), carry_dtype(params, xs)) if carry is None else carry.h
    f, new = _weigh(params, xs, start.dtype)
    # A padded step keeps all and adds nothing.
    f, new = keep(mask, f, 1), keep(mask, new, 0)
    kept, added = jax.lax.associative_scan(_after, (f, new), reverse=reverse)
    hs = kept * jnp.broadcast_to(start, kept.shape) + added
    ys = keep(mask, hs, 0)
    last = MinLSTMCarry(hs[0 if reverse else -1])
    return last, ys.astype(product_dtype(params, xs))


def min_lstm(
    hidden_size: int,
    *,
    reverse: bool = False,
    input_init: Initializer = lecun_normal(),  # noqa: B008 (a pure function)
) -> Layer:
    """The minLSTM as a ``Layer``, for ``stack``.

    It has no product with the hidden state, and so is no ``Cell``.

    Args:
      hidden_size: ``H``, at least 1.
      reverse: from the last step to the first.
      input_init: draws each gate's ``[D, H]`` block of ``w_ih``.

    Returns:
      A ``Layer`` with params ``w_ih [D, 3H]``, ``b [3H]``.

    Raises:
      ValueError: ``hidden_size: expected an integer >= 1, got ...``.

    Source: Feng et al. (2024).

    Example:
      >>> from lstm_jax import stack
      >>> layer = stack([min_lstm(4), min_lstm(5)])
      >>> params = layer.init(jax.random.key(0), input_size=3)
      >>> carry, ys = layer.apply(params, jnp.ones((7, 2, 3)))
      >>> ys.shape
      (7, 2, 5)
    """
    check_size("hidden_size", hidden_size)

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw the weights, gate by gate."""
        check_size("input_size", input_size)
        gates = partial(init_gates, hidden_size=hidden_size, num_gates=3, dtype=dtype)
        return {
            "w_ih": gates(input_init, key, input_size),
            "b": jnp.zeros(3 * hidden_size, dtype),
        }

    def initial_carry(
        batch_shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> MinLSTMCarry:
        """Zeros."""
        return MinLSTMCarry(h=jnp.zeros((*batch_shape, hidden_size), dtype))

    def apply(params, xs, *, carry=None, lengths=None, key=None):
        """See ``Layer``; nothing is random here."""
        del key
        _check_params(params, 3 * hidden_size)
        how = {"carry": carry, "lengths": lengths, "reverse": reverse}
        return min_lstm_unroll(params, xs, **how)

    return Layer(init, initial_carry, apply, hidden_size)


def _weigh(params: Params, x: Array, dtype: DTypeLike) -> tuple[Array, Array]:
    """How much of the past stays, and what is added to it."""
    z = add_bias(project(x, params["w_ih"], dtype), params["b"])
    z_f, z_i, g = jnp.split(z, 3, axis=-1)
    # f / (f + i), without the quotient of two numbers that may both be nearly 0.
    odds = jax.nn.log_sigmoid(z_f) - jax.nn.log_sigmoid(z_i)
    return jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds) * g


def _after(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple:
    """``h -> f h + a``, then another of the kind, as one of the kind."""
    kept, added = first
    f, new = then
    return kept * f, added * f + new


def _check(
    params: Params, xs: Array, carry: MinLSTMCarry | None, lengths: Array | None
) -> None:
    *_, width = (0, *np.shape(params.get("b", 0)))
    _check_params(params, max(3, width // 3 * 3))
    check_width(params, xs)
    if xs.shape[:1] in ((), (0,)):
        raise ValueError(f"xs: expected a step at least, got shape {xs.shape}")
    if carry is not None:
        expected = (*batch_shape(xs), params["w_ih"].shape[-1] // 3)
        if carry.h.shape != expected:
            raise ValueError(f"carry: expected h {expected}, got {carry.h.shape}")
        check_floats(carry)
    check_lengths(xs, lengths)


def _check_params(params: Params, width: int) -> None:
    """Of three blocks side by side, together so wide."""
    got = {name: np.shape(leaf) for name, leaf in params.items()}
    rows = got.get("w_ih", ("D",))[:1]
    wanted = {"w_ih": (*rows, width), "b": (width,)}
    if got != wanted:
        raise ValueError(
            f"params: expected {tell_shapes(wanted)}, got {tell_shapes(got)}"
        )
