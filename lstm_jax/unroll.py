"""Run a cell over a sequence: lengths, direction, and how it is computed."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lstm_jax.cells.base import (
    Carry,
    Cell,
    Params,
    carry_dtype,
    is_count,
    product_dtype,
    project,
)
from lstm_jax.kernels import (
    IMPLEMENTATIONS,
    KERNELS,
    choose_implementation,
    choose_unroll,
    run_in_chunks,
)
from lstm_jax.kernels.scan import keep
from lstm_jax.shapes import batch_shape, check_carry, check_inputs, check_params
from lstm_jax.spread import leave_to_xla, vary_alike


def unroll(
    cell: Cell,
    params: Params,
    xs: Array,
    *,
    carry: Carry | None = None,
    lengths: Array | None = None,
    h_mask: Array | None = None,
    reverse: bool = False,
    unroll: int | None = None,
    chunk_size: int | None = None,
    implementation: str = "auto",
) -> tuple[Carry, Array]:
    """Run ``cell`` over ``xs``, which has time first.

    Args:
      cell: what ``lstm(H)``, ``gru(H)`` or ``rnn(H)`` gave.
      params: what ``cell.init`` gave.
      xs: ``[T, B, D]``; B may be several dimensions, or none.  Integers ``[T, B]``
        stand for one-hot vectors of width D, which are never made; they are to be 0 to
        D - 1, others are taken for another of these.
      carry: the carry to start from; None starts from ``cell.initial_carry``, of the
        widest dtype of ``params`` and ``xs``, float32 at least.
      lengths: integers ``[B]``, the real steps of each sequence, which come
        first; None means all T.  Whatever stands in the padding changes nothing.
      h_mask: ``[B, H]``, multiplied with the hidden state where the gates read it:
        recurrent dropout with one mask a sequence (Gal & Ghahramani, 2016).  It is
        taken as a constant.
      reverse: run from the last step to the first.  The padding then comes
        first and the carry is held over it, so nothing needs to be flipped;
        ``ys[t]`` belongs to ``xs[t]``.
      unroll: steps in one iteration of the compiled loop: fewer, larger
        iterations, at the price of compilation time.  None is 8 on a GPU, else 1.
      chunk_size: steps between which only the carry is kept for the gradient, which
        computes the rest again: less memory on long sequences, for 16 to 69 % more
        time where it was measured.  One that divides T saves copies of ``xs`` and
        ``ys``.  None keeps all that the gradient needs.
      implementation: "fused" has a gradient written by hand, in reverse mode only;
        "scan" has both modes; "cudnn" is NVIDIA's LSTM, in float32; "pallas" is one
        GPU program for all steps of a small LSTM.  The last two are not split over
        devices, but by ``shard_map``, and know no forward mode over the gradient,
        as in ``jax.hessian``; nor is "cudnn" mapped by ``vmap`` or differentiated
        twice, nor "pallas" exported, or differentiated twice in a loop around it, as
        that of ``chunk_size``.  "auto" is what
        ``choose_implementation`` says.

    Returns:
      The carry after the last real step, and ``ys [T, B, H]``.  At padded steps
      the carry is held and ``ys`` is 0; a sequence of length 0 gives back its
      initial carry.

    Raises:
      ValueError: a shape or name that does not fit: "expected ..., got ...".

    Example:
      >>> from lstm_jax import lstm, unroll
      >>> cell = lstm(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), input_size=3)
      >>> xs = jax.random.normal(jax.random.key(1), (7, 2, 3))
      >>> carry, ys = unroll(cell, params, xs, lengths=jnp.array([7, 2]))
      >>> ys.shape, bool((ys[2:, 1] == 0).all())
      ((7, 2, 4), True)
    """
    check_inputs(cell, xs, lengths, h_mask)
    check_params(cell, params, xs)
    _check_loop(unroll, chunk_size, implementation)
    if carry is None:
        carry = _initial_carry(cell, params, xs)
    else:
        check_carry(cell, xs, carry)
    if implementation == "auto":
        implementation = _choose(cell, params, xs)
    how = {"implementation": implementation, "reverse": reverse}
    how["unroll"] = choose_unroll() if unroll is None else unroll
    run = partial(_run, _step_alone(cell), chunk_size=chunk_size, **how)
    given = vary_alike((carry, xs, params, lengths, h_mask))
    return leave_to_xla(run, len(batch_shape(xs)), *given)


# Where no jit is around it: compiled at the first call, not at each.
@partial(
    jax.jit,
    static_argnums=0,
    static_argnames=("chunk_size", "implementation", "reverse", "unroll"),
)
def _run(
    cell: Cell,
    carry: Carry,
    xs: Array,
    params: Params,
    lengths: Array | None,
    h_mask: Array | None,
    *,
    chunk_size: int | None,
    implementation: str,
    reverse: bool,
    unroll: int,
) -> tuple[Carry, Array]:
    """The kernel, over all steps at once or some."""
    mask = None if lengths is None else time_mask(lengths, xs.shape[0])
    h_mask = None if h_mask is None else jax.lax.stop_gradient(h_mask)
    how = {"h_mask": h_mask, "reverse": reverse, "unroll": unroll}

    def walk(carry: Carry, inputs: tuple[Array, Array | None]) -> tuple[Carry, Array]:
        """Over these steps."""
        return KERNELS[implementation](cell, params, carry, *inputs, **how)

    if chunk_size is None:
        return walk(carry, (xs, mask))
    return run_in_chunks(
        walk, carry, (xs, mask), chunk_size=chunk_size, reverse=reverse
    )


def trace(
    cell: Cell,
    params: Params,
    xs: Array,
    *,
    lengths: Array | None = None,
    reverse: bool = False,
) -> dict[str, Array]:
    """What goes on inside: the gates and the carry at each step, to look at.

    Args:
      cell: the cell.
      params: its parameters.
      xs: ``[T, B, D]``, or integers ``[T, B]``.
      lengths: integers ``[B]``, or None: every step is real.
      reverse: from the last step to the first.

    Returns:
      By name, ``[T, B, H]`` each: the gates, then the fields of the carry after the
      step.  0 at padded steps.

    Raises:
      ValueError: a shape that does not fit: "expected ..., got ...".

    Example:
      >>> from lstm_jax import lstm
      >>> cell = lstm(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), input_size=3)
      >>> seen = trace(cell, params, jnp.ones((7, 2, 3)))
      >>> list(seen), seen["f"].shape
      (['i', 'f', 'g', 'o', 'c', 'h'], (7, 2, 4))
    """
    check_inputs(cell, xs, lengths)
    check_params(cell, params, xs)
    given = vary_alike((_initial_carry(cell, params, xs), xs, params, lengths))
    run = partial(_trace, _step_alone(cell), reverse=reverse)
    gates, carries = leave_to_xla(run, len(batch_shape(xs)), *given)[1]
    return {**gates._asdict(), **carries._asdict()}


@partial(jax.jit, static_argnums=0, static_argnames="reverse")
def _trace(
    cell: Cell,
    carry: Carry,
    xs: Array,
    params: Params,
    lengths: Array | None,
    *,
    reverse: bool,
) -> tuple[Carry, tuple[Any, Carry]]:
    """The last carry, and the gates and the carry at each step."""
    mask = None if lengths is None else time_mask(lengths, xs.shape[0])
    # What stands in the padding reaches no gradient.
    xs = keep(mask, xs, 0)
    dtype = product_dtype(params, xs)

    def step(carry: Carry, inputs: tuple[Array, Array | None]) -> tuple[Carry, Any]:
        """A step that shows its gates and its carry."""
        x, real = inputs
        v = cell.project(params, x, carry.h.dtype)
        u = project(carry.h.astype(dtype), params["w_hh"], v.dtype)
        gates = cell.gates(params, carry, v, u)
        new = cell.update(params, carry, gates)
        held = jax.tree.map(partial(keep, real), new, carry)
        return held, jax.tree.map(lambda a: keep(real, a, 0), (gates, new))

    return jax.lax.scan(step, carry, (xs, mask), reverse=reverse)


def time_mask(lengths: Array, num_steps: int) -> Array:
    """Mark the real steps: bool ``[T, B]``, True where ``t < lengths[b]``.

    >>> time_mask(jnp.array([0, 2]), 3).astype(int).tolist()
    [[0, 1], [0, 1], [0, 0]]
    """
    steps = jnp.arange(num_steps, dtype=jnp.int32)
    steps = steps.reshape((num_steps,) + (1,) * lengths.ndim)
    return steps < lengths[None].astype(jnp.int32)


def _step_alone(cell: Cell) -> Cell:
    """To jit, cells that only begin otherwise are the same."""
    return cell._replace(init=_not_of_a_step, initial_carry=_not_of_a_step, noise=None)


def _not_of_a_step(*_: Any, **__: Any) -> Any:
    raise AssertionError("a kernel computes steps alone")


def _choose(cell: Cell, params: Params, xs: Array) -> str:
    """What "auto" is for these inputs."""
    if not all(isinstance(size, int) for size in xs.shape):
        return "fused"  # an export that leaves sizes open
    return choose_implementation(cell, product_dtype(params, xs))[0]


def _initial_carry(cell: Cell, params: Params, xs: Array) -> Carry:
    return cell.initial_carry(batch_shape(xs), carry_dtype(params, xs))


def _check_loop(
    unroll: int | None, chunk_size: int | None, implementation: str
) -> None:
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation: expected one of {IMPLEMENTATIONS}, got {implementation!r}"
        )
    for name, size in (("unroll", unroll), ("chunk_size", chunk_size)):
        if size is not None and not is_count(size):
            raise ValueError(f"{name}: expected an integer >= 1 or None, got {size!r}")
