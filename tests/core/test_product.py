"""The product whose gradient is in its own dtype."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import base
from lstm_jax.cells.base import project
from lstm_jax.kernels.product import multiply


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


XS, W, COTANGENT = random(0, 5, 3, 8), random(1, 8, 16), random(2, 5, 3, 16)


def gradient(product, xs, w):
    def loss(xs, w):
        return (product(xs, w) * COTANGENT).sum()

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(xs, w)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)]
)
def test_values_and_gradients_are_those_of_the_plain_product(dtype, tolerance):
    xs = XS.astype(dtype)
    got = gradient(lambda xs, w: multiply(jnp.float32, xs, w), xs, W)
    expected = gradient(lambda xs, w: project(xs, w, jnp.float32), xs, W)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


@pytest.mark.parametrize(("lacks", "dtype"), [(False, "bf16"), (True, "f32")])
def test_all_products_are_of_bfloat16_where_xla_has_them(lacks, dtype, monkeypatch):
    monkeypatch.setattr(base, "lacks_mixed_products", lambda: lacks)

    def loss(xs, w):
        return (multiply(jnp.float32, xs, w) * COTANGENT).sum()

    program = jax.jit(jax.grad(loss, argnums=(0, 1)))
    text = program.lower(XS.astype("bfloat16"), W).as_text()
    products = re.findall(r"dot_general.* : \((.*?)\) -> (\S+)", text)
    assert len(products) == 2  # of the gradient; the value is not asked for
    for operands, result in products:
        assert operands.count(f"x{dtype}") == 2 and "xf32" in result


def test_the_gradient_of_a_transposed_matrix_runs_too():
    """XLA would make of it a product that it cannot run on a CPU."""
    table, xs = W.T.copy(), XS.astype("bfloat16")
    got = gradient(lambda xs, table: multiply(jnp.float32, xs, table.T), xs, table)
    expected = gradient(lambda xs, table: project(xs, table.T, jnp.float32), XS, table)
    a, b = (np.asarray(x[1][1], np.float32) for x in (got, expected))
    assert np.linalg.norm(a - b) <= 0.02 * np.linalg.norm(b)
