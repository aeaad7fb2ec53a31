"""Runs in chunks: the same numbers, from less memory."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import both_ways

from lstm_jax import CELLS, lstm, unroll

T, B, D, H = 7, 4, 3, 5


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def outputs_and_gradients(cell, **how):
    cotangent = random(2, T, B, cell.output_size)

    def loss(params, xs):
        lengths = jnp.array([T, 0, 1, 4])
        carry, ys = unroll(cell, params, xs, lengths=lengths, **how)
        return (ys * cotangent).sum() + (carry.h**2).sum(), (carry, ys)

    params = cell.init(jax.random.key(0), D)
    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    return gradient(params, random(1, T, B, D))


@lru_cache
def whole(name, **how):
    """The same in one piece, computed once."""
    return outputs_and_gradients(CELLS[name](H), **how)


@both_ways
@pytest.mark.parametrize("chunk_size", [1, 3, 7, 10])
@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_chunks_change_nothing(implementation, chunk_size, reverse):
    how = {"reverse": reverse, "implementation": implementation}
    results = (
        outputs_and_gradients(lstm(H), chunk_size=chunk_size, **how),
        whole("lstm", **how),
    )
    for got, expected in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


# A carry of one array, an output of another width, noise, and a gradient that is JAX's.
@pytest.mark.parametrize("name", ["gru", "lstmp", "zoneout_lstm"])
def test_any_cell_runs_in_chunks(name):
    cell = CELLS[name](H)
    results = outputs_and_gradients(cell, chunk_size=2), whole(name)
    leaves = map(jax.tree.leaves, results)
    for got, expected in zip(*leaves, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def temporary_bytes(num_steps, chunk_size):
    cell = lstm(32)
    params = cell.init(jax.random.key(0), 8)
    xs = jax.ShapeDtypeStruct((num_steps, 16, 8), "float32")

    def loss(params, xs):
        return unroll(cell, params, xs, chunk_size=chunk_size)[0].h.sum()

    compiled = jax.jit(jax.grad(loss)).lower(params, xs).compile()
    analysis = compiled.memory_analysis()
    if analysis is None:
        pytest.skip("this backend does not tell the memory of a program")
    return analysis.temp_size_in_bytes


def test_chunks_need_much_less_memory():
    whole, chunked = temporary_bytes(1024, None), temporary_bytes(1024, 32)
    assert chunked < whole / 4


def test_memory_grows_like_the_root_of_the_steps():
    short, long = temporary_bytes(256, 16), temporary_bytes(4096, 64)
    # Sixteen times the steps: four times what the chunks keep, and what they share.
    assert long < 6 * short


@pytest.mark.parametrize("chunk_size", [0, -1])
def test_an_impossible_chunk_is_refused(chunk_size):
    cell = lstm(H)
    params = cell.init(jax.random.key(0), D)
    with pytest.raises(ValueError, match="chunk_size: expected an integer >= 1"):
        unroll(cell, params, random(1, T, B, D), chunk_size=chunk_size)
