"""The scan with products gathered: one a step in each direction, the others whole.

Differentiated as it stands, a plain scan carries the gradient of every weight through
each of its backward steps; with the batch split over devices, each of those steps adds
up that gradient over all of them.  Here the backward loop gives out the gradients of
the gates alone; those of the weights are one product each, over all steps at once, and
one sum over the devices.  The products with the inputs are outside of both loops; on a
CPU, where no gradient is asked for and they would fill more than a cache, they stay
inside.

One buffer ``[T, B, G]`` serves three times: the forward loop reads ``x @ w_ih`` of a
step and writes the factors of its gradient in its place, the backward loop reads those
and writes the gradient.  With products in bfloat16 it is of bfloat16 too, but on a CPU,
where the gradient is written beside it.

The gradient is written by hand, for reverse mode only; ``scan`` has both modes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells.base import (
    Adjoint,
    Carry,
    Cell,
    Params,
    drop,
    is_one_hot,
    multiply_input,
    platform,
    product_dtype,
    project,
)
from lstm_jax.kernels.product import multiply, sum_of_products
from lstm_jax.kernels.scan import keep, scan

_LARGE = 2**22  # numbers that no core's cache holds
_LONG_ROW = 1024  # numbers that a word adds; shorter rows are gathered faster at once
_FEW_ROWS = 16  # of a batch, on each device
_WIDE = 2**19  # numbers of weights that are read again at each step


class Loop(NamedTuple):
    """What is fixed of a loop before it runs."""

    cell: Cell
    dtype: DTypeLike  # of the products with h
    reverse: bool
    unroll: int

    @property
    def adjoint(self) -> Adjoint:
        """Of the cell."""
        return self.cell.own_adjoint or differentiate(self.cell)

    @property
    def stacked_dtype(self) -> DTypeLike:
        """Of the ys while the loop runs.

        On a CPU, XLA would turn a bfloat16 array of all steps into float32 and back at
        each of them.
        """
        half = jnp.finfo(self.dtype).bits < 32
        return jnp.float32 if half and _is_cpu() else self.dtype

    @property
    def is_narrow(self) -> bool:
        """Whether the buffer holds bfloat16: half of what the loops move.

        Not on a CPU, for the reason above.
        """
        return jnp.finfo(self.dtype).bits < 32 and not _is_cpu()


class Weights(NamedTuple):
    """What a loop reads at each step."""

    w_hh: Array
    others: Params  # that only the gates read
    h_mask: Any  # [..., H], or None where nothing of h is dropped


# (loop, weights, carry, what the inputs add [T, B, G], mask) -> (carry, ys).  Of a
# custom_vjp no checker of types knows what it returns.
Walk = Callable[[Loop, Weights, Carry, Array, Array | None], Any]


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
    steps = xs.shape[0]  # which may be a symbol
    if isinstance(steps, int) and steps == 0:  # nothing to write a gradient into
        how = {"h_mask": h_mask, "reverse": reverse, "unroll": unroll}
        return scan(cell, params, carry, xs, mask, **how)
    loop = Loop(cell, product_dtype(params, xs), reverse, unroll)
    xs = keep(mask, xs, 0)
    if _is_better_inside(cell, params, xs):
        return _stay_inside(loop, params, carry, xs, mask, h_mask)
    return hoist(_run, loop, params, carry, xs, mask, h_mask)


def _run(
    loop: Loop, weights: Weights, carry: Carry, vs: Array, mask: Array | None
) -> tuple[Carry, Array]:
    """``run_loop`` over a buffer of the dtype that is quick to move."""
    vs = vs.astype(loop.dtype) if loop.is_narrow else vs
    return run_loop(loop, weights, carry, vs, mask)


def _is_better_inside(cell: Cell, params: Params, xs: Array) -> bool:
    """Whether what the inputs add is better computed step by step, with no gradient.

    Only where those of all steps are too many for a cache.  For rows that are looked
    up, also where they are long: a sixth faster at H256, a twentieth at H512, but a
    fifth to a half slower at H32 to H128.  For products, on a CPU, also where each step
    has rows enough to read the weights for: up to a quarter faster from B32 D128 H128
    to B64 D256 H256, level at H512, and four times slower with two rows.  An
    accelerator needs the large product to be busy.
    """
    steps = xs.shape if is_one_hot(xs) else xs.shape[:-1]
    known = all(isinstance(size, int) for size in steps)  # not so in some exports
    if cell.project is not multiply_input or not known:
        return False
    size = params["w_ih"].shape[-1]
    if math.prod(steps) * size < _LARGE:
        return False
    if is_one_hot(xs):
        return size >= _LONG_ROW
    return _is_quick_by_step(params["w_ih"], xs)


def _is_quick_by_step(w_ih: Array, xs: Array) -> bool:
    rows = math.prod(xs.shape[1:-1]) // jax.local_device_count()
    plain = xs.dtype == w_ih.dtype == jnp.float32 and _is_cpu()
    return plain and rows >= _FEW_ROWS and w_ih.size <= _WIDE


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _stay_inside(
    loop: Loop,
    params: Params,
    carry: Carry,
    xs: Array,
    mask: Array | None,
    h_mask: Array | None,
) -> tuple[Carry, Array]:
    """Compute what the inputs add in the loop, where no gradient is asked for."""
    weights = Weights(params["w_hh"], _others(params), h_mask)

    def step(carry: Carry, inputs: tuple[Array, Array | None]) -> tuple[Carry, Array]:
        """One step."""
        x, real = inputs
        v = loop.cell.project(params, x, carry.h.dtype)
        return _step(loop, weights, carry, v, real)

    last, ys = _scan(loop, step, carry, (xs, mask))
    return last, ys.astype(loop.dtype)


def _hoist_and_keep(
    loop: Loop, params: Params, carry: Carry, xs: Array, mask: Any, h_mask: Any
) -> tuple[tuple[Carry, Array], Any]:
    """For a gradient they are computed first: it takes their place."""

    def run(params: Params, carry: Carry, xs: Any, h_mask: Any) -> tuple[Carry, Array]:
        """What is differentiated."""
        return hoist(_run, loop, params, carry, xs, mask, h_mask)

    return jax.vjp(run, params, carry, xs, h_mask)


def _hoist_gradient(loop: Loop, pull: Any, cotangents: Any) -> tuple:
    del loop
    d_params, d_carry, d_xs, d_h_mask = pull(cotangents)
    return d_params, d_carry, d_xs, None, d_h_mask


_stay_inside.defvjp(_hoist_and_keep, _hoist_gradient)


def hoist(
    walk: Walk,
    loop: Loop,
    params: Params,
    carry: Carry,
    xs: Array,
    mask: Array | None,
    h_mask: Array | None,
) -> tuple[Carry, Array]:
    """Compute what the inputs add before the loop, for all steps at once; then walk.

    Args:
      walk: runs the loop.
      loop: what is fixed of it.
      params: of the cell.
      carry: before the first step.
      xs: with 0 at the padding.
      mask: see ``fused``.
      h_mask: see ``fused``.
    """
    vs = project_all(loop.cell, params, xs, carry.h.dtype)
    weights = Weights(params["w_hh"], _others(params), h_mask)
    return walk(loop, weights, carry, vs, mask)


def _others(params: Params) -> Params:
    return {k: w for k, w in params.items() if k not in ("w_ih", "w_hh")}


def project_all(cell: Cell, params: Params, xs: Array, dtype: DTypeLike) -> Array:
    """What the inputs of all steps add, ``[T, B, G]``."""
    if is_one_hot(xs) or cell.project is not multiply_input:
        return cell.project(params, xs, dtype)
    return multiply(dtype, xs, params["w_ih"])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def run_loop(
    loop: Loop, weights: Weights, carry: Carry, vs: Array, mask: Array | None
) -> tuple[Carry, Array]:
    """A ``Walk`` by XLA's loop.  A gradient may be taken again of its gradient."""
    read = _rounded(loop, weights)

    def step(carry: Carry, inputs: tuple[Array, Array | None]) -> tuple[Carry, Array]:
        """One step."""
        return _step(loop, read, carry, *inputs)

    last, ys = _scan(loop, step, carry, (vs, mask))
    return last, ys.astype(loop.dtype)


def _step(
    loop: Loop, weights: Weights, carry: Carry, v: Array, real: Array | None
) -> tuple[Carry, Array]:
    u = project(_read(loop, weights, carry), weights.w_hh, carry.h.dtype)
    gates = loop.cell.gates(weights.others, carry, v.astype(u.dtype), u)
    new = loop.cell.update(weights.others, carry, gates)
    return _hold(loop, real, new, carry)


def _run_and_keep(
    loop: Loop, weights: Weights, carry: Carry, vs: Array, mask: Array | None
) -> tuple[tuple[Carry, Array], Any]:
    """The same, and what the gradient needs."""
    read = _rounded(loop, weights)

    def step(state: Any, inputs: tuple[Array, Array | None]) -> tuple[Any, Any]:
        """One step; its factors take the place of its v."""
        (carry, buffer), (t, real) = state, inputs
        u = project(_read(loop, read, carry), read.w_hh, carry.h.dtype)
        v = _at(buffer, t).astype(u.dtype)
        new, factors, kept = loop.adjoint.keep(read.others, carry, v, u)
        new, y = _hold(loop, real, new, carry)
        buffer = buffer if factors is None else _put(buffer, t, factors)
        return (new, buffer), (y, _kept_as(loop, kept, loop.dtype))

    state, inputs = (carry, vs), (jnp.arange(vs.shape[0]), mask)
    (last, factors), (ys, kept) = _scan(loop, step, state, inputs)
    ys = ys.astype(loop.dtype)
    return (last, ys), (weights, carry.h, ys, factors, kept, mask)


def _gradient(loop: Loop, residuals: Any, cotangents: tuple[Carry, Array]) -> tuple:
    """From the cotangents of the last carry and ys to those of what went in."""
    weights, h, ys, factors, kept, mask = residuals
    d_last, d_ys = cotangents
    w_back = _rounded(loop, weights).w_hh.T

    def step(state: Any, inputs: Any) -> tuple[Any, Any]:
        """One step back; the gradient of its v takes the place of its factors.

        But where it is not what is multiplied, because u has a gradient of its own or,
        on a CPU, the product another dtype: written over while they are read for both,
        all the factors would be copied at each step.
        """
        (d_carry, buffer), (t, kept, real, d_y) = state, inputs
        d_new, d_held = _release(real, d_carry, d_y)
        factors, kept = _at(buffer, t).astype(h.dtype), _kept_as(loop, kept, h.dtype)
        d_before, d_v, d_u = loop.adjoint.back(weights.others, factors, kept, d_new)
        d_both = d_v if d_u is None else d_u
        in_place = d_u is None and (d_both.dtype == loop.dtype or not _is_cpu())
        d_h = project(d_both.astype(loop.dtype), w_back, h.dtype)
        d_before = d_before._replace(h=d_before.h + drop(d_h, weights.h_mask))
        if d_held is not None:
            d_before = jax.tree.map(jnp.add, d_before, d_held)
        if in_place:
            return (d_before, _put(buffer, t, d_v)), (None, None, d_new)
        return (d_before, buffer), (d_v, d_u, d_new)

    inputs = (jnp.arange(ys.shape[0]), kept, mask, d_ys)
    back = loop._replace(reverse=not loop.reverse)
    (d_carry, buffer), outputs = _scan(back, step, (d_last, factors), inputs)
    d_vs, d_us, d_news = outputs
    d_vs = buffer if d_vs is None else d_vs.astype(buffer.dtype)
    d_us = d_vs if d_us is None else d_us
    kept = _kept_as(loop, kept, h.dtype)
    # What the gates do not read, ``project`` may, or nobody.
    unread = jax.tree.map(jnp.zeros_like, dict(weights.others))
    read = loop.adjoint.others(weights.others, kept, d_news, d_vs.astype(h.dtype))
    d_weights = Weights(
        gradient_of_w_hh(loop, weights, (h, ys, mask), d_us),
        unread | dict(read),
        jax.tree.map(jnp.zeros_like, weights.h_mask),
    )
    return d_weights, d_carry, d_vs, None


run_loop.defvjp(_run_and_keep, _gradient)


def gradient_of_w_hh(
    loop: Loop, weights: Weights, read: tuple[Array, Array, Array | None], d_us: Array
) -> Array:
    """One product over all steps, of what they read and the gradients of their u.

    Args:
      loop: that was run.
      weights: that it read.
      read: the first h, ys, and the mask.
      d_us: ``[T, B, G]``.
    """
    hs = drop(_before(loop, *read), weights.h_mask).astype(loop.dtype)
    d_w_hh = sum_of_products(hs, d_us.astype(loop.dtype), read[0].dtype)
    return d_w_hh.astype(weights.w_hh.dtype)


def differentiate(cell: Cell) -> Adjoint:
    """The adjoint of a cell that has none of its own, by computing its step again."""

    def finish(params: Params, carry: Carry, v: Array, u: Array) -> Carry:
        """The step without its products."""
        return cell.update(params, carry, cell.gates(params, carry, v, u))

    def keep(params: Params, carry: Carry, v: Array, u: Array) -> tuple:
        """A step, and all that went in."""
        return finish(params, carry, v, u), None, (carry, v, u)

    def back(params: Params, factors: Array, kept: Any, d_carry: Carry) -> tuple:
        """Through the step again."""
        del factors
        _, pull = jax.vjp(partial(finish, params), *kept)
        return pull(d_carry)

    def others(params: Params, kept: Any, d_carry: Carry, d_v: Array) -> Params:
        """Through all steps again."""
        del d_v
        _, pull = jax.vjp(lambda params: finish(params, *kept), params)
        return pull(d_carry)[0]

    return Adjoint(cell.gates, cell.update, keep, back, others)


def _is_cpu() -> bool:
    return platform() == "cpu"


def _scan(loop: Loop, step: Any, carry: Any, inputs: Any) -> tuple[Any, Any]:
    return jax.lax.scan(step, carry, inputs, reverse=loop.reverse, unroll=loop.unroll)


def _at(buffer: Array, t: Array) -> Array:
    return buffer.at[t].get(mode="promise_in_bounds")


def _put(buffer: Array, t: Array, value: Array) -> Array:
    return buffer.at[t].set(value.astype(buffer.dtype), mode="promise_in_bounds")


def _kept_as(loop: Loop, kept: Any, dtype: DTypeLike) -> Any:
    """What a handwritten gradient keeps: narrow as the buffer between the loops.

    One by autodiff keeps what the step read, which has to stay what it was.
    """
    if not loop.is_narrow or loop.cell.own_adjoint is None:
        return kept
    return jax.tree.map(lambda k: k.astype(dtype), kept)


def _rounded(loop: Loop, weights: Weights) -> Weights:
    """Before the loop: XLA for a GPU would round them again in each iteration."""
    return weights._replace(w_hh=weights.w_hh.astype(loop.dtype))


def _read(loop: Loop, weights: Weights, carry: Carry) -> Array:
    """The hidden state as the gates read it."""
    return drop(carry.h, weights.h_mask).astype(loop.dtype)


def _hold(
    loop: Loop, real: Array | None, new: Carry, old: Carry
) -> tuple[Carry, Array]:
    """The carry after a step and its y: held and 0 where the step is padding."""
    held = jax.tree.map(partial(keep, real), new, old)
    return held, keep(real, new.h, 0).astype(loop.stacked_dtype)


def _release(real: Array | None, d_carry: Carry, d_y: Array) -> tuple[Carry, Any]:
    """The cotangents that go through the step, and those that go past it."""
    d_new = d_carry._replace(h=d_carry.h + d_y.astype(d_carry.h.dtype))
    if real is None:
        return d_new, None
    d_held = jax.tree.map(lambda d: keep(~real, d, 0), d_carry)
    return jax.tree.map(lambda d: keep(real, d, 0), d_new), d_held


def _before(loop: Loop, h: Array, ys: Array, mask: Array | None) -> Array:
    """What each real step read as h: the y of the step before, or h at the start."""
    first = h[None].astype(ys.dtype)
    ys = keep(mask, ys, first)
    parts = [ys[1:], first] if loop.reverse else [first, ys[:-1]]
    return jnp.concatenate(parts)
