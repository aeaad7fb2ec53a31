"""The kernels on a real NVIDIA GPU, against the plain scan there."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax import LSTMCarry, lstm, unroll

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "gpu", reason="needs an NVIDIA GPU, and JAX that finds it"
)
T, B, D = 20, 24, 12


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def outputs_and_gradients(implementation, hidden, dtype="float32", **how):
    cell, rng = lstm(hidden), np.random.default_rng(0)
    params = cell.init(jax.random.key(0), D) | {"b": random(1, 4 * hidden)}
    start = LSTMCarry(random(3, B, hidden), random(4, B, hidden))
    lengths = jnp.array([0, 1, T, *rng.integers(1, T, B - 3)], jnp.int32)
    cotangents = random(5, T, B, hidden), random(6, B, hidden), random(7, B, hidden)
    how = {"lengths": lengths, "implementation": implementation, **how}

    def loss(params, xs, carry):
        (c, h), ys = unroll(cell, params, xs, carry=carry, **how)
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


CASES = {
    "ragged": {},
    "back": {"reverse": True},
    "whole": {"lengths": None},
    "dropout": {"h_mask": random(8, B, 32)},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("implementation", ["fused", "cudnn", "pallas"])
def test_equals_the_scan(implementation, case):
    if (implementation, case) == ("cudnn", "dropout"):
        pytest.skip("cuDNN knows no mask, and says so")
    expected = outputs_and_gradients("scan", 32, **CASES[case])
    got = outputs_and_gradients(implementation, 32, **CASES[case])
    errors = differences(got, expected)
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("hidden", [64, 100, 128])
@pytest.mark.parametrize("implementation", ["fused", "pallas"])
def test_products_are_those_of_matrix_units(implementation, hidden, dtype):
    """With the precision that a user gets: TF32, or bfloat16."""
    expected = outputs_and_gradients("scan", hidden)
    with jax.default_matmul_precision("default"):
        got = outputs_and_gradients(implementation, hidden, dtype)
    errors = differences(got, expected)
    assert max(errors.values()) < {"float32": 5e-3, "bfloat16": 5e-2}[dtype], errors
