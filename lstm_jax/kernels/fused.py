"""The scan with products gathered: one a step in each direction, the others whole.

Differentiated as it stands, a plain scan carries the gradient of every weight through
each of its backward steps; with the batch split over devices, each of those steps adds
up that gradient over all of them.  Here the backward loop gives out the gradients of
the gates alone; those of the weights are one product each, over all steps at once, and
one sum over the devices.  The products with the inputs are outside of both loops.

The gradient is written by hand, for reverse mode only; ``scan`` has both modes.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells.base import Carry, Cell, Params, product_dtype, project
from lstm_jax.kernels.scan import keep


class Loop(NamedTuple):
    """What is fixed of a loop before it runs."""

    cell: Cell
    dtype: DTypeLike  # of the products with h
    reverse: bool
    unroll: int


class Weights(NamedTuple):
    """What a loop reads at each step."""

    w_hh: Array
    others: Params  # that only the gates read
    h_mask: Array | None


def fused(
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
    """Run ``cell`` over time; arguments and results are those of ``scan``."""
    loop = Loop(cell, product_dtype(params, xs), reverse, unroll)
    xs = xs if mask is None else keep(mask, xs, 0)
    zs = cell.project(params, xs, carry.h.dtype)
    # Under shard_map weights are the same everywhere and zs are not; what the
    # handwritten gradient returns for them has to be added up over the devices.
    vary = jnp.zeros_like(zs, shape=())
    looped = {name: w for name, w in params.items() if name != "w_ih"}
    looped = jax.tree.map(lambda w: w + vary.astype(w.dtype), looped)
    weights = Weights(looped.pop("w_hh"), looped, h_mask)
    return _run(loop, weights, carry, zs, mask)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(
    loop: Loop, weights: Weights, carry: Carry, zs: Array, mask: Array | None
) -> tuple[Carry, Array]:
    def step(carry: Carry, inputs: tuple[Array, Array | None]) -> tuple[Carry, Array]:
        """One step."""
        z, real = inputs
        return _finish(loop, weights.others, carry, z, _add(loop, weights, carry), real)

    return _scan(loop, step, carry, (zs, mask))


def _run_and_keep(
    loop: Loop, weights: Weights, carry: Carry, zs: Array, mask: Array | None
) -> tuple[tuple[Carry, Array], Any]:
    """The same, and what the gradient needs: each step's carry before it and u."""

    def step(carry: Carry, inputs: tuple[Array, Array | None]) -> tuple[Carry, Any]:
        """One step."""
        z, real = inputs
        u = _add(loop, weights, carry)
        new, y = _finish(loop, weights.others, carry, z, u, real)
        return new, (y, carry, u)

    last, (ys, carries, us) = _scan(loop, step, carry, (zs, mask))
    return (last, ys), (weights, carries, zs, us, mask)


def _gradient(loop: Loop, kept: Any, cotangents: tuple[Carry, Array]) -> tuple:
    """From the cotangents of the last carry and ys to those of what went in."""
    weights, carries, zs, us, mask = kept
    d_last, d_ys = cotangents

    def step(sums: Any, inputs: Any) -> tuple[Any, Any]:
        """One step back."""
        d_carry, d_others = sums
        carry, z, u, real, d_y = inputs

        def finish(others: Params, carry: Carry, z: Array, u: Array) -> Any:
            """The step without its product."""
            return _finish(loop, others, carry, z, u, real)

        _, back = jax.vjp(finish, weights.others, carry, z, u)
        d_step, d_before, d_z, d_u = back((d_carry, d_y))
        d_h = project(d_u.astype(loop.dtype), weights.w_hh.T, d_u.dtype)
        d_before = d_before._replace(h=d_before.h + _drop(d_h, weights.h_mask))
        d_others = jax.tree.map(jnp.add, d_others, d_step)
        return (d_before, d_others), (d_z, d_u)

    zeros = jax.tree.map(jnp.zeros_like, weights.others)
    back = loop._replace(reverse=not loop.reverse)
    inputs = (carries, zs, us, mask, d_ys)
    (d_carry, d_others), (d_zs, d_us) = _scan(back, step, (d_last, zeros), inputs)
    hs = _drop(carries.h, weights.h_mask).astype(loop.dtype)
    d_w_hh = jnp.einsum(
        "...h,...g->hg",
        hs,
        d_us.astype(loop.dtype),
        preferred_element_type=d_us.dtype,
    ).astype(weights.w_hh.dtype)
    d_mask = jax.tree.map(jnp.zeros_like, weights.h_mask)
    return Weights(d_w_hh, d_others, d_mask), d_carry, d_zs, None


_run.defvjp(_run_and_keep, _gradient)


def _scan(loop: Loop, step: Any, carry: Any, inputs: Any) -> tuple[Any, Any]:
    return jax.lax.scan(step, carry, inputs, reverse=loop.reverse, unroll=loop.unroll)


def _add(loop: Loop, weights: Weights, carry: Carry) -> Array:
    """What the hidden state adds: the one product of a step."""
    h = _drop(carry.h, weights.h_mask)
    return project(h.astype(loop.dtype), weights.w_hh, carry.h.dtype)


def _drop(h: Array, h_mask: Array | None) -> Array:
    return h if h_mask is None else h * jnp.broadcast_to(h_mask, h.shape)


def _finish(
    loop: Loop, others: Params, carry: Carry, z: Array, u: Array, real: Array | None
) -> tuple[Carry, Array]:
    """The elementwise rest of a step."""
    new = loop.cell.update(carry, loop.cell.gates(others, z, u))
    if real is None:
        return new, new.h.astype(loop.dtype)
    held = jax.tree.map(lambda a, b: keep(real, a, b), new, carry)
    return held, keep(real, new.h, 0).astype(loop.dtype)
