"""What the core tests run over: every cell, every kernel, small random problems."""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax import CELLS, unroll
from lstm_jax.kernels import KERNELS

try:
    from jax import enable_x64 as enable_x64  # since jax 0.8
except ImportError:
    from jax.experimental import enable_x64 as enable_x64

# Compiling takes most of the time.  Values and gradients are compared for every cell;
# what a kernel makes of a cell otherwise, for those with a gradient written by hand and
# for one without.  The plain scan calls a cell's step and no more.
BASIC = ("lstm", "gru", "rnn")
CELLS_OF: dict[str, tuple[str, ...]] = {
    "scan": BASIC,
    "fused": (*BASIC, "peephole_lstm"),
    "pallas": ("lstm",),
    "cudnn": (),  # needs a GPU; test_cudnn.py runs JAX's own model of it
}
RUNS = [(cell, kernel) for kernel in KERNELS for cell in CELLS_OF[kernel]]
REST = [(cell, "fused") for cell in CELLS if cell not in CELLS_OF["fused"]]
# The tests share these shapes, and with them the compiled code of run_with_grads.
WHOLE, HALF = (6, 3, 4), (3, 3, 4)  # T, D, H
SHAPES = {"D<H": WHOLE, "T=1, D=H": (1, 4, 4), "H=1": (6, 3, 1)}

over_cells = pytest.mark.parametrize("cell", CELLS)
over_runs = pytest.mark.parametrize(("cell", "implementation"), RUNS)
over_all_runs = pytest.mark.parametrize(("cell", "implementation"), RUNS + REST)
# One hidden unit says nothing where it is normalised by itself.
SMALLEST = {"layer_norm_lstm": 2}
over_shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "back"])


class Problem(NamedTuple):
    params: dict[str, jax.Array]
    carry: Any
    xs: jax.Array
    lengths: jax.Array | None


@lru_cache
def make_cell(name, hidden_size=4):
    return CELLS[name](hidden_size)


def random_like(shapes, seed, scale=0.7):
    """Random arrays for a tree of shapes: biases too, which ``init`` leaves at 0."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return jnp.asarray(scale * rng.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree.map(draw, shapes)


def param_shapes(init, input_size, dtype="float32"):
    fixed = partial(init, input_size=input_size, dtype=dtype)
    return jax.eval_shape(fixed, jax.random.key(0))


def make_problem(cell, shape=WHOLE, dtype="float32", seed=0):
    """A batch of four with lengths T, 0, 1 and about T / 2."""
    steps, input_size, hidden_size = shape
    if hidden_size < SMALLEST.get(cell, 1):
        pytest.skip(f"{cell} has {SMALLEST[cell]} hidden units at least")
    made = make_cell(cell, hidden_size)
    xs = jax.ShapeDtypeStruct((steps, 4, input_size), dtype)
    shapes = (
        param_shapes(made.init, input_size, dtype),
        made.initial_carry((4,), dtype),
        xs,
    )
    lengths = jnp.array([steps, 0, 1, (steps + 1) // 2], jnp.int32)
    return Problem(*random_like(shapes, seed), lengths)


@partial(jax.jit, static_argnames=("cell", "implementation", "reverse", "unroll_by"))
def run(problem, cell, implementation="scan", reverse=False, unroll_by=1):
    """``unroll`` under jit: ``(carry, ys)``."""
    hidden_size = jax.tree.leaves(problem.carry)[0].shape[-1]
    return unroll(
        make_cell(cell, hidden_size),
        problem.params,
        problem.xs,
        carry=problem.carry,
        lengths=problem.lengths,
        reverse=reverse,
        unroll=unroll_by,
        implementation=implementation,
    )


def make_mesh(axis_type, **axes):
    """Of eight simulated devices, with one axis of them all if none are named."""
    axes = axes or {"data": 8}
    if len(jax.devices("cpu")) < 8:
        pytest.skip("needs 8 simulated CPU devices")
    types = (axis_type,) * len(axes)
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=types)


def probe(outputs):
    """A number that every entry of the outputs moves by an amount of its own."""
    total = 0.0
    for n, leaf in enumerate(jax.tree.leaves(outputs)):
        weights = np.cos(1.3 * n + np.arange(leaf.size)).reshape(leaf.shape)
        total = total + (leaf * jnp.asarray(weights, leaf.dtype)).sum()
    return total


@partial(jax.jit, static_argnames=("cell", "implementation", "reverse", "unroll_by"))
def run_with_grads(problem, cell, implementation="scan", reverse=False, unroll_by=1):
    """``(carry, ys)``, and the gradients for params, first carry and xs."""

    def loss(params, carry, xs):
        given = Problem(params, carry, xs, problem.lengths)
        outputs = run(given, cell, implementation, reverse, unroll_by)
        return probe(outputs), outputs

    grad = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)
    grads, outputs = grad(problem.params, problem.carry, problem.xs)
    return outputs, grads


def assert_close(got, expected, tolerance=2e-6):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_same_bits(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
