"""The LSTM of cuDNN, for NVIDIA GPUs, through ``jax.experimental.rnn``.

It is one call for all steps, in float32, with the padding on the right and at least
one step a sequence; what else the contract asks for is done around it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import rnn
from jax.experimental.layout import Layout, with_layout_constraint

from lstm_jax.cells.base import Carry, Cell, Params, is_one_hot
from lstm_jax.cells.lstm import LSTMCarry, is_lstm
from lstm_jax.kernels.scan import keep


def cudnn(
    cell: Cell,
    params: Params,
    carry: Carry,
    xs: Array,
    mask: Array | None,
    *,
    h_mask: Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[Carry, Array]:
    """Run an LSTM over time; arguments and results are those of ``scan``.

    Raises:
      ValueError: a case that cuDNN does not know: "implementation='cudnn': expected
        ..., got ...".
    """
    del unroll  # the loop is cuDNN's
    _check(cell, params, carry, xs, h_mask)
    num_steps, batch_size, input_size = xs.shape
    lengths = _lengths(mask, num_steps, batch_size)
    # A row of length 0 is read for one step: nothing of it may reach a gradient.
    xs = keep(mask, xs, 0)
    turned = _turn(xs, lengths) if reverse else xs
    outcome: Any = rnn.lstm(
        _row_by_row(turned.swapaxes(0, 1)),
        carry.h[None],
        carry.c[None],
        _pack(params),
        jnp.maximum(lengths, 1),
        input_size,
        cell.output_size,
        1,
        0.0,
        False,
    )
    ys, h, c = outcome
    ys = _row_by_row(ys).swapaxes(0, 1)
    ys = _turn(ys, lengths) if reverse else ys
    if mask is None:
        return LSTMCarry(c=c[0], h=h[0]), ys
    some = lengths > 0
    last = LSTMCarry(c=keep(some, c[0], carry.c), h=keep(some, h[0], carry.h))
    return last, keep(mask, ys, 0)


def _row_by_row(a: Array) -> Array:
    """``a``, and its gradient, in the order that cuDNN reads.

    JAX does not ask for one, and XLA takes a transposition for another order: without
    this the batch is read as time.
    """
    return with_layout_constraint(a, Layout(tuple(range(a.ndim))))


def _lengths(mask: Array | None, num_steps: int, batch_size: int) -> Array:
    if mask is None:
        return jnp.full(batch_size, num_steps, jnp.int32)
    return mask.sum(0, dtype=jnp.int32)


def _turn(xs: Array, lengths: Array) -> Array:
    """The real steps of each sequence in the opposite order; the padding stays."""
    steps = jnp.arange(len(xs), dtype=jnp.int32)[:, None]
    lengths = lengths[None]
    source = jnp.where(steps < lengths, lengths - 1 - steps, steps)
    return jnp.take_along_axis(xs, source[..., None], axis=0)


def _pack(params: Params) -> Array:
    """One vector: w_ih, w_hh, each ``[4H, in]``, and two biases, gates i, f, g, o."""
    w_ih, w_hh, b = params["w_ih"], params["w_hh"], params["b"]
    return jnp.concatenate([w_ih.T.ravel(), w_hh.T.ravel(), b, jnp.zeros_like(b)])


def _check(
    cell: Cell, params: Params, carry: Carry, xs: Array, h_mask: Array | None
) -> None:
    # cuDNN is told of one dtype, and would take the numbers of another for it.
    dtypes = {xs.dtype, *(a.dtype for a in jax.tree.leaves((params, carry)))}
    wrong = {
        "an LSTM cell, got another": not is_lstm(cell),
        f"xs [T, B, D], got integers or {xs.shape}": is_one_hot(xs) or xs.ndim != 3,
        f"float32, got {sorted(map(str, dtypes))}": dtypes != {jnp.dtype("float32")},
        "no h_mask, got one": h_mask is not None,
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"implementation='cudnn': expected {what}")
