"""Integers stand for one-hot vectors, which are never made."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    Problem,
    assert_close,
    assert_same_bits,
    both_ways,
    make_cell,
    make_mesh,
    make_problem,
    over_cells,
    over_runs,
    probe,
    run_with_grads,
)
from jax.sharding import AxisType, PartitionSpec

from lstm_jax import one_way, unroll

EVERY = PartitionSpec()

IDS = jnp.asarray(np.random.default_rng(1).integers(0, 3, (6, 4)), jnp.int32)


@both_ways
@over_runs
def test_values_and_gradients_equal_those_of_one_hot_vectors(
    cell, implementation, reverse
):
    problem = make_problem(cell)
    dense = problem._replace(xs=jax.nn.one_hot(IDS, 3))
    outputs, grads = run_with_grads(dense, cell, implementation, reverse)

    def loss(params, carry):
        sparse = Problem(params, carry, IDS, problem.lengths)
        return run_sparse(sparse, cell, implementation, reverse)

    got, got_grads = jax.grad(loss, argnums=(0, 1), has_aux=True)(
        problem.params, problem.carry
    )[::-1]
    assert_close(got, outputs)
    assert_close(got_grads, grads[:2])


def run_sparse(problem, cell, implementation, reverse):
    outputs = unroll(
        make_cell(cell),
        problem.params,
        problem.xs,
        carry=problem.carry,
        lengths=problem.lengths,
        reverse=reverse,
        implementation=implementation,
    )
    return probe(outputs), outputs


@over_cells
def test_a_step_takes_integers(cell):
    problem, made = make_problem(cell), make_cell(cell)
    dense = made.step(problem.params, problem.carry, jax.nn.one_hot(IDS[0], 3))
    assert_close(made.step(problem.params, problem.carry, IDS[0]), dense)


@over_cells
def test_what_stands_in_the_padding_changes_no_bit(cell):
    problem = make_problem(cell)
    real = np.arange(6)[:, None] < np.asarray(problem.lengths)[None]
    other = jnp.where(real, IDS, 2 - IDS)
    assert (other != IDS).any()
    made = make_cell(cell)
    a = unroll(made, problem.params, IDS, lengths=problem.lengths)
    b = unroll(made, problem.params, other, lengths=problem.lengths)
    assert_same_bits(a, b)


def test_no_table_of_one_hot_vectors_is_made():
    """With 5,000 words no array of [T, B, words] stands anywhere in the program."""
    made, words = make_cell("lstm"), 5_000
    params = made.init(jax.random.key(0), words)

    def loss(params):
        return unroll(made, params, IDS)[1].sum()

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            yield from (v.aval.size for v in equation.outvars)
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", None)
                if inner is not None:
                    yield from sizes(inner)

    biggest = max(sizes(jax.make_jaxpr(jax.grad(loss))(params).jaxpr))
    assert biggest == words * 16


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_dtype_is_that_of_the_parameters(dtype):
    made = make_cell("gru")
    params = made.init(jax.random.key(0), 3, dtype)
    carry, ys = unroll(made, params, IDS)
    assert (carry.h.dtype, ys.dtype) == (jnp.float32, jnp.dtype(dtype))


def test_integers_may_have_no_batch():
    made = make_cell("rnn")
    params = make_problem("rnn").params
    whole = unroll(made, params, IDS)[1]
    assert_close(unroll(made, params, IDS[:, 1])[1], whole[:, 1])


def test_features_of_integers_cannot_be_dropped():
    layer = one_way(make_cell("lstm"), input_dropout_rate=0.5)
    params = layer.init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="expected 0 for integer xs"):
        layer.apply(params, IDS, key=jax.random.key(1))


@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_in_bfloat16_the_gradient_of_a_row_is_a_sum_in_float32(implementation):
    """Every word is the same: a sum in bfloat16 would stop at 256 of them."""
    cell = make_cell("rnn", 1)
    params = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), 2, "bfloat16"))
    ids = jnp.zeros((1, 1000), jnp.int32)

    def loss(params):
        return unroll(cell, params, ids, implementation=implementation)[0].h.sum()

    assert jax.grad(loss)(params)["w_ih"].tolist() == [[1000], [0]]
    tangents = jax.tree.map(jnp.ones_like, params)
    if implementation == "scan":  # which has forward mode, too
        assert jax.jvp(loss, (params,), (tangents,))[1] == 2000


@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_in_bfloat16_rows_are_mapped_and_split(implementation):
    cell = make_cell("gru")
    params = jax.tree.map(lambda a: a.astype("bfloat16"), make_problem("gru").params)
    ids = jnp.asarray(np.random.default_rng(2).integers(0, 3, (6, 8)), jnp.int32)

    def loss(params, ids):
        ys = unroll(cell, params, ids, implementation=implementation)[1]
        return (ys.astype("float32") ** 2).sum()

    def split(params, ids):
        specs = {"in_specs": (EVERY, PartitionSpec(None, "data")), "out_specs": EVERY}
        of_a_device = partial(of_each, axis="data")
        mesh = make_mesh(AxisType.Auto)
        return jax.shard_map(of_a_device, mesh=mesh, **specs)(params, ids)

    def of_each(params, ids, axis):
        return jax.lax.psum(loss(params, ids), axis)

    expected = jax.jit(jax.grad(loss))(params, ids)
    one_by_one = jax.vmap(jax.grad(loss), in_axes=(None, 1))
    mapped = jax.jit(one_by_one)(params, ids[..., None])
    summed = jax.tree.map(lambda a: a.astype("float32").sum(0), mapped)
    assert_close(summed, expected, tolerance=0.05)
    assert_close(jax.jit(jax.grad(split))(params, ids), expected, tolerance=0.05)
