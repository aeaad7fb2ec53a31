"""Long sequences in little memory: what the gradient needs is computed again.

A kernel keeps a few arrays for each step.  Run a chunk of steps at a time, with only
the carry between chunks kept, it keeps them for one chunk: the backward pass computes
each chunk again.  With chunks of about the square root of T steps, the memory for them
grows like that root (Chen, Xu, Zhang & Guestrin, 2016).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lstm_jax.cells.base import Carry

# (carry, (xs, mask)) -> (carry, ys)
Run = Callable[[Carry, tuple[Array, Array | None]], tuple[Carry, Array]]


def run_in_chunks(
    run: Run,
    carry: Carry,
    inputs: tuple[Array, Array | None],
    *,
    chunk_size: int,
    reverse: bool,
) -> tuple[Carry, Array]:
    """Run a kernel over chunks of ``chunk_size`` steps, and over the steps left over.

    Args:
      run: a kernel over some steps, in the direction of ``reverse``.
      carry: the carry to start from.
      inputs: xs and mask, time first.
      chunk_size: steps in a chunk.
      reverse: whether the last chunk comes first.

    Returns:
      The last carry, and ys ``[T, B, H]``.

    Raises:
      ValueError: the number of steps is left open, as in an export.
    """
    once = jax.checkpoint(run)
    num_steps = inputs[0].shape[0]
    if not isinstance(num_steps, int):
        raise ValueError(
            f"chunk_size: expected None for an open number of steps, {num_steps}, got "
            f"{chunk_size}"
        )
    num_chunks = num_steps // chunk_size
    if not num_chunks:
        return once(carry, inputs)
    whole = num_chunks * chunk_size
    head: Any = jax.tree.map(lambda a: _cut(a[:whole], chunk_size), inputs)
    tail: Any = jax.tree.map(lambda a: a[whole:], inputs)
    # Inside a loop nothing has to keep XLA from merging the two computations.
    again = jax.checkpoint(run, prevent_cse=False)
    if reverse and whole < num_steps:
        carry, ys_tail = once(carry, tail)
    carry, ys = jax.lax.scan(again, carry, head, reverse=reverse)
    ys = ys.reshape(whole, *ys.shape[2:])
    if whole == num_steps:
        return carry, ys
    if not reverse:
        carry, ys_tail = once(carry, tail)
    return carry, jnp.concatenate([ys, ys_tail])


def _cut(a: Array, chunk_size: int) -> Array:
    """``[T, ...]`` to ``[T / chunk_size, chunk_size, ...]``."""
    return a.reshape(a.shape[0] // chunk_size, chunk_size, *a.shape[1:])
