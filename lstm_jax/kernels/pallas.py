"""The LSTM as one GPU program for all steps, for hidden sizes up to 128.

A loop of XLA starts several GPU kernels a step, which take longer than a step of a
small LSTM.  Here a program owns a few rows of the batch: it holds ``w_hh`` and the
carry of its rows, walks through time by itself and waits for no other.  As in
``fused``, the products with the inputs come before, in one; what the gradient
multiplies by takes the place of what the inputs add; and the gradients of the weights
are one product after.

On a CPU the program is interpreted, slowly: to test it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from lstm_jax.cells.base import (
    Carry,
    Cell,
    Params,
    multipliable,
    platform,
    product_dtype,
)
from lstm_jax.cells.lstm import LSTMCarry, is_lstm
from lstm_jax.kernels.fused import Loop, Weights, fused, hoist, run_loop
from lstm_jax.kernels.fused import gradient_of_w_hh as sum_over_steps
from lstm_jax.kernels.scan import keep

LARGEST_SIZE = 128  # of h: of more, the registers cannot hold what a step computes
_SMALLEST_SIZE = 16  # of a side of what matrix units multiply
_ROWS = 16  # of the batch, a program: as few as they multiply
_SHARED_MEMORY = 200 * 1024  # bytes of a multiprocessor's, for weights
_BYTES_A_WARP = 2**14  # of weights


def pallas(
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
      ValueError: another cell, a larger one, or no GPU: "implementation='pallas':
        expected ..., got ...".
    """
    del unroll  # the loop is the program's
    _check(cell)
    loop = Loop(cell, product_dtype(params, xs), reverse, unroll=1)
    xs = keep(mask, xs, 0)
    if not xs.size:
        return fused(cell, params, carry, xs, mask, h_mask=h_mask, reverse=reverse)
    return hoist(_fill_and_run, loop, params, carry, xs, mask, h_mask)


def _check(cell: Cell) -> None:
    backend = platform()
    wrong = {
        f"a GPU, or a CPU to test it, got a {backend}": backend not in ("gpu", "cpu"),
        "an LSTM cell, got another": not is_lstm(cell),
        f"a hidden size up to {LARGEST_SIZE}, got {cell.output_size}": (
            cell.output_size > LARGEST_SIZE
        ),
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"implementation='pallas': expected {what}")


# --- to the sizes that a GPU multiplies, and back ----------------------------------


def _fill_and_run(
    loop: Loop, weights: Weights, carry: LSTMCarry, vs: Array, mask: Array | None
) -> tuple[LSTMCarry, Array]:
    """Add units and rows up to the sizes that there are; those units stay 0."""
    batch_shape, size = carry.h.shape[:-1], carry.h.shape[-1]
    steps, rows = len(vs), carry.h.size // size
    more = _fill(size, rows)
    hidden = partial(more, rows=-2, units=-1)
    real = jnp.ones((steps, rows), bool) if mask is None else mask.reshape(steps, rows)
    h_mask = jnp.ones_like(carry.h) if weights.h_mask is None else weights.h_mask
    filled = Weights(
        more(more(_by_gate(weights.w_hh), units=-1), units=0),
        {"b": more(_by_gate(weights.others["b"]), units=-1)},
        hidden(h_mask.reshape(rows, size)),
    )
    start = LSTMCarry(*(hidden(leaf.reshape(rows, size)) for leaf in carry))
    vs = more(_by_gate(vs.reshape(steps, rows, -1)), rows=1, units=-1)
    ran: Any = _run(loop, filled, start, vs, more(real, rows=1))
    last, ys = ran
    cut = LSTMCarry(*(c[:rows, :size].reshape(*batch_shape, size) for c in last))
    return cut, ys[:, :rows, :size].reshape(steps, *batch_shape, size)


def _by_gate(a: Array) -> Array:
    """``[..., 4H]`` to ``[..., 4, H]``."""
    return a.reshape(*a.shape[:-1], 4, -1)


def _fill(size: int, rows: int) -> Any:
    """What adds the missing zeros along the axes named ``rows`` and ``units``."""
    filled_size = max(_SMALLEST_SIZE, pl.next_power_of_2(size))
    missing = {"units": filled_size - size, "rows": -rows % _ROWS}

    def more(a: Array, **axes: int) -> Array:
        """The array with them."""
        widths = [(0, 0)] * a.ndim
        for name, axis in axes.items():
            widths[axis] = (0, missing[name])
        return jnp.pad(a, widths)

    return more


# --- the run, and its gradient -----------------------------------------------------


class Kept(NamedTuple):
    """What the gradient of all steps multiplies by.

    Attributes:
      factors: ``[T, B, 4, H]``, as ``LSTMKept`` has it; in the place of ``vs``.
      h_to_c: ``[T, B, H]``.
      f: ``[T, B, H]``.
    """

    factors: Array
    h_to_c: Array
    f: Array


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(
    loop: Loop, weights: Weights, carry: LSTMCarry, vs: Array, real: Array
) -> tuple[LSTMCarry, Array]:
    c, h, ys = _walk(loop, weights, carry, vs, real, keeps=False)
    return LSTMCarry(c, h), ys


def _run_and_keep(
    loop: Loop, weights: Weights, carry: LSTMCarry, vs: Array, real: Array
) -> tuple[tuple[LSTMCarry, Array], Any]:
    """The same, and what the gradient needs."""
    inputs = (weights, carry, vs, real)
    both: Any = _run_for_gradient(loop, *inputs)
    outcome, kept = both
    return outcome, (inputs, outcome[1], kept)


def _gradient(loop: Loop, residuals: Any, cotangents: tuple[LSTMCarry, Array]) -> tuple:
    """From the cotangents of the last carry and ys to those of what went in."""
    pulled: Any = _pull(loop, *residuals, cotangents)
    return (*pulled, None)


_run.defvjp(_run_and_keep, _gradient)


# A gradient of the gradient has no program of its own: below, both halves of the first
# are differentiated as those of XLA's loop.  What only that needs costs nothing where
# it is not asked for.


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run_for_gradient(
    loop: Loop, weights: Weights, carry: LSTMCarry, vs: Array, real: Array
) -> tuple[tuple[LSTMCarry, Array], Kept]:
    """The last carry and ys, and what the gradient multiplies by."""
    c, h, ys, *kept = _walk(loop, weights, carry, vs, real, keeps=True)
    return (LSTMCarry(c, h), ys), Kept(*kept)


def _differentiate_run(loop: Loop, inputs: Any, cotangents: Any) -> tuple:
    *moving, real = inputs
    _, pull = jax.vjp(partial(_run_plainly, loop, real), *moving)
    return (*pull(cotangents[0]), None)


_run_for_gradient.defvjp(
    lambda loop, *inputs: (_run_for_gradient(loop, *inputs), inputs), _differentiate_run
)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pull(
    loop: Loop,
    inputs: tuple[Weights, LSTMCarry, Array, Array],
    ys: Array,
    kept: Kept,
    cotangents: tuple[LSTMCarry, Array],
) -> tuple[Weights, LSTMCarry, Array]:
    """From the cotangents of the last carry and ys to those of what went in."""
    weights, carry, _, real = inputs
    d_c, d_h, d_vs = _walk_back(loop, weights, kept, real, *cotangents)
    flat = d_vs.reshape(*d_vs.shape[:2], -1)
    d_weights = Weights(
        sum_over_steps(loop, weights, (carry.h, ys, real), flat).reshape(
            weights.w_hh.shape
        ),
        {"b": d_vs.sum((0, 1)).astype(weights.others["b"].dtype)},
        jnp.zeros_like(weights.h_mask),
    )
    return d_weights, LSTMCarry(d_c, d_h), d_vs


def _differentiate_pull(loop: Loop, given: Any, cotangents: Any) -> tuple:
    (*moving, real), ys, kept, pulled = given

    def pull(moving: Any, pulled: Any) -> Any:
        """The same by XLA's loop, from the inputs alone."""
        return jax.vjp(partial(_run_plainly, loop, real), *moving)[1](pulled)

    d_moving, d_pulled = jax.vjp(pull, moving, pulled)[1](cotangents)
    zeros = jax.tree.map(jnp.zeros_like, (ys, kept))
    return ((*d_moving, None), *zeros, d_pulled)


_pull.defvjp(lambda loop, *given: (_pull(loop, *given), given), _differentiate_pull)


def _run_plainly(
    loop: Loop, real: Array, weights: Weights, carry: LSTMCarry, vs: Array
) -> tuple[LSTMCarry, Array]:
    """``_run`` by XLA's loop, whose arrays have the gates side by side."""
    flat = Weights(
        weights.w_hh.reshape(len(weights.w_hh), -1),
        {"b": weights.others["b"].reshape(-1)},
        weights.h_mask,
    )
    return run_loop(loop, flat, carry, vs.reshape(*vs.shape[:2], -1), real)


def _walk(
    loop: Loop,
    weights: Weights,
    carry: LSTMCarry,
    vs: Array,
    real: Array,
    *,
    keeps: bool,
) -> list[Array]:
    """The last c and h, ys, and with ``keeps`` the fields of ``Kept``."""
    ys = _like(vs, (*vs.shape[:2], vs.shape[-1]), loop.dtype)
    wide = _like(vs, ys.shape, vs.dtype)
    outputs = [*map(_same, carry), ys]
    inputs = [*carry, vs, *_fixed(loop, weights, vs), real.astype(jnp.int32)]
    if keeps:
        outputs += [_same(vs), wide, wide]
    return _start(
        partial(_forward, loop.reverse),
        inputs,
        outputs,
        loop,
        aliases={2: 3} if keeps else {},
    )


def _walk_back(
    loop: Loop,
    weights: Weights,
    kept: Kept,
    real: Array,
    d_last: LSTMCarry,
    d_ys: Array,
) -> list[Array]:
    """The cotangents of the first c and h, and of vs."""
    w, _, h_mask = _fixed(loop, weights, kept.factors)
    w_back = w.transpose(1, 2, 0)  # [4, H, H]
    d_ys = d_ys.astype(kept.f.dtype)
    inputs = [*d_last, *kept, d_ys, w_back, h_mask, real.astype(jnp.int32)]
    outputs = [*map(_same, d_last), _same(kept.factors)]
    return _start(
        partial(_backward, not loop.reverse), inputs, outputs, loop, aliases={2: 2}
    )


def _fixed(loop: Loop, weights: Weights, vs: Array) -> tuple[Array, Array, Array]:
    """Weights, bias and mask in the dtypes that they are used in."""
    b = weights.others["b"].astype(vs.dtype)
    return weights.w_hh.astype(loop.dtype), b, weights.h_mask.astype(vs.dtype)


def _like(a: Array, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """An output that varies over the devices of a ``shard_map`` as ``a`` does."""
    return jax.eval_shape(lambda a: jnp.zeros_like(a, shape=shape, dtype=dtype), a)


def _same(a: Array) -> jax.ShapeDtypeStruct:
    return _like(a, a.shape, a.dtype)


def _start(
    program: Any,
    inputs: list[Array],
    outputs: list[jax.ShapeDtypeStruct],
    loop: Loop,
    aliases: dict[int, int],
) -> list[Array]:
    """One program for every few rows."""
    rows, size = inputs[0].shape
    gate = size * size * jnp.dtype(loop.dtype).itemsize
    warps = pl.next_power_of_2(max(4 * gate // _BYTES_A_WARP, 4))
    start = partial(
        pl.pallas_call,
        program,
        out_shape=outputs,
        grid=(rows // _ROWS,),
        input_output_aliases=aliases,
    )
    how = triton.CompilerParams(num_warps=min(warps, 16), num_stages=1)
    # By the platform that it is compiled for: a GPU may be there and not be used.
    return jax.lax.platform_dependent(
        *inputs, cpu=start(interpret=True), default=start(compiler_params=how)
    )


# --- the programs ------------------------------------------------------------------


def _forward(reverse: bool, c, h, vs, w, b, h_mask, real, *outputs) -> None:
    """All steps of a few rows."""
    c_last, h_last, ys, *kept = outputs
    rows = _own_rows()
    weight = _keep_some(4, lambda gate: w[:, gate])
    biases = [b[gate][None] for gate in range(4)]
    dropped = h_mask[rows]

    def step(n: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        """One step of time."""
        c, h = state
        t = vs.shape[0] - 1 - n if reverse else n
        # Asked for first: they arrive while the products are computed.
        added = [vs[t, rows, gate] for gate in range(4)]
        goes_on = (real[t, rows] != 0)[:, None]
        read = (h * dropped).astype(w.dtype)
        z_i, z_f, z_g, z_o = (
            _dot(read, weight(gate), h.dtype) + added[gate] + biases[gate]
            for gate in range(4)
        )
        i, f, o = _sigmoid(z_i), _sigmoid(z_f), _sigmoid(z_o)
        g = _tanh(z_g)
        new = f * c + i * g
        squashed = _tanh(new)
        y = o * squashed
        ys[t, rows] = jnp.where(goes_on, y, 0).astype(ys.dtype)
        if kept:
            factors, h_to_c, forget = kept
            factors[t, rows, 0] = g * i * (1 - i)
            factors[t, rows, 1] = c * f * (1 - f)
            factors[t, rows, 2] = i * (1 - g * g)
            factors[t, rows, 3] = squashed * o * (1 - o)
            h_to_c[t, rows] = o * (1 - squashed * squashed)
            forget[t, rows] = f
        return jnp.where(goes_on, new, c), jnp.where(goes_on, y, h)

    c_last[rows], h_last[rows] = jax.lax.fori_loop(
        0, vs.shape[0], step, (c[rows], h[rows])
    )


def _backward(
    reverse: bool, d_c, d_h, factors, h_to_c, f, d_ys, w_back, h_mask, real, *outputs
) -> None:
    """The gradient of all steps of a few rows."""
    d_c_first, d_h_first, d_vs = outputs
    rows = _own_rows()
    weight = _keep_some(4, lambda gate: w_back[gate])
    dropped = h_mask[rows]

    def step(n: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        """One step back in time."""
        d_c, d_h = state
        t = factors.shape[0] - 1 - n if reverse else n
        scales = [factors[t, rows, gate] for gate in range(4)]
        to_c, forget, d_y = h_to_c[t, rows], f[t, rows], d_ys[t, rows]
        goes_on = (real[t, rows] != 0)[:, None]
        # What a step that is padding holds goes past it.
        d_y = jnp.where(goes_on, d_h + d_y, 0)
        d_new = jnp.where(goes_on, d_c, 0) + d_y * to_c
        d_v = [d_new * scales[gate] for gate in range(3)] + [d_y * scales[3]]
        for gate in range(4):
            d_vs[t, rows, gate] = d_v[gate]
        d_read = sum(
            _dot(d_v[gate].astype(w_back.dtype), weight(gate), d_h.dtype)
            for gate in range(4)
        )
        d_c = jnp.where(goes_on, d_new * forget, d_c)
        return d_c, jnp.where(goes_on, d_read * dropped, d_h)

    d_c_first[rows], d_h_first[rows] = jax.lax.fori_loop(
        0, factors.shape[0], step, (d_c[rows], d_h[rows])
    )


def _keep_some(num_gates: int, read: Callable[[int], Array]) -> Callable[[int], Array]:
    """The weights of a gate; of the first ones they are read once and kept.

    As many as there is room for.  What is read again at each step needs room too, as
    much as one of them.
    """
    gate = jax.eval_shape(partial(read, 0))
    room = _SHARED_MEMORY // (gate.size * gate.dtype.itemsize)
    kept = [read(n) for n in range(num_gates if room >= num_gates else room - 1)]
    return lambda n: kept[n] if n < len(kept) else read(n)


def _own_rows() -> Any:
    return pl.ds(pl.program_id(0) * _ROWS, _ROWS)


def _dot(a: Array, b: Array, dtype: Any) -> Array:
    """``a @ b``, added up in ``dtype``."""
    return jnp.dot(*multipliable(a, b, dtype), preferred_element_type=dtype)


def _sigmoid(z: Array) -> Array:
    """By exp, which a GPU has."""
    return 1 / (1 + jnp.exp(-z))


def _tanh(z: Array) -> Array:
    """By exp; never infinity over infinity.  Off by 1e-7 near 0, as the sums are."""
    return 2 * _sigmoid(2 * z) - 1
