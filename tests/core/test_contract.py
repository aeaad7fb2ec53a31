"""The promises of ``cells/base.py`` and ``unroll``, over every cell and kernel."""

import json
import re
from functools import lru_cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    HALF,
    Problem,
    assert_close,
    both_ways,
    enable_x64,
    make_cell,
    make_mesh,
    make_problem,
    over_all_runs,
    over_cells,
    over_runs,
    over_shapes,
    param_shapes,
    probe,
    random_like,
    run,
    run_with_grads,
)
from jax.sharding import AxisType, PartitionSpec
from jax.test_util import check_grads

from lstm_jax import (
    CELLS,
    bidirectional,
    draw_together,
    lstm,
    one_way,
    stack,
    unroll,
)
from lstm_jax.cells import base

GOLDEN = Path(__file__).parents[1] / "golden" / "param_tree.json"


def tree_types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), tree)


# --- shapes, dtypes, structure ---------------------------------------------------


@over_shapes
@over_all_runs
def test_shapes_and_dtypes(cell, implementation, shape):
    steps, _, hidden_size = shape
    problem = make_problem(cell, shape)
    width = make_cell(cell, hidden_size).output_size
    fixed = partial(run, cell=cell, implementation=implementation)
    carry, ys = jax.eval_shape(fixed, problem)
    assert tree_types(carry) == tree_types(problem.carry)
    assert type(carry) is type(problem.carry)
    assert (ys.shape, ys.dtype) == ((steps, 4, width), jnp.float32)


@over_cells
@pytest.mark.parametrize("batch_shape", [(), (2,), (2, 3)])
def test_step_takes_any_batch_shape(cell, batch_shape):
    made = make_cell(cell)
    params = param_shapes(made.init, 3)
    carry = made.initial_carry(batch_shape)
    x = jax.ShapeDtypeStruct((*batch_shape, 3), jnp.float32)
    new, y = jax.eval_shape(made.step, params, carry, x)
    assert tree_types(new) == tree_types(carry)
    assert y.shape == (*batch_shape, made.output_size)


@over_cells
def test_initial_carry_is_zeros_of_the_dtype_asked_for(cell):
    for dtype in (jnp.float32, jnp.bfloat16):
        carry = make_cell(cell).initial_carry((2, 3), dtype)
        assert carry.h.shape == (2, 3, make_cell(cell).output_size)
        for leaf in carry:
            assert (leaf.shape[:2], leaf.dtype) == ((2, 3), dtype)
            assert not leaf.any()


@over_runs
def test_no_carry_means_the_initial_carry(cell, implementation):
    problem = make_problem(cell)
    zeros = jax.tree.map(jnp.zeros_like, problem.carry)
    expected = run(problem._replace(carry=zeros), cell, implementation)
    got = unroll(
        make_cell(cell),
        problem.params,
        problem.xs,
        lengths=problem.lengths,
        implementation=implementation,
    )
    assert_close(got, expected)


def test_param_trees_are_the_published_ones():
    """Saved weights are read by these names: change them knowingly, with the file."""
    inits = {cell: make_cell(cell).init for cell in CELLS}
    inits["bidirectional"] = bidirectional(lstm(4)).init
    inits["stack"] = stack([bidirectional(lstm(4)), one_way(lstm(5))]).init
    got = {
        name: jax.tree.map(
            lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", param_shapes(init, 3)
        )
        for name, init in inits.items()
    }
    assert got == json.loads(GOLDEN.read_text()), json.dumps(got, indent=2)


# --- first values ----------------------------------------------------------------


@over_cells
def test_each_gates_recurrent_block_is_orthogonal(cell):
    params = make_cell(cell).init(jax.random.key(1), input_size=3)
    blocks = np.split(np.asarray(params["w_hh"]), params["w_hh"].shape[1] // 4, axis=1)
    for n, block in enumerate(blocks):
        # Orthonormal columns, or rows where there are fewer of them.
        tall = block if len(block) >= 4 else block.T
        np.testing.assert_allclose(tall.T @ tall, np.eye(tall.shape[1]), atol=1e-5)
        assert not any(np.allclose(block, other) for other in blocks[:n])


# Where a cell's forget gate stands in b, if it has one that starts open.
SECOND = slice(4, 8)
FORGET = {
    "lstm": SECOND,
    "coupled_lstm": slice(0, 4),
    "layer_norm_lstm": SECOND,
    "lstmp": SECOND,
    "peephole_lstm": SECOND,
    "zoneout_lstm": SECOND,
}


@over_cells
def test_init_draws_every_weight_and_only_the_forget_bias_is_set(cell):
    params = make_cell(cell).init(jax.random.key(1), input_size=3)
    other = make_cell(cell).init(jax.random.key(2), input_size=3)
    for name in ("w_ih", "w_hh"):
        assert (params[name] != other[name]).all()
    expected = np.zeros(params["b"].shape)
    expected[FORGET.get(cell, [])] = 1
    np.testing.assert_array_equal(params["b"], expected)
    assert not params.get("b_hn", jnp.zeros(1)).any()


def test_forget_bias_goes_into_the_forget_block_only():
    b = lstm(4, forget_bias=2.5).init(jax.random.key(0), input_size=3)["b"]
    assert b.tolist() == [0] * 4 + [2.5] * 4 + [0] * 8


@over_cells
def test_drawn_together_the_rows_of_both_matrices_are_of_all_gates(cell):
    plain, whole = make_cell(cell), draw_together(make_cell(cell))
    assert whole._replace(init=plain.init) == plain
    first, params = (c.init(jax.random.key(1), input_size=3) for c in (plain, whole))
    assert params.keys() == first.keys()
    w = np.asarray(params["w_hh"])
    np.testing.assert_allclose(w @ w.T, np.eye(len(w)), atol=1e-5)
    limit = np.sqrt(6 / sum(params["w_ih"].shape))
    largest = np.abs(params["w_ih"]).max()
    assert 0.5 * limit < largest <= limit
    for name in params.keys() - {"w_ih", "w_hh"}:
        np.testing.assert_array_equal(params[name], first[name])
    again = whole.init(jax.random.key(2), input_size=3)
    assert all((params[name] != again[name]).all() for name in ("w_ih", "w_hh"))


# --- the same numbers however it is run -------------------------------------------


@over_shapes
@over_all_runs
def test_equals_a_python_loop(cell, implementation, shape):
    problem = make_problem(cell, shape)
    carry, expected = problem.carry, []
    step = jax.jit(make_cell(cell, shape[-1]).step)
    for t, x in enumerate(problem.xs):
        real = np.asarray(t < problem.lengths)[:, None]
        new, y = step(problem.params, carry, x)
        carry = jax.tree.map(partial(np.where, real), new, carry)
        expected.append(np.where(real, y, 0))
    got, _ = run_with_grads(problem, cell, implementation)
    assert_close(got, (carry, np.stack(expected)))


@lru_cache
def grads_of_a_python_loop(cell, reverse):
    problem = make_problem(cell, HALF)

    def loss(params, carry, xs):
        ys = [None] * len(xs)
        for t in reversed(range(len(xs))) if reverse else range(len(xs)):
            real = (t < problem.lengths)[:, None]
            new, y = make_cell(cell).step(params, carry, xs[t])
            ys[t] = jnp.where(real, y, 0)
            carry = jax.tree.map(partial(jnp.where, real), new, carry)
        return probe((carry, jnp.stack(ys)))

    grad = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    return grad(problem.params, problem.carry, problem.xs)


@over_all_runs
def test_gradients_equal_those_of_a_python_loop(cell, implementation, reverse=True):
    """From the end; those from the start are compared with finite differences."""
    problem = make_problem(cell, HALF)
    _, got = run_with_grads(problem, cell, implementation, reverse)
    assert_close(got, grads_of_a_python_loop(cell, reverse), 5e-6)


@over_runs
def test_jit_changes_nothing(cell, implementation):
    problem = make_problem(cell)
    eager = run.__wrapped__(problem, cell, implementation)
    assert_close(eager, run(problem, cell, implementation))


@over_runs
def test_vmap_over_the_batch_equals_the_batch(cell, implementation):
    problem = make_problem(cell)
    axes = Problem(None, 0, 1, 0)
    one = partial(run, cell=cell, implementation=implementation)
    carry, ys = jax.jit(jax.vmap(one, in_axes=(axes,), out_axes=(0, 1)))(problem)
    assert_close((carry, ys), run(problem, cell, implementation))


@over_runs
def test_two_batch_dimensions_equal_one(cell, implementation):
    problem = make_problem(cell)

    def fold(leaf, axis):
        return leaf.reshape(*leaf.shape[:axis], 2, 2, *leaf.shape[axis + 1 :])

    folded = Problem(
        problem.params,
        jax.tree.map(lambda leaf: fold(leaf, 0), problem.carry),
        fold(problem.xs, 1),
        fold(problem.lengths, 0),
    )
    carry, ys = run(problem, cell, implementation)
    expected = jax.tree.map(lambda leaf: fold(leaf, 0), carry), fold(ys, 1)
    assert_close(run(folded, cell, implementation), expected)


@both_ways
@over_runs
def test_unrolling_the_loop_changes_nothing(cell, implementation, reverse):
    problem = make_problem(cell, HALF)
    expected, _ = run_with_grads(problem, cell, implementation, reverse)
    got = run(problem, cell, implementation, reverse, unroll_by=2)
    assert_close(got, expected)


@over_runs
def test_remat_changes_nothing(cell, implementation):
    problem = make_problem(cell, HALF)

    def loss(params):
        given = problem._replace(params=params)
        return probe(run(given, cell, implementation))

    got = jax.jit(jax.grad(jax.checkpoint(loss)))(problem.params)
    _, (expected, _, _) = run_with_grads(problem, cell, implementation)
    assert_close(got, expected)


@pytest.fixture
def mesh():
    return make_mesh(AxisType.Auto)


def tells_what_varies(implementation):
    """JAX's interpreter of Pallas loses it; the programs on a GPU do not."""
    return implementation != "pallas"


@pytest.mark.parametrize("start", ["default carry", "given carry"])
@over_runs
def test_shard_map_over_the_batch_changes_nothing(cell, implementation, start, mesh):
    problem = make_problem(cell)
    xs = jnp.concatenate([problem.xs] * 4, axis=1)
    carry, lengths = jax.tree.map(
        lambda leaf: jnp.concatenate([leaf] * 4), (problem.carry, problem.lengths)
    )
    if start == "default carry":
        carry = None
    batch, every = PartitionSpec("data"), PartitionSpec()
    time_first = PartitionSpec(None, "data")

    def run_shard(params, carry, xs, lengths):
        options = {"lengths": lengths, "implementation": implementation}
        return unroll(make_cell(cell), params, xs, carry=carry, **options)

    sharded = jax.shard_map(
        run_shard,
        mesh=mesh,
        in_specs=(every, batch, time_first, batch),
        out_specs=(batch, time_first),
        check_vma=tells_what_varies(implementation),
    )
    given = jax.tree.map(np.asarray, (problem.params, carry, xs, lengths))
    assert_close(jax.jit(sharded)(*given), jax.jit(run_shard)(*given))


@over_runs
def test_gradients_under_shard_map_are_those_of_the_whole_batch(
    cell, implementation, mesh
):
    problem = make_problem(cell)
    xs = jnp.concatenate([problem.xs] * 8, axis=1)
    time_first = PartitionSpec(None, "data")

    def loss(params, xs):
        run = partial(unroll, implementation=implementation)
        return (run(make_cell(cell), params, xs)[1] ** 2).sum()

    def whole(params, xs):
        part = jax.shard_map(
            lambda params, xs: jax.lax.psum(loss(params, xs), "data"),
            mesh=mesh,
            in_specs=(PartitionSpec(), time_first),
            out_specs=PartitionSpec(),
            check_vma=tells_what_varies(implementation),
        )
        return part(params, xs)

    given = jax.tree.map(np.asarray, (problem.params, xs))
    grads = [jax.jit(jax.grad(f, argnums=(0, 1)))(*given) for f in (whole, loss)]
    assert_close(*grads, tolerance=3e-5)  # the order of sums


# --- gradients -------------------------------------------------------------------


@over_shapes
@over_all_runs
def test_every_parameter_gets_a_finite_gradient_that_is_not_zero(
    cell, implementation, shape
):
    problem = make_problem(cell, shape)
    _, grads = run_with_grads(problem, cell, implementation)
    for leaf in jax.tree.leaves(grads):
        assert jnp.isfinite(leaf).all()
    params, carry, xs = grads
    for leaf in jax.tree.leaves((params, carry)):
        assert leaf.all()
    real = np.arange(shape[0])[:, None] < np.asarray(problem.lengths)
    np.testing.assert_array_equal(np.asarray(xs).any(axis=-1), real)


@over_runs
def test_gradients_equal_finite_differences(cell, implementation):
    with enable_x64(True):
        problem = make_problem(cell, (3, 3, 2), "float64")

        def loss(params, carry, xs):
            given = Problem(params, carry, xs, problem.lengths)
            return probe(run(given, cell, implementation))

        # A kernel with its own backward pass has no forward mode.
        modes = ("fwd", "rev") if implementation == "scan" else ("rev",)
        check_grads(jax.jit(loss), problem[:3], order=1, modes=modes, atol=1e-6)


# --- dtypes ----------------------------------------------------------------------


@over_runs
def test_bfloat16_inputs_keep_a_float32_carry(cell, implementation):
    problem = make_problem(cell)
    carry, ys = run(
        problem._replace(xs=problem.xs.astype(jnp.bfloat16)), cell, implementation
    )
    assert ys.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in carry)
    assert_close((carry, ys), run(problem, cell, implementation), 0.03)


@over_cells
def test_the_carry_is_not_rounded_to_the_dtype_of_x(cell):
    problem = make_problem(cell)
    x = problem.xs[0].astype(jnp.bfloat16)
    # Not under jit: XLA may leave out a cast to bfloat16 and back.
    carry, _ = make_cell(cell).step(problem.params, problem.carry, x)
    for leaf in map(np.asarray, carry):
        assert (leaf != leaf.astype(jnp.bfloat16).astype(np.float32)).any()


@over_runs
def test_bfloat16_parameters_start_from_a_float32_carry(cell, implementation):
    problem = make_problem(cell, dtype="bfloat16")
    fixed = partial(unroll, make_cell(cell), implementation=implementation)
    carry, ys = jax.eval_shape(fixed, problem.params, problem.xs)
    assert ys.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in carry)


@over_cells
def test_products_run_in_the_dtype_of_x_and_add_up_in_that_of_the_carry(
    cell, monkeypatch
):
    monkeypatch.setattr(base, "lacks_mixed_products", lambda: False)
    problem = make_problem(cell)
    x = problem.xs[0].astype(jnp.bfloat16)
    step = jax.jit(make_cell(cell).step)
    text = step.lower(problem.params, problem.carry, x).as_text()
    products = re.findall(r"dot_general.* : \((.*?)\) -> (\S+)", text)
    if cell == "lstmp":
        # Its projection is part of the update, in the carry's dtype.
        assert [p for p in products if "bf16" not in p[0]] == [products.pop()]
    assert len(products) == 2
    for operands, result in products:
        assert operands.count("bf16") == 2 and "f32" not in operands
        assert "xf32" in result


@over_runs
def test_float64_stays_float64(cell, implementation):
    with enable_x64(True):
        problem = make_problem(cell, dtype="float64")._replace(carry=None)

        def loss(params):
            outputs = unroll(
                make_cell(cell),
                params,
                problem.xs,
                lengths=problem.lengths,
                implementation=implementation,
            )
            return probe(outputs), outputs

        grads, outputs = jax.eval_shape(jax.grad(loss, has_aux=True), problem.params)
        for leaf in jax.tree.leaves((grads, outputs)):
            assert leaf.dtype == jnp.float64
        assert "f32" not in jax.jit(loss).lower(problem.params).as_text()


@over_runs
def test_float64_inputs_make_a_float64_carry(cell, implementation):
    """Whose parameters may be narrower: what they add up to is not rounded."""
    with enable_x64(True):
        problem = make_problem(cell)
        widen = partial(jnp.asarray, dtype="float64")
        xs = widen(problem.xs) / 3
        outputs = [
            unroll(make_cell(cell), params, xs, implementation=implementation)
            for params in (problem.params, jax.tree.map(widen, problem.params))
        ]
        assert {leaf.dtype.name for leaf in jax.tree.leaves(outputs)} == {"float64"}
        for narrow, wide in zip(*map(jax.tree.leaves, outputs), strict=True):
            np.testing.assert_allclose(narrow, wide, rtol=1e-13, atol=1e-15)


@over_runs
def test_a_carry_that_is_given_may_be_narrower_than_the_inputs(cell, implementation):
    with enable_x64(True):
        problem = make_problem(cell, dtype="float64")
        narrow = jax.tree.map(partial(jnp.asarray, dtype="float32"), problem.carry)

        def loss(params, carry):
            given = problem._replace(params=params, carry=carry)
            last, ys = run(given, cell, implementation)
            assert {leaf.dtype for leaf in last} == {leaf.dtype for leaf in carry}
            assert ys.dtype == jnp.float64
            return probe(ys)

        grad = jax.jit(jax.value_and_grad(loss))
        got, expected = (grad(problem.params, c) for c in (narrow, problem.carry))
        for ours, theirs in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@over_runs
def test_float32_stays_float32_when_float64_is_enabled(cell, implementation):
    with enable_x64(True):
        problem = make_problem(cell)
        lowered = run_with_grads.lower(problem, cell, implementation)
        assert "f64" not in lowered.as_text()


# --- compilation and tracing -----------------------------------------------------


@over_runs
def test_a_second_call_does_not_compile_again(cell, implementation, caplog):
    def compilations(problem):
        caplog.clear()
        with jax.log_compiles():
            jax.block_until_ready(fresh(problem))
        return sum("XLA compilation" in r.getMessage() for r in caplog.records)

    fresh = jax.jit(partial(run.__wrapped__, cell=cell, implementation=implementation))
    first = make_problem(cell, HALF)
    second = make_problem(cell, HALF, seed=1)._replace(lengths=first.lengths[::-1])
    assert compilations(first) == 1
    assert compilations(second) == 0


@over_runs
def test_no_tracer_leaks(cell, implementation):
    problem = make_problem(cell, HALF)
    with jax.checking_leaks():
        fresh = partial(run_with_grads.__wrapped__, cell=cell)
        jax.eval_shape(partial(fresh, implementation=implementation), problem)


@over_runs
def test_runs_inside_a_users_own_scan(cell, implementation):
    problem = make_problem(cell, (2, 3, 4))
    chunks = random_like(jax.ShapeDtypeStruct((3, 2, 4, 3), jnp.float32), seed=5)

    def body(carry, xs):
        given = Problem(problem.params, carry, xs, None)
        return run(given, cell, implementation)

    carry, ys = jax.jit(partial(jax.lax.scan, body))(problem.carry, chunks)
    whole = Problem(problem.params, problem.carry, chunks.reshape(6, 4, 3), None)
    assert_close((carry, ys.reshape(6, 4, -1)), run(whole, cell, implementation))


@over_cells
def test_the_same_arguments_give_the_same_cell(cell):
    assert CELLS[cell](4) is CELLS[cell](4)
    assert CELLS[cell](4) is not CELLS[cell](6)
