"""Loops over arrays whose types say how they are spread over devices.

JAX wants the state of a loop to have one type from its first step to its last.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec, auto_axes

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
    run: Callable[..., tuple[Any, Any]], num_batch: int, *arguments: Any
) -> tuple[Any, Any]:
    """Run over an explicit mesh as over one of which XLA decides what goes where.

    Args:
      run: from ``carry, xs, ...`` to the last carry and outputs, each ``[T, B, H]``.
      num_batch: the dimensions of B.
      arguments: of ``run``.

    Returns:
      What it returns, spread over T and B as ``xs`` is, and whole in H.
    """
    mesh = _explicit_mesh(arguments)
    if mesh is None:
        return run(*arguments)
    spec = _axes(arguments[1])[: 1 + num_batch]

    def spread(*axes: Any) -> NamedSharding:
        """Over these axes of the mesh, and whole in H."""
        return NamedSharding(mesh, PartitionSpec(*axes, None))

    shardings = spread(*spec[1:]), spread(*spec)
    # A ``shard_map`` around it may have taken some axes.
    axes = tuple(mesh.explicit_axes)
    spread_out: Any = auto_axes(run, axes=axes, out_sharding=shardings)
    return spread_out(*arguments)


def spread_like(drawn: Array, x: Array, *, whole: Iterable[int] = ()) -> Array:
    """What was drawn for ``x``, spread over an explicit mesh as ``x`` is.

    Args:
      drawn: of as many dimensions.
      x: that it will meet.
      whole: axes of which every device has all.

    Example:
      >>> spread_like(jnp.ones((2, 1)), jnp.ones((2, 3)), whole=[1]).shape
      (2, 1)
    """
    mesh = _explicit_mesh(x)
    if mesh is None:
        return drawn
    spec = _axes(x)
    for axis in whole:
        spec[axis] = None
    return jax.sharding.reshard(drawn, NamedSharding(mesh, PartitionSpec(*spec)))


def _axes(x: Array) -> list[Any]:
    """The axes of a mesh that each axis of ``x`` is spread over."""
    spec = jax.typeof(x).sharding.spec
    return [*spec, *[None] * (x.ndim - len(spec))]


def _explicit_mesh(tree: Any) -> AbstractMesh | None:
    """The mesh of which an array says how it is spread over it, if any does."""
    for leaf in jax.tree.leaves(tree):
        mesh = jax.typeof(leaf).sharding.mesh
        if AxisType.Explicit in mesh.axis_types:
            return mesh
    return None
