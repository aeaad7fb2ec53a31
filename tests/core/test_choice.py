"""What "auto" stands for, on machines that are not at hand."""

from types import SimpleNamespace

import jax
import pytest

from lstm_jax import draw_together, gru, lstm, peephole_lstm, unroll
from lstm_jax.kernels import KERNELS, choice, choose_implementation, choose_unroll


@pytest.fixture
def machine(monkeypatch):
    """Make JAX tell of another machine."""

    def pretend(backend, capability="9.0", count=1):
        device = SimpleNamespace(compute_capability=capability)
        monkeypatch.setattr(jax, "default_backend", lambda: backend)
        monkeypatch.setattr(jax, "local_devices", lambda: [device] * count)
        monkeypatch.setattr(jax, "device_count", lambda: count)
        choice._has_pallas.cache_clear()

    yield pretend
    choice._has_pallas.cache_clear()


@pytest.mark.parametrize(
    ("cell", "dtype", "expected"),
    [
        (lstm(64), "float32", "pallas"),
        (lstm(65), "float32", "fused"),
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
    "other",
    [
        {"backend": "cpu"},
        {"backend": "tpu"},
        {"backend": "gpu", "capability": "8.0"},
        {"backend": "gpu", "capability": "12.0"},
        {"backend": "gpu", "count": 2},
    ],
    ids=str,
)
def test_they_are_not_elsewhere(machine, other):
    machine(**other)
    name, reason = choose_implementation(lstm(8))
    assert name == "fused" and len(reason.split()) > 5


def test_the_reason_names_a_backend_that_was_not_measured(machine):
    machine("tpu")
    assert "tpu" in choose_implementation(lstm(8))[1]


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
    module = __import__("lstm_jax.unroll", fromlist=["unroll"])
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
