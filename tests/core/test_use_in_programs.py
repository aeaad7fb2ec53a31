"""What programs of others do with cells and layers: donate, export, differentiate."""

import gc
import warnings
import weakref
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import assert_close, random_like
from jax import export

from lstm_jax import bidirectional, draw_together, lstm, one_way, stack, trace, unroll
from lstm_jax.cells import CELLS
from lstm_jax.cells.base import multiply_input, project, scale
from lstm_jax.layers import dropout

XS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("layer", [one_way, bidirectional])
def test_a_first_carry_can_be_given_away(layer, name):
    """No buffer stands in it twice: a donated one could not be read again."""
    made = stack([layer(CELLS[name](4)), layer(CELLS[name](4))])
    carry = made.initial_carry((2,))
    places = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(carry)]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_a_gradient_of_any_length_is_exported(implementation):
    cell = lstm(4)
    params = cell.init(jax.random.key(0), 3)

    def loss(params, xs):
        ys = unroll(cell, params, xs, implementation=implementation)[1]
        return (ys**2).sum()

    num_steps, rows = export.symbolic_shape("T, B")
    xs = jax.ShapeDtypeStruct((num_steps, rows, 3), jnp.float32)
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params)
    written = export.export(jax.jit(jax.grad(loss)))(like, xs).serialize()
    found = export.deserialize(written).call(params, XS)
    expected = jax.grad(loss)(params, XS)
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, rtol=1e-5, atol=1e-6)


def test_what_stands_in_the_padding_reaches_no_gradient_of_a_trace():
    cell, lengths = lstm(4), jnp.array([5, 2])
    params = cell.init(jax.random.key(0), 3)
    spoilt = XS.copy()
    spoilt[2:, 1] = np.nan

    def size(params, xs):
        seen = trace(cell, params, xs, lengths=lengths)
        return sum((x**2).sum() for x in seen.values())

    expected, found = (jax.grad(size)(params, xs) for xs in (XS, spoilt))
    for name, leaf in expected.items():
        np.testing.assert_array_equal(found[name], leaf)


@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_float64_of_numpy_is_taken_without_a_word(implementation):
    cell = lstm(4)
    params = cell.init(jax.random.key(0), 3)
    expected = unroll(cell, params, XS, implementation=implementation)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wide = XS.astype(np.float64)
        ys = unroll(cell, params, wide, implementation=implementation)[1]
        cell.step(params, cell.initial_carry((2,)), wide[0])
    np.testing.assert_allclose(ys, expected, rtol=1e-6)


def test_no_rows_in_chunks():
    cell = lstm(4)
    params = cell.init(jax.random.key(0), 3)
    _, ys = unroll(cell, params, XS[:, :0], chunk_size=2)
    assert ys.shape == (5, 0, 4)


def test_axes_of_dropout_from_the_end_and_beyond():
    x = jnp.asarray(np.random.default_rng(1).uniform(1, 2, (6, 2, 3)))
    key = jax.random.key(0)
    for axis in range(3):
        found = dropout(key, x, 0.5, along=(axis - 3,))
        np.testing.assert_array_equal(found, dropout(key, x, 0.5, along=(axis,)))
    for axis in (3, -4):
        with pytest.raises(ValueError, match=r"along: expected axes of \(6, 2, 3\)"):
            dropout(key, x, 0.5, along=(axis,))


@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_outside_of_jit_a_run_and_its_gradient_are_compiled_once(
    implementation, caplog
):
    cell = lstm(4)
    params = cell.init(jax.random.key(0), 3)

    def loss(params, xs):
        ys = unroll(cell, params, xs, implementation=implementation)[1]
        return (ys**2).sum()

    def run(xs):
        return loss(params, xs), jax.grad(loss)(params, xs)

    first = run(jnp.asarray(XS))
    with jax.log_compiles():
        again = run(jnp.asarray(XS))
    assert "Compiling" not in caplog.text
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(first), strict=True):
        np.testing.assert_array_equal(a, b)


def glorot(key, shape, dtype):
    return jax.nn.initializers.glorot_uniform()(key, shape, dtype)


# Cells that are made anew each time, and begin otherwise than others.
BEGINNINGS = {
    "drawn together": lambda: draw_together(lstm(4)),
    "from JAX": lambda: lstm(4, input_init=jax.nn.initializers.glorot_uniform()),
    "of one's own": lambda: lstm(4, input_init=lambda *given: glorot(*given)),
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize(
    "run", [unroll, lambda *given: jax.grad(measure, argnums=1)(*given), trace]
)
def test_how_a_cell_begins_is_nothing_to_compile_again(beginning, run, caplog):
    make = BEGINNINGS[beginning]
    params, xs = make().init(jax.random.key(0), 3), jnp.asarray(XS)
    run(make(), params, xs)
    with jax.log_compiles():
        run(make(), params, xs)
    assert "Compiling" not in caplog.text


def measure(cell, params, xs):
    return (unroll(cell, params, xs)[1] ** 2).sum()


def test_a_cell_keeps_nothing_alive_once_it_is_gone():
    def make():
        drawn = np.ones((3, 4), np.float32)
        lstm(4, input_init=lambda *_: jnp.asarray(drawn)).init(jax.random.key(0), 3)
        return weakref.ref(drawn)

    made = [make() for _ in range(3)]
    gc.collect()
    assert [ref() for ref in made] == [None] * 3


def low_rank(params, x, dtype):
    return project(x @ params["w_down"], params["w_up"], dtype)


def with_squares(params, x, dtype):
    return multiply_input(params, jnp.concatenate([x, x * x], axis=-1), dtype)


def with_gains(params, x, dtype):
    return multiply_input(params, scale(x, params["gain"]), dtype)


# How a cell of one's own may read its inputs, and what it reads of 3 features.
OWN = {
    "low rank": (low_rank, {"w_down": (3, 2), "w_up": (2, 16)}),
    "more rows": (with_squares, {"w_ih": (6, 16)}),
    "gains": (with_gains, {"w_ih": (3, 16), "gain": (3,)}),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_a_cell_that_reads_its_inputs_in_its_own_way(kind, implementation):
    own, shapes = OWN[kind]
    cell = lstm(4)._replace(project=own)
    shapes = {**shapes, "w_hh": (4, 16), "b": (16,)}
    shapes = {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in shapes.items()}
    params, xs = random_like(shapes, 1), jnp.asarray(XS)

    def loss(params):
        how = {"implementation": implementation}
        return (unroll(cell, params, xs, **how)[1] ** 2).sum()

    def by_hand(params):
        step, start = partial(cell.step, params), cell.initial_carry(xs.shape[1:2])
        return (jax.lax.scan(step, start, xs)[1] ** 2).sum()

    assert_close(jax.grad(loss)(params), jax.grad(by_hand)(params))
