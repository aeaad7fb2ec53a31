"""The kernels on a real NVIDIA GPU, against the plain scan there."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import both_ways

from lstm_jax import LSTMCarry, lstm, unroll

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "gpu", reason="needs an NVIDIA GPU, and JAX that finds it"
)
T, B, D = 20, 24, 12
KERNELS = ("fused", "cudnn", "pallas")


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def outputs_and_gradients(implementation, reverse, hidden, dtype="float32"):
    cell, rng = lstm(hidden), np.random.default_rng(0)
    params = cell.init(jax.random.key(0), D) | {"b": random(1, 4 * hidden)}
    start = LSTMCarry(random(3, B, hidden), random(4, B, hidden))
    lengths = jnp.array([0, 1, T, *rng.integers(1, T, B - 3)], jnp.int32)
    cotangents = random(5, T, B, hidden), random(6, B, hidden), random(7, B, hidden)

    def loss(params, xs, carry):
        run = partial(unroll, reverse=reverse, implementation=implementation)
        (c, h), ys = run(cell, params, xs, carry=carry, lengths=lengths)
        seen = (ys.astype(jnp.float32), c, h)
        total = sum((a * d).sum() for a, d in zip(seen, cotangents, strict=True))
        return total, seen

    both = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    return jax.jit(both)(params, random(2, T, B, D).astype(dtype), start)


def differences(got, expected):
    """The error of each array, over the norm of the array."""
    return {
        jax.tree_util.keystr(path): float(
            jnp.linalg.norm(a.astype(jnp.float32) - b) / jnp.linalg.norm(b)
        )
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(got),
            map(partial(jnp.asarray, dtype="float32"), jax.tree.leaves(expected)),
            strict=True,
        )
    }


@both_ways
@pytest.mark.parametrize("implementation", KERNELS)
def test_equals_the_scan(implementation, reverse):
    expected = outputs_and_gradients("scan", reverse, 32)
    got = outputs_and_gradients(implementation, reverse, 32)
    errors = differences(got, expected)
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("hidden", [64, 100, 128])
def test_small_products_are_those_of_matrix_units(hidden, dtype):
    """With the precision that a user gets: TF32, or bfloat16."""
    expected = outputs_and_gradients("scan", False, hidden)
    with jax.default_matmul_precision("default"), jax.numpy_dtype_promotion("standard"):
        got = outputs_and_gradients("pallas", False, hidden, dtype)
    errors = differences(got, expected)
    assert max(errors.values()) < {"float32": 5e-3, "bfloat16": 5e-2}[dtype], errors
