"""What "auto" stands for, on machines that are not at hand."""

import importlib
import sys
from types import SimpleNamespace

import jax
import jaxprs
import pytest

from lstm_jax import (
    draw_together,
    gru,
    layer_norm_lstm,
    lstm,
    peephole_lstm,
    unroll,
)
from lstm_jax.kernels import KERNELS, choice, choose_implementation, choose_unroll


@pytest.fixture
def machine(monkeypatch):
    """Make JAX tell of another machine."""

    def pretend(backend, capability="9.0", count=1):
        device = SimpleNamespace(compute_capability=capability)
        monkeypatch.setattr(jax, "default_backend", lambda: backend)
        monkeypatch.setattr(jax, "local_devices", lambda: [device] * count)
        monkeypatch.setattr(jax, "device_count", lambda: count)
        choice._why_no_pallas.cache_clear()

    yield pretend
    choice._why_no_pallas.cache_clear()


@pytest.mark.parametrize(
    ("cell", "dtype", "expected"),
    [
        (lstm(32), "float32", "pallas"),
        (lstm(33), "float32", "fused"),
        (lstm(128), "bfloat16", "pallas"),
        (lstm(129), "bfloat16", "fused"),
        (lstm(8), "float64", "fused"),
        (draw_together(lstm(8)), "float32", "pallas"),
        (gru(8), "float32", "fused"),
        (peephole_lstm(8), "float32", "fused"),
    ],
)
def test_small_lstms_are_one_program_on_the_gpu_that_was_measured(
    machine, cell, dtype, expected
):
    machine("gpu")
    assert choose_implementation(cell, dtype)[0] == expected


@pytest.mark.parametrize(
    ("other", "cell", "reason"),
    [
        ({"backend": "cpu"}, lstm(8), "its gradient is written by hand"),
        ({"backend": "cpu"}, layer_norm_lstm(8), "computed by autodiff"),
        ({"backend": "tpu"}, lstm(8), "nothing was measured on a tpu"),
        ({"backend": "gpu"}, gru(8), "no other cell was measured"),
        ({"backend": "gpu"}, lstm(500), "but of smaller LSTMs"),
        ({"backend": "gpu", "capability": "8.0"}, lstm(8), "capability 8.0"),
        ({"backend": "gpu", "count": 2}, lstm(8), "is not split over several"),
    ],
)
def test_elsewhere_it_is_the_loop_for_a_reason(machine, other, cell, reason):
    machine(**other)
    name, why = choose_implementation(cell)
    assert name == "fused" and reason in why


def test_without_triton_in_pallas_it_is_the_loop(machine, monkeypatch):
    machine("gpu")
    monkeypatch.setitem(sys.modules, "jax.experimental.pallas", None)
    assert choose_implementation(lstm(8))[0] == "fused"


def test_iterations_are_longer_on_a_gpu(machine):
    machine("gpu")
    assert choose_unroll() == 8
    machine("cpu")
    assert choose_unroll() == 1


def test_unroll_does_what_is_chosen(monkeypatch):
    seen = {}

    def kernel(cell, params, carry, xs, mask, **how):
        seen.update(how)
        return carry, xs

    monkeypatch.setitem(KERNELS, "pallas", kernel)
    asked = []
    module = importlib.import_module("lstm_jax.unroll")
    monkeypatch.setattr(
        module,
        "choose_implementation",
        lambda cell, dtype: asked.append(dtype) or ("pallas", ""),
    )
    monkeypatch.setattr(module, "choose_unroll", lambda: 3)
    cell = lstm(4)
    params = cell.init(jax.random.key(0), 3)
    xs = jax.random.normal(jax.random.key(1), (5, 2, 3)).astype("bfloat16")
    unroll(cell, params, xs)
    assert seen["unroll"] == 3 and asked == [jax.numpy.bfloat16]
    unroll(cell, params, xs, unroll=2)
    assert seen["unroll"] == 2


def test_an_export_that_leaves_sizes_open_gets_the_loop(machine):
    machine("gpu")
    cell = lstm(8)
    params = cell.init(jax.random.key(0), 3)
    open_sizes = jax.export.symbolic_shape("t, b, 3")
    xs = jax.ShapeDtypeStruct(open_sizes, "float32")
    traced = jax.jit(lambda xs: unroll(cell, params, xs)).trace(xs)
    assert jaxprs.named(traced.jaxpr.jaxpr, "scan")
    closed = jax.ShapeDtypeStruct((5, 2, 3), "float32")
    traced = jax.jit(lambda xs: unroll(cell, params, xs)).trace(closed)
    assert jaxprs.named(traced.jaxpr.jaxpr, "pallas_call")


def test_what_runs_on_another_device_is_chosen_for_that(machine):
    machine("gpu")
    assert choose_implementation(lstm(8))[0] == "pallas"
    for cpu in (jax.devices("cpu")[0], "cpu"):
        with jax.default_device(cpu):
            assert choose_implementation(lstm(8))[0] == "fused"
            assert choose_unroll() == 1
