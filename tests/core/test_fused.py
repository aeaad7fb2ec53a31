"""What the fused kernel promises beyond what every kernel does."""

import importlib
import re
from functools import partial

import jax
import jax.numpy as jnp
import jaxprs
import numpy as np
import pytest
from cases import assert_close, make_cell, make_problem, over_cells, probe

from lstm_jax import CELLS, unroll
from lstm_jax.cells.lstm import lstm_gates, lstm_update
from lstm_jax.kernels.fused import differentiate

HIDDEN = 5
SHAPE = (7, 3, 4)  # T, B, D
BY_HAND = [name for name in CELLS if CELLS[name](HIDDEN).adjoint]


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def random_like(seed, tree):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), max(len(leaves), 1))
    drawn = [jax.random.normal(k, a.shape) for k, a in zip(keys, leaves, strict=False)]
    return jax.tree.unflatten(structure, drawn)


def one_step(cell):
    params = random_like(0, cell.init(jax.random.key(0), SHAPE[2]))
    carry = random_like(1, cell.initial_carry((SHAPE[1],)))
    width = params["w_ih"].shape[1]
    return params, carry, random(2, SHAPE[1], width), random(3, SHAPE[1], width)


def gated(params):
    return {name: w for name, w in params.items() if name not in ("w_ih", "w_hh")}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_handwritten_adjoint_is_that_of_the_step(name):
    cell = CELLS[name](HIDDEN)
    params, carry, v, u = one_step(cell)
    others, d_carry = gated(params), random_like(4, carry)
    results = []
    for adjoint in (cell.adjoint, differentiate(cell)):
        new, factors, kept = adjoint.keep(others, carry, v, u)
        d_before, d_v, d_u = adjoint.back(others, factors, kept, d_carry)
        d_others = adjoint.others(others, kept, d_carry, d_v)
        results.append((new, d_before, d_v, d_v if d_u is None else d_u, d_others))
    for ours, reference in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", BY_HAND)
def test_factors_take_the_place_of_v(name):
    cell = CELLS[name](HIDDEN)
    params, carry, v, u = one_step(cell)
    _, factors, _ = cell.adjoint.keep(gated(params), carry, v, u)
    assert (factors.shape, factors.dtype) == (v.shape, v.dtype)


def count_products(jaxpr):
    return len(jaxprs.named(jaxpr, "dot_general"))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", BY_HAND)
def test_each_loop_holds_one_product(name, reverse):
    cell = CELLS[name](HIDDEN)
    params, xs = cell.init(jax.random.key(0), SHAPE[2]), random(1, *SHAPE)

    def loss(params, xs):
        run = partial(unroll, reverse=reverse, implementation="fused")
        return run(cell, params, xs, lengths=jnp.array([7, 0, 3]))[1].sum()

    program = jax.make_jaxpr(jax.grad(loss, argnums=(0, 1)))(params, xs)
    counts = [count_products(body) for body in jaxprs.loops(program.jaxpr)]
    assert counts == [1, 1]


def test_a_plain_scan_holds_more(name="lstm"):
    """So that the test above can fail."""
    cell = CELLS[name](HIDDEN)
    params, xs = cell.init(jax.random.key(0), SHAPE[2]), random(1, *SHAPE)

    def loss(params):
        return unroll(cell, params, xs, implementation="scan")[1].sum()

    program = jax.make_jaxpr(jax.grad(loss))(params)
    assert sum(count_products(body) for body in jaxprs.loops(program.jaxpr)) > 2


def another(cell):
    """The same cell, but to jit another: what was traced is traced again."""
    update, adjoint = partial(cell.update), cell.adjoint
    adjoint = adjoint and adjoint._replace(update=update)
    return cell._replace(update=update, adjoint=adjoint)


def traced_anew(function, *inputs):
    """Its program, where it was traced before as another kernel."""
    return jax.make_jaxpr(lambda *inputs: function(*inputs))(*inputs).jaxpr


def gradient(dtype, name="lstm", implementation="fused"):
    """The gradient of a run of a cell with products in ``dtype``, and its inputs."""
    params, xs = one_step(CELLS[name](HIDDEN))[0], random(1, *SHAPE).astype(dtype)

    def loss(params, xs):
        cell = another(CELLS[name](HIDDEN))
        ys = unroll(cell, params, xs, implementation=implementation)[1]
        return (ys.astype(jnp.float32) ** 2).sum()

    return jax.grad(loss, argnums=(0, 1)), (params, xs)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_step_copies_an_array_of_all_steps(dtype):
    """A copy of all gates at each step would take longer than all products."""
    function, inputs = gradient(dtype)
    text = jax.jit(function).lower(*inputs).compile().as_text()
    programs = {part.split(" ", 1)[0]: part for part in text.split("\n\n")}
    bodies = re.findall(r"body=(%[\w.-]+)", text)
    assert len(bodies) == 2
    for body in bodies:
        copies = re.findall(r"= \w+\[([\d,]*)\]\S* copy\(", programs[body])
        assert not [shape for shape in copies if shape.startswith(f"{SHAPE[0]},")]


@pytest.mark.parametrize(
    ("backend", "dtype", "in_place"),
    [("cpu", "float32", 1), ("cpu", "bfloat16", 0), ("gpu", "bfloat16", 1)],
)
def test_gradients_take_the_place_of_factors_where_nothing_is_copied(
    backend, dtype, in_place, monkeypatch
):
    """One array of all gates goes through the backward loop, and none comes out."""
    function, inputs = gradient(dtype)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    *_, scan = jaxprs.named(traced_anew(function, *inputs), "scan")
    gates = (*SHAPE[:2], 4 * HIDDEN)
    # What is stacked has an axis more than in a step.
    steps = [v.aval.ndim for v in scan.params["jaxpr"].jaxpr.outvars]
    outputs = [v.aval for v in scan.outvars]
    assert len(steps) == len(outputs)
    stacked = [
        x.ndim > n for x, n in zip(outputs, steps, strict=True) if x.shape == gates
    ]
    assert stacked == [not in_place]


def errors(got, expected):
    return [
        np.linalg.norm(np.asarray(a, np.float32) - b) / np.linalg.norm(b)
        for a, b in zip(*map(jax.tree.leaves, (got, expected)), strict=True)
    ]


@pytest.mark.parametrize("name", BY_HAND)
def test_a_gpu_moves_bfloat16(name, monkeypatch):
    """Half of the bytes of float32, between loops that are as long as those take."""
    function, (params, xs) = gradient("bfloat16", name)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    *_, scan = jaxprs.named(traced_anew(function, params, xs), "scan")
    gates = (*SHAPE[:2], params["w_ih"].shape[1])
    stored = [str(v.aval.dtype) for v in scan.invars if v.aval.shape == gates]
    assert stored and set(stored) == {"bfloat16"}


# One of each kind of gate: its own, those of two products, and normed ones.
@pytest.mark.parametrize("name", ["lstm", "gru", "layer_norm_lstm"])
def test_moving_bfloat16_costs_no_more_than_its_products(name, monkeypatch):
    plain, inputs = gradient("float32", name, "scan")
    function, narrow = gradient("bfloat16", name)
    expected, usual = plain(*inputs), function(*narrow)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    got = jax.jit(lambda *inputs: function(*inputs))(*narrow)
    pairs = zip(errors(got, expected), errors(usual, expected), strict=True)
    for error, other in pairs:
        assert 0 < error < 2 * other + 0.01


def test_loops_write_no_bfloat16(dtype="bfloat16"):
    """On a CPU, XLA would turn all of it into float32 and back at each step."""
    function, inputs = gradient(dtype)
    bodies = jaxprs.loops(jax.make_jaxpr(function)(*inputs).jaxpr)
    assert len(bodies) == 2
    for body in bodies:
        assert {v.aval.dtype.name for v in body.outvars} <= {"float32", "int32"}


def ragged(name, reverse):
    """A run over sequences of three lengths, and a loss on all that it gives."""
    carry = one_step(CELLS[name](HIDDEN))[1]
    how = {"reverse": reverse, "lengths": jnp.array([7, 0, 4]), "carry": carry}

    def run(params, xs):
        cell = another(CELLS[name](HIDDEN))
        return unroll(cell, params, xs, implementation="fused", **how)

    def loss(params, xs):
        last, ys = run(params, xs)
        return (ys * random(6, *ys.shape)).sum() + (last.h**2).sum()

    return run, loss


# Each of the cells one way: compiling takes most of the time.
over_ways = pytest.mark.parametrize(
    ("name", "reverse"), [("lstm", False), ("gru", True), ("peephole_lstm", True)]
)


@over_ways
def test_rows_looked_up_in_the_loop_are_those_of_one_hot_vectors(
    name, reverse, monkeypatch
):
    params = one_step(CELLS[name](HIDDEN))[0]
    words = jax.random.randint(jax.random.key(5), SHAPE[:2], 0, SHAPE[2])

    run, loss = ragged(name, reverse)

    def results(xs):
        return jax.jit(run)(params, xs), jax.jit(jax.grad(loss))(params, xs)

    expected = results(jax.nn.one_hot(words, SHAPE[2]))
    kernel = importlib.import_module("lstm_jax.kernels.fused")
    monkeypatch.setattr(kernel, "_is_better_inside", lambda *case: True)
    got = results(words)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    outputs = 7 * 3 * HIDDEN  # all that is as long as the sequences
    assert jaxprs.size_of_largest(jax.make_jaxpr(run)(params, words).jaxpr) == outputs
    monkeypatch.setattr(kernel, "_is_better_inside", lambda *case: False)
    hoisted = traced_anew(run, params, words)
    assert jaxprs.size_of_largest(hoisted) == params["w_ih"].shape[1] * 7 * 3


def test_rows_are_looked_up_with_dropout(monkeypatch):
    cell = CELLS["lstm"](HIDDEN)
    params, carry, _, _ = one_step(cell)
    words = jax.random.randint(jax.random.key(5), SHAPE[:2], 0, SHAPE[2])
    h_mask = jnp.array([[0.0, 2.0, 2.0, 0.0, 2.0]] * SHAPE[1])
    kernel = importlib.import_module("lstm_jax.kernels.fused")

    def loss(params, h_mask, xs):
        run = partial(kernel.fused, mask=None, h_mask=h_mask)
        last, ys = run(cell, params, carry, xs)
        return (ys * random(6, *ys.shape)).sum() + (last.h**2).sum()

    def results(xs):
        grads = jax.jit(jax.grad(loss))(params, h_mask, xs)
        return jax.jit(loss)(params, h_mask, xs), grads

    expected = results(jax.nn.one_hot(words, SHAPE[2]))
    monkeypatch.setattr(kernel, "_is_better_inside", lambda *case: True)
    got = results(words)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@over_ways
def test_products_with_inputs_stay_in_a_loop_for_no_gradient(
    name, reverse, monkeypatch
):
    """The values of both, the gradient, and that no buffer of all steps is there."""
    params = one_step(CELLS[name](HIDDEN))[0]
    xs = random(7, *SHAPE).at[5:, 2].set(jnp.nan)  # in the padding

    run, loss = ragged(name, reverse)

    def results():
        both = jax.value_and_grad(loss, argnums=(0, 1))
        # New functions, so that none is one that was compiled the other way.
        values = jax.jit(lambda params, xs: run(params, xs))
        return values(params, xs), jax.jit(both)(params, xs)

    expected = results()
    kernel = importlib.import_module("lstm_jax.kernels.fused")
    monkeypatch.setattr(kernel, "_is_better_inside", lambda *case: True)
    got = results()
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert jaxprs.size_of_largest(traced_anew(run, params, xs)) == 7 * 3 * HIDDEN


def under_vmap(run, params, xs):
    return jax.vmap(run, in_axes=(None, 2), out_axes=2)(params, xs[:, :, None])


def with_several_batch_dimensions(run, params, xs):
    return run(params, jnp.stack([xs, xs[::-1]], axis=1))


def in_chunks(run, params, xs):
    return run(params, xs, chunk_size=3)


def with_dropped_features(run, params, xs):
    return run(params, xs, h_mask=jnp.array([[0.0, 2.0, 2.0, 0.0, 2.0]] * SHAPE[1]))


def below_a_gradient_of_something_else(run, params, xs):
    return jax.grad(lambda a: (a * run(params, xs)).sum())(1.5)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("lstm", under_vmap),
        ("lstm", with_several_batch_dimensions),
        ("gru", in_chunks),
        ("lstm", with_dropped_features),
        ("lstm", below_a_gradient_of_something_else),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_products_that_stay_in_the_loop_are_those_outside(name, how, monkeypatch):
    cell = CELLS[name](HIDDEN)
    params, xs = one_step(cell)[0], random(9, *SHAPE)
    kernel = importlib.import_module("lstm_jax.kernels.fused")

    def run(params, xs, h_mask=None, chunk_size=None):
        cell = another(CELLS[name](HIDDEN))
        if h_mask is None:
            kernel_or_chunks = partial(unroll, implementation="fused")
            return kernel_or_chunks(cell, params, xs, chunk_size=chunk_size)[1]
        carry = cell.initial_carry(xs.shape[1:-1])
        return kernel.fused(cell, params, carry, xs, None, h_mask=h_mask)[1]

    results, programs = [], []
    for inside in (False, True):
        monkeypatch.setattr(kernel, "_is_better_inside", lambda *case, x=inside: x)
        traced = jax.jit(partial(how, run)).trace(params, xs)
        programs.append(str(traced.jaxpr))
        results.append(traced.lower().compile()(params, xs))
    assert programs[0] != programs[1]
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)


@pytest.fixture
def is_inside(monkeypatch):
    """The rule, on one device."""
    kernel = importlib.import_module("lstm_jax.kernels.fused")
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)

    def rule(*shape, dtype="float32", cell="lstm", width=1024):
        weights = {"w_ih": jax.ShapeDtypeStruct((9, width), "float32")}
        xs = jax.ShapeDtypeStruct(shape, dtype)
        return kernel._is_better_inside(CELLS[cell](256), weights, xs)

    return rule


def test_rows_are_looked_up_in_the_loop_when_they_are_many_and_long(
    is_inside, monkeypatch
):
    assert is_inside(64, 64, dtype="int32")
    assert is_inside(64, 8, 8, dtype="int32")
    assert not is_inside(63, 64, dtype="int32")
    assert not is_inside(64, 64, dtype="int32", cell="layer_norm_lstm")
    assert not is_inside(640, 64, dtype="int32", width=512)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert is_inside(64, 64, dtype="int32")


def test_products_with_inputs_stay_in_the_loop_where_it_pays(is_inside, monkeypatch):
    assert is_inside(64, 64, 9) and is_inside(64, 8, 8, 9)
    assert not is_inside(63, 64, 9)
    assert is_inside(256, 16, 9) and not is_inside(512, 15, 9)  # few rows
    assert not is_inside(64, 64, 9, dtype="bfloat16")
    assert is_inside(64, 64, 9, width=2**19 // 9)
    assert not is_inside(64, 64, 9, width=2**19 // 9 + 1)  # wide weights
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    assert is_inside(64, 128, 9) and not is_inside(64, 127, 9)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not is_inside(64, 128, 9)


@pytest.mark.parametrize("shape", ["7, b, 4", "t, 3, 4"])
def test_shapes_that_an_export_leaves_open_are_no_mistake(shape):
    cell = CELLS["lstm"](HIDDEN)
    params = cell.init(jax.random.key(0), SHAPE[2])
    xs = jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape), "float32")
    program = jax.jit(lambda xs: unroll(cell, params, xs, implementation="fused")[1])
    exported = jax.export.export(program)(xs)
    some = random(8, 7, 3, 4)
    np.testing.assert_allclose(exported.call(some), program(some), rtol=1e-6, atol=1e-6)


@over_cells
def test_of_no_steps_nothing_is_learned_but_the_carry(cell):
    params, carry, xs, _ = make_problem(cell)

    def loss(params, carry):
        last, ys = unroll(make_cell(cell), params, xs[:0], carry=carry)
        assert ys.shape[0] == 0
        return jax.tree.reduce(jnp.add, jax.tree.map(lambda c: (c**2).sum(), last))

    d_params, d_carry = jax.grad(loss, argnums=(0, 1))(params, carry)
    assert not any(np.any(d) for d in jax.tree.leaves(d_params))
    jax.tree.map(lambda d, c: np.testing.assert_allclose(d, 2 * c), d_carry, carry)


def louder_gates(params, carry, v, u):
    return lstm_gates(params, carry, v, 2 * u)


def deaf_update(params, carry, gates):
    return lstm_update(params, carry._replace(c=carry.c / 2), gates)


@pytest.mark.parametrize("change", [{"gates": louder_gates}, {"update": deaf_update}])
def test_a_cell_made_from_another_is_not_differentiated_as_that(change):
    cell = make_cell("lstm")._replace(**change)
    assert cell.adjoint is not None and cell.own_adjoint is None
    params, _, xs, lengths = make_problem("lstm")

    def loss(params, implementation):
        how = {"lengths": lengths, "implementation": implementation}
        return probe(unroll(cell, params, xs, **how))

    grad = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    assert_close(grad(params, "fused"), grad(params, "scan"))


# By hand, of two biases, and by autodiff; then what the inputs add within the loop.
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm"])
def test_second_derivatives_are_those_of_the_scan(name, inside, monkeypatch):
    module = importlib.import_module("lstm_jax.kernels.fused")
    monkeypatch.setattr(module, "_is_better_inside", lambda *_: inside)
    cell, (params, carry, xs, lengths) = another(make_cell(name)), make_problem(name)

    def loss(params, carry, xs, implementation):
        how = {"lengths": lengths, "implementation": implementation}
        return probe(unroll(cell, params, xs, carry=carry, **how))

    given = (params, carry, xs)
    along = random_like(7, given)

    def slope(given, implementation):
        grads = jax.grad(loss, (0, 1, 2))(*given, implementation)
        pairs = zip(*map(jax.tree.leaves, (grads, along)), strict=True)
        return sum((a * b).sum() for a, b in pairs)

    again = jax.jit(jax.grad(slope), static_argnums=1)
    assert_close(again(given, "fused"), again(given, "scan"))


def test_a_hessian_is_that_of_the_scan():
    cell, (params, _, xs, lengths) = make_cell("lstm"), make_problem("lstm")

    def loss(b, implementation):
        how = {"lengths": lengths, "implementation": implementation}
        return probe(unroll(cell, params | {"b": b}, xs, **how))

    hessian = jax.jit(jax.hessian(loss), static_argnums=1)
    assert_close(hessian(params["b"], "fused"), hessian(params["b"], "scan"))
