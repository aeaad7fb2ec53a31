"""The plain scan: any cell, any backend, the reference for every other kernel."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lstm_jax.cells.base import (
    Carry,
    Cell,
    Params,
    is_one_hot,
    product_dtype,
)


def scan(
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
    """Run ``cell`` over time with ``jax.lax.scan``.

    Args:
      cell: the cell.
      params: its parameters.
      carry: the carry before the first step.
      xs: ``[T, B, D]``, or integers ``[T, B]``.
      mask: bool ``[T, B]``, True at real steps, or None: every step is real.
      h_mask: see ``Cell.recur``.
      reverse: from the last step to the first; ``ys[t]`` still belongs to ``xs[t]``.
      unroll: steps in one iteration of the loop.

    Returns:
      The last carry, and ``ys [T, B, H]``.  At a step that is not real the carry
      is held and ``y`` is 0.
    """
    dtype, ready = product_dtype(params, xs), is_one_hot(xs)
    if ready:
        # Rows are gathered before the loop: inside it, the gradient of each step
        # would be a table of all rows.
        xs = cell.project(params, xs, carry.h.dtype)

    def step(carry: Carry, inputs: tuple[Array, Array | None]) -> tuple[Carry, Array]:
        """One step of the loop, or none where it is padding."""
        x, real = inputs
        # x is cleared before the products, not only masked after them: a NaN in
        # the padding would otherwise reach the weights as 0 * NaN in the gradient.
        x = keep(real, x, 0)
        v = x if ready else cell.project(params, x, carry.h.dtype)
        new, y = cell.recur(params, carry, v, dtype, h_mask)
        return jax.tree.map(partial(keep, real), new, carry), keep(real, y, 0)

    return jax.lax.scan(step, carry, (xs, mask), reverse=reverse, unroll=unroll)


def keep(real: Array | None, new: Array, old: Array | float) -> Array:
    """``new [B, ...]`` where ``real [B]``, or where that is None; else ``old``."""
    if real is None:
        return new
    shape = real.shape + (1,) * (new.ndim - real.ndim)
    old = jnp.broadcast_to(jnp.asarray(old, new.dtype), new.shape)
    return jnp.where(real.reshape(shape), new, old)
