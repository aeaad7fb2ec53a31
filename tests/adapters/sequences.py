"""Random weights and ragged sequences for the tests of adapters and converters."""

import jax
import jax.numpy as jnp
import numpy as np

STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5
LENGTHS = np.array([4, STEPS, 1, 3], np.int32)  # Flax and torch know no length 0


def random_params(made, seed=0, input_size=INPUT):
    """Random weights, biases too, for a cell or a layer."""
    shapes = jax.eval_shape(lambda key: made.init(key, input_size), jax.random.key(0))
    return random_like(shapes, seed)


def random_like(tree, seed=0):
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return (0.7 * rng.standard_normal(leaf.shape)).astype(leaf.dtype)

    return jax.tree.map(draw, tree)


def random_xs(seed=1, batch_major=True):
    shape = (BATCH, STEPS, INPUT) if batch_major else (STEPS, BATCH, INPUT)
    return random_like(jax.ShapeDtypeStruct(shape, jnp.float32), seed)


def real_steps(ys, lengths=LENGTHS):
    """The outputs ``[B, T, H]`` at real steps, one row after another."""
    return np.concatenate([np.asarray(y)[:n] for y, n in zip(ys, lengths, strict=True)])


def assert_close(got, expected, tolerance=1e-5):
    got, expected = jax.tree.leaves(got), jax.tree.leaves(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_same_bits(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert a.tobytes() == b.tobytes()
