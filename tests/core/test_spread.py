"""Runs over devices whose arrays say in their types how they are spread."""

from functools import partial

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import make_cell, make_mesh, random_like
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lstm_jax import (
    bidirectional,
    lstm,
    min_lstm,
    min_lstm_unroll,
    one_way,
    stack,
    trace,
    unroll,
    zoneout_lstm,
)
from lstm_jax.layers import dropout

STEPS, ROWS, WIDTH, HIDDEN = 5, 8, 3, 4
INPUTS = ("params", "xs", "carry", "lengths", "h_mask")
EVERY, DATA = PartitionSpec(), PartitionSpec("data")
assert_close = partial(cases.assert_close, tolerance=2e-5)


def measure(outputs):
    return sum((leaf**2).sum() for leaf in jax.tree.leaves(outputs))


# --- shard_map -------------------------------------------------------------------


def draw_for_each_device():
    """Eight of each input of ``unroll``."""
    cell, rng = lstm(HIDDEN), np.random.default_rng(0)
    shapes = jax.eval_shape(partial(cell.init, input_size=WIDTH), jax.random.key(0))
    every = jax.tree.map(lambda a: jax.ShapeDtypeStruct((8, *a.shape), a.dtype), shapes)
    return {
        "params": random_like(every, 1),
        "xs": rng.normal(size=(8, STEPS, 2, WIDTH)).astype(np.float32),
        "carry": random_like(cell.initial_carry((8, 2)), 2),
        "lengths": rng.integers(0, STEPS + 1, (8, 2)),
        "h_mask": rng.integers(0, 2, (8, 2, HIDDEN)).astype(np.float32),
    }


@pytest.mark.parametrize(
    ("implementation", "varying"),
    [("scan", "lengths"), *[("fused", name) for name in INPUTS]],
)
def test_one_input_may_differ_between_devices_and_the_others_not(
    implementation, varying
):
    drawn = draw_for_each_device()
    given = {
        name: value if name == varying else jax.tree.map(lambda a: a[0], value)
        for name, value in drawn.items()
    }

    def loss(given):
        """Of one device."""
        rest = dict(given)
        params, xs = rest.pop("params"), rest.pop("xs")
        how = {**rest, "implementation": implementation}
        return measure(unroll(lstm(HIDDEN), params, xs, **how))

    def of_a_device(given):
        own = jax.tree.map(lambda a: a[0], given[varying])
        return jax.lax.psum(loss({**given, varying: own}), "data")

    def whole(params, rest):
        specs = {name: DATA if name == varying else EVERY for name in INPUTS}
        return jax.shard_map(
            of_a_device,
            mesh=make_mesh(AxisType.Auto),
            in_specs=(specs,),
            out_specs=EVERY,
        )({"params": params, **rest})

    def one_by_one(params, rest):
        axes = {name: 0 if name == varying else None for name in INPUTS}
        return jax.vmap(loss, in_axes=(axes,))({"params": params, **rest}).sum()

    params = given.pop("params")
    got = jax.jit(jax.value_and_grad(whole))(params, given)
    assert_close(got, jax.jit(jax.value_and_grad(one_by_one))(params, given))


def test_a_trace_in_a_shard_map_is_that_of_the_whole_batch():
    cell = lstm(HIDDEN)
    params = cell.init(jax.random.key(0), WIDTH)
    xs = jax.random.normal(jax.random.key(1), (STEPS, ROWS, WIDTH))
    rows = PartitionSpec(None, "data")
    split = jax.shard_map(
        partial(trace, cell),
        mesh=make_mesh(AxisType.Auto),
        in_specs=(EVERY, rows),
        out_specs=rows,
    )
    assert_close(jax.jit(split)(params, xs), trace(cell, params, xs))


# --- meshes of explicit axes, which jax.make_mesh makes if not told otherwise ----


def spread(mesh, tree, *axes):
    sharding = NamedSharding(mesh, PartitionSpec(*axes))
    return jax.tree.map(lambda a: jax.device_put(a, sharding), tree)


def make_inputs(integers):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(STEPS, ROWS, WIDTH)).astype(np.float32)
    xs = rng.integers(0, WIDTH, (STEPS, ROWS)) if integers else vectors
    return xs, rng.integers(0, STEPS + 1, ROWS)


@pytest.mark.parametrize(
    ("implementation", "name", "integers"),
    [
        ("fused", "lstm", False),
        ("fused", "lstm", True),
        ("fused", "peephole_lstm", False),
        ("scan", "gru", True),
    ],
)
def test_an_explicit_mesh_changes_nothing(implementation, name, integers):
    cell, mesh = make_cell(name), make_mesh(AxisType.Explicit)
    params = cell.init(jax.random.key(0), WIDTH)
    xs, lengths = make_inputs(integers)

    def loss(params, xs, lengths):
        how = {"lengths": lengths, "implementation": implementation}
        carry, ys = unroll(cell, params, xs, **how)
        return measure((carry, ys)), (carry, ys)

    grad = jax.jit(jax.grad(loss, has_aux=True))
    expected = grad(params, xs, lengths)
    with jax.set_mesh(mesh):
        placed = spread(mesh, xs, None, "data"), spread(mesh, lengths, "data")
        got = grad(spread(mesh, params), *placed)
    assert_close(got, expected)
    carry, ys = got[1]
    assert ys.sharding.spec == PartitionSpec(None, "data", None)
    assert {leaf.sharding.spec for leaf in carry} == {PartitionSpec("data", None)}


def test_layers_and_dropout_run_over_an_explicit_mesh():
    layer = stack(
        [
            bidirectional(lstm(4), recurrent_dropout_rate=0.5),
            one_way(lstm(5), input_dropout_rate=0.2),
            one_way(zoneout_lstm(4)),
        ],
        dropout_rate=0.3,
    )
    params, mesh = layer.init(jax.random.key(0), WIDTH), make_mesh(AxisType.Explicit)
    xs, lengths = make_inputs(integers=False)

    def loss(params, xs, lengths):
        how = {"lengths": lengths, "key": jax.random.key(1)}
        return measure(layer.apply(params, xs, **how))

    grad = jax.jit(jax.grad(loss))
    expected = grad(params, xs, lengths)
    with jax.set_mesh(mesh):
        placed = spread(mesh, xs, None, "data"), spread(mesh, lengths, "data")
        assert_close(grad(spread(mesh, params), *placed), expected)


def test_a_draw_for_all_rows_of_an_explicit_mesh():
    """Its axis of one cannot be split as that of the rows is."""
    xs, mesh = make_inputs(integers=False)[0], make_mesh(AxisType.Explicit)
    drop = jax.jit(lambda xs: dropout(jax.random.key(0), xs, 0.5, along=(0, 1)))
    with jax.set_mesh(mesh):
        got = drop(spread(mesh, xs, None, "data"))
    assert_close(got, drop(xs))


def over_an_explicit_mesh(run, params, xs, *axes):
    """What ``run`` gives for ``xs`` that are spread over these axes."""
    mesh = make_mesh(AxisType.Explicit)
    with jax.set_mesh(mesh):
        return jax.jit(run)(spread(mesh, params), spread(mesh, xs, *axes))


def test_a_trace_over_an_explicit_mesh():
    run = partial(trace, lstm(4))
    params = lstm(4).init(jax.random.key(0), WIDTH)
    xs, _ = make_inputs(integers=False)
    got = over_an_explicit_mesh(run, params, xs, None, "data")
    assert_close(got, run(params, xs))


@pytest.mark.parametrize("axes", [(None, "data"), ("data",)])
def test_a_min_lstm_over_an_explicit_mesh(axes):
    params = min_lstm(4).init(jax.random.key(0), WIDTH)
    xs = np.random.default_rng(0).normal(size=(8, ROWS, WIDTH)).astype(np.float32)
    got = over_an_explicit_mesh(min_lstm_unroll, params, xs, *axes)
    assert_close(got, min_lstm_unroll(params, xs))


@pytest.mark.parametrize("axes", [("data",), ()])
def test_parameters_alone_may_be_spread(axes):
    cell, mesh = lstm(8), make_mesh(AxisType.Explicit)
    params = cell.init(jax.random.key(0), 8)
    xs = np.random.default_rng(0).normal(size=(STEPS, 2, 8)).astype(np.float32)
    with jax.set_mesh(mesh):
        got = unroll(cell, spread(mesh, params, *axes), xs)
    assert_close(got, unroll(cell, params, xs))


def test_outside_of_set_mesh_it_runs_too():
    cell, mesh = lstm(4), make_mesh(AxisType.Explicit)
    params = cell.init(jax.random.key(0), WIDTH)
    xs, _ = make_inputs(integers=False)
    run = jax.jit(partial(unroll, cell))
    got = run(spread(mesh, params), spread(mesh, xs, None, "data"))
    assert_close(got, run(params, jnp.asarray(xs)))
    assert got[1].sharding.spec == PartitionSpec(None, "data", None)


BOTH = pytest.param(
    (None, ("data", "model")),
    marks=pytest.mark.skipif(
        jax.__version_info__ < (0, 10),
        reason="JAX 0.7 takes no axis of a shard_map beside another for the same rows",
    ),
)


@pytest.mark.parametrize("axes", [(None, "data"), BOTH])
def test_a_shard_map_may_take_some_axes_of_an_explicit_mesh(axes):
    cell = lstm(4)
    params = cell.init(jax.random.key(0), WIDTH)
    xs, _ = make_inputs(integers=False)
    mesh = make_mesh(AxisType.Explicit, data=4, model=2)
    rows = PartitionSpec(None, "data")
    how = {"in_specs": (EVERY, rows), "out_specs": rows, "axis_names": {"data"}}

    def run(params, xs):
        return unroll(cell, params, xs)[1]

    with jax.set_mesh(mesh):
        split = jax.jit(jax.shard_map(run, **how))
        got = split(spread(mesh, params), spread(mesh, xs, *axes))
    assert_close(got, run(params, xs))
