"""Sums over many rows, whose gradient is computed on the way forward, part by part.

The scores of a thousand words for each of some thousand positions fill more memory than
a cache holds, several times over, and are read again for the gradient.  A sum needs
none of them afterwards: its gradient is that of a part at a time, added up.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any
# (shared, rows, constants) -> (the sum to be differentiated, what else is added up)
Function = Callable[[Tree, Tree, Tree], tuple[Any, Tree]]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def sum_by_parts(
    function: Function, count: int, shared: Tree, rows: Tree, constants: Tree
) -> tuple[Any, Tree]:
    """Add up what ``function`` gives for each part of the rows.

    Args:
      function: ``(shared, rows, constants) -> (sum, others)``, of any number of rows.
      count: parts; a divisor of the number of rows.
      shared: what all rows read.
      rows: arrays that begin with the rows.
      constants: arrays that begin with the rows too, and have no gradient.

    Returns:
      The sum and the others over all rows.  The sum has a gradient, in reverse mode,
      for ``shared`` and ``rows``; the others have none, whatever they are made of.

    Raises:
      ValueError: rows that are not cut evenly: "count: expected a divisor of ...".

    Example:
      >>> def squares(scale, xs, offsets):
      ...     return (scale * xs**2).sum(), offsets.sum()
      >>> args = (2.0, jnp.arange(4.0), jnp.ones(4))
      >>> total, count = sum_by_parts(squares, 2, *args)
      >>> float(total), float(count)
      (28.0, 4.0)
      >>> jax.grad(lambda xs: sum_by_parts(squares, 2, 2.0, xs, xs)[0])(jnp.ones(4))
      Array([4., 4., 4., 4.], dtype=float32)
    """

    def add(total: Tree, part: Tree) -> tuple[Tree, None]:
        """One part."""
        return jax.tree.map(jnp.add, total, function(shared, *part)), None

    parts = _split((rows, constants), count)
    return jax.lax.scan(add, _zeros(function, shared, parts), parts)[0]


def _sum_and_gradient(
    function: Function, count: int, shared: Tree, rows: Tree, constants: Tree
) -> tuple[tuple[Any, Tree], Tree]:
    gradient_of = jax.value_and_grad(function, argnums=(0, 1), has_aux=True)

    def add(state: Tree, part: Tree) -> tuple[Tree, Tree]:
        """One part, and its gradient."""
        outcome, (d_shared, d_rows) = gradient_of(shared, *part)
        return jax.tree.map(jnp.add, state, (outcome, d_shared)), d_rows

    parts = _split((rows, constants), count)
    start = _zeros(function, shared, parts), jax.tree.map(jnp.zeros_like, shared)
    (outcome, d_shared), d_parts = jax.lax.scan(add, start, parts)
    d_rows = jax.tree.map(lambda d, x: d.reshape(x.shape), d_parts, rows)
    return outcome, (d_shared, d_rows)


def _scale_gradient(
    function: Function, count: int, gradient: Tree, cotangents: tuple[Any, Tree]
) -> tuple[Tree, Tree, None]:
    del function, count
    scale = partial(jax.tree.map, lambda d: (d * cotangents[0]).astype(d.dtype))
    d_shared, d_rows = gradient
    return scale(d_shared), scale(d_rows), None


sum_by_parts.defvjp(_sum_and_gradient, _scale_gradient)


def _split(tree: Tree, count: int) -> Tree:
    """``[N, ...]`` to ``[count, N / count, ...]``."""
    num_rows = len(jax.tree.leaves(tree)[0])
    if num_rows % count:
        raise ValueError(f"count: expected a divisor of {num_rows} rows, got {count}")
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), tree)


def _zeros(function: Function, shared: Tree, parts: Tree) -> Tree:
    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(function, shared, *first)
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
