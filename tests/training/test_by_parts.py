import jax
import jax.numpy as jnp
import jaxprs
import numpy as np
import pytest

from lstm_jax.training.by_parts import sum_by_parts

ROWS = 12


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def function(shared, rows, constants):
    """A sum that mixes all of its inputs, and two others."""
    (a, b), x = shared, rows["x"]
    total = (jnp.tanh(x @ a + b) * constants[..., None]).sum()
    return total, {"total": total * 2, "count": constants.sum()}


SHARED = (random(0, 3, 4), random(1, 4))
XS, WEIGHTS = {"x": random(2, ROWS, 2, 3)}, random(3, ROWS, 2)


def assert_equal(got, expected):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("count", [1, 3, ROWS])
def test_values_and_gradients_are_those_of_the_whole(count):
    def loss(shared, rows, by_parts):
        how = (shared, rows, WEIGHTS)
        outcome = sum_by_parts(function, count, *how) if by_parts else function(*how)
        return 1.5 * outcome[0], outcome

    both = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    got, expected = (jax.jit(both, static_argnums=2)(SHARED, XS, x) for x in (1, 0))
    assert_equal(got, expected)
    plain = sum_by_parts(function, count, SHARED, XS, WEIGHTS)
    assert_equal(plain, expected[0][1])


def test_nothing_as_long_as_all_rows_times_the_width_is_computed():
    def loss(shared):
        return sum_by_parts(function, ROWS, shared, XS, WEIGHTS)[0]

    program = jax.make_jaxpr(jax.grad(loss))(SHARED)
    assert jaxprs.size_of_largest(program.jaxpr) <= XS["x"].size
    whole = jax.make_jaxpr(jax.grad(lambda s: function(s, XS, WEIGHTS)[0]))(SHARED)
    assert jaxprs.size_of_largest(whole.jaxpr) == ROWS * 2 * 4 > XS["x"].size


def test_others_have_no_gradient():
    def others(shared):
        return sum_by_parts(function, 3, shared, XS, WEIGHTS)[1]["total"]

    assert not any(map(np.any, jax.tree.leaves(jax.grad(others)(SHARED))))


def test_rows_that_cannot_be_cut_evenly_are_refused():
    with pytest.raises(ValueError, match="expected a divisor of 12 rows, got 5"):
        sum_by_parts(function, 5, SHARED, XS, WEIGHTS)
