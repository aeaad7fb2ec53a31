"""Loops over arrays whose types say how they are spread over devices.

JAX wants the state of a loop to have one type from its first step to its last.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import AxisType, NamedSharding, PartitionSpec, auto_axes

Tree = TypeVar("Tree")


def vary_alike(tree: Tree) -> Tree:
    """Let every array vary over the devices of a ``shard_map`` that one varies over.

    The carry then varies from the first step on, and what a handwritten gradient gives
    back for weights that are the same everywhere is added up over the devices.

    Args:
      tree: of arrays, which keep their values.

    Example:
      >>> vary_alike({"w": jnp.ones(2), "x": None})
      {'w': Array([1., 1.], dtype=float32), 'x': None}
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:  # no shard_map
        return tree
    leaves = jax.tree.leaves(tree)
    zero = sum(jnp.zeros_like(leaf, shape=(), dtype=jnp.float32) for leaf in leaves)
    return jax.tree.map(lambda a: a + jnp.astype(zero, a.dtype), tree)


def leave_to_xla(
    run: Callable[..., tuple[Any, Array]], num_batch: int, *arguments: Any
) -> tuple[Any, Array]:
    """Run over an explicit mesh as over one of which XLA decides what goes where.

    Args:
      run: from ``carry, xs, ...`` to the last carry and ``ys [T, B, H]``.
      num_batch: the dimensions of B.
      arguments: of ``run``.

    Returns:
      What it returns, spread over T and B as ``xs`` is, and whole in H.
    """
    carry, xs, *_ = arguments
    sharding = jax.typeof(xs).sharding
    if AxisType.Explicit not in sharding.mesh.axis_types:
        return run(*arguments)
    spec = (*sharding.spec, *[None] * xs.ndim)[: 1 + num_batch]

    def spread(*axes: Any) -> NamedSharding:
        """Over these axes of the mesh, and whole in H."""
        return NamedSharding(sharding.mesh, PartitionSpec(*axes, None))

    carries = jax.tree.map(lambda _: spread(*spec[1:]), carry)
    spread_out: Any = auto_axes(run, out_sharding=(carries, spread(*spec)))
    return spread_out(*arguments)
