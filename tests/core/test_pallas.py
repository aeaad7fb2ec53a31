"""What the Pallas kernel promises beyond what every kernel does; interpreted here."""

import importlib
from functools import partial

import jax
import jax.numpy as jnp
import jaxprs
import numpy as np
import pytest

from lstm_jax import gru, lstm, peephole_lstm, unroll, zoneout_lstm
from lstm_jax.cells import base

T, D = 5, 3


@pytest.fixture
def module():
    # By name: the package has a function of the same name.
    return importlib.import_module("lstm_jax.kernels.pallas")


def random(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def results(implementation, hidden, rows, reverse=False, dtype="float32"):
    """Outputs, and their gradients, of sequences of all lengths."""
    cell = lstm(hidden)
    params = cell.init(jax.random.key(0), D) | {"b": random(1, 4 * hidden)}
    lengths = jnp.arange(rows, dtype=jnp.int32) % (T + 1)
    h_mask = random(2, rows, hidden)
    how = {"lengths": lengths, "h_mask": h_mask, "reverse": reverse}

    def loss(params, xs):
        run = partial(unroll, implementation=implementation)
        last, ys = run(cell, params, xs, **how)
        seen = (ys.astype(jnp.float32), *last)
        return sum((a * random(3, *a.shape)).sum() for a in seen), seen

    both = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    return jax.jit(both)(params, random(4, T, rows, D).astype(dtype))


def assert_equal(got, expected, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        a, b = (np.asarray(x, np.float32) for x in (a, b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("hidden", "rows", "reverse"), [(5, 7, False), (33, 17, True)])
def test_units_and_rows_that_fill_up_change_nothing(hidden, rows, reverse):
    got = results("pallas", hidden, rows, reverse)
    assert_equal(got, results("scan", hidden, rows, reverse))


def test_products_are_in_the_dtype_of_xs(monkeypatch):
    got = results("pallas", 16, 16, dtype="bfloat16")
    assert_equal(got, results("scan", 16, 16, dtype="bfloat16"), tolerance=0.05)
    cell, xs = lstm(16), random(4, T, 16, D).astype("bfloat16")
    params = cell.init(jax.random.key(0), D)

    def loss(params):
        return unroll(cell, params, xs, implementation="pallas")[1].sum()

    # It is not run: on a GPU no version of JAX lacks these products.
    monkeypatch.setattr(base, "lacks_mixed_products", lambda: False)
    program = jax.make_jaxpr(jax.grad(loss))(params)
    kernels = jaxprs.named(program.jaxpr, "pallas_call")
    products = [
        product
        for kernel in kernels
        for product in jaxprs.named(kernel.params["jaxpr"], "dot_general")
    ]
    assert products
    for product in products:
        assert {v.aval.dtype.name for v in product.invars} == {"bfloat16"}
        assert product.outvars[0].aval.dtype == jnp.float32


def test_a_gradient_of_a_gradient_is_that_of_the_scan():
    cell, xs = lstm(5), random(1, 4, 3, D)
    params = cell.init(jax.random.key(0), D)

    def slope(params, xs, implementation):
        def loss(params, xs):
            how = {"lengths": jnp.array([4, 0, 2]), "implementation": implementation}
            last, ys = unroll(cell, params, xs, **how)
            return jnp.sin(ys).sum() + (last.c**2).sum()

        slopes = jax.grad(loss, argnums=(0, 1))(params, xs)
        return sum(
            (jnp.cos(a) * random(2, *a.shape)).sum() for a in jax.tree.leaves(slopes)
        )

    both = jax.jit(jax.value_and_grad(slope, argnums=(0, 1)), static_argnums=2)
    assert_equal(both(params, xs, "pallas"), both(params, xs, "scan"))


@pytest.mark.parametrize("shape", [(0, 2, D), (4, 0, D)], ids=str)
def test_nothing_to_run_is_no_mistake(shape):
    cell = lstm(5)
    params = cell.init(jax.random.key(0), D)
    xs = jnp.zeros(shape)
    got = unroll(cell, params, xs, implementation="pallas")
    assert_equal(got, unroll(cell, params, xs, implementation="scan"))


def test_weights_without_room_are_read_again(module, monkeypatch):
    """Of the four gates one is kept, and three are read at each step."""
    expected = results("scan", 16, 16)
    monkeypatch.setattr(module, "_SHARED_MEMORY", 2 * 16 * 16 * 4)
    assert_equal(results("pallas", 16, 16), expected)


@pytest.mark.parametrize(("room", "expected"), [(4, 4), (5, 4), (3, 2), (1, 0), (0, 0)])
def test_as_many_weights_are_kept_as_there_is_room_for(
    module, monkeypatch, room, expected
):
    """Where not all are, one is left for what is read again."""
    monkeypatch.setattr(module, "_SHARED_MEMORY", room * 4 * 4 * 4)
    read = []

    def read_gate(gate):
        read.append(gate)
        return jnp.full((4, 4), gate, jnp.float32)

    weight = module._keep_some(4, read_gate)
    read.clear()
    assert [float(weight(gate)[0, 0]) for gate in range(4)] == [0, 1, 2, 3]
    assert len(read) == 4 - expected


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (gru(8), "an LSTM cell, got another"),
        (peephole_lstm(8), "an LSTM cell, got another"),
        (zoneout_lstm(8), "an LSTM cell, got another"),
        (lstm(129), "a hidden size up to 128, got 129"),
    ],
)
def test_refuses_what_it_cannot_run(cell, message):
    params = cell.init(jax.random.key(0), D)
    with pytest.raises(ValueError) as caught:
        unroll(cell, params, random(0, T, 2, D), implementation="pallas")
    assert str(caught.value) == f"implementation='pallas': expected {message}"


def test_refuses_other_backends(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    params = lstm(8).init(jax.random.key(0), D)
    with pytest.raises(
        ValueError, match="expected a GPU, or a CPU to test it, got a tpu"
    ):
        unroll(lstm(8), params, random(0, T, 2, D), implementation="pallas")


def lower_for_cuda(function, *inputs):
    """The program of a GPU that is not there."""
    try:
        return jax.jit(function).trace(*inputs).lower(lowering_platforms=("cuda",))
    except RuntimeError as error:
        if "No supported GPU" in str(error):
            pytest.skip("this version of JAX asks the GPU what it is")
        raise


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("hidden", [5, 128])
def test_a_gpu_gets_one_program_each_way(hidden, dtype):
    cell, xs = lstm(hidden), random(1, T, 20, D).astype(dtype)
    params = cell.init(jax.random.key(0), D)

    def loss(params, xs):
        how = {"lengths": jnp.arange(20), "implementation": "pallas"}
        return unroll(cell, params, xs, **how)[1].astype(jnp.float32).sum()

    text = lower_for_cuda(jax.grad(loss, argnums=(0, 1)), params, xs).as_text()
    assert text.count("custom_call @__gpu$xla.gpu.triton") == 2
    assert text.count("output_operand_alias<") == 2
    assert "stablehlo.while" not in text
