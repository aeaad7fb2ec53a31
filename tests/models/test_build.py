"""What is looked at of a model before any data is read."""

import dataclasses

import jax
import pytest

from lstm_jax.errors import UserError
from lstm_jax.models.build import check_kernel
from lstm_jax.models.config import ModelConfig


def config(**changes):
    return ModelConfig(hidden_size=8, implementation="cudnn", **changes)


CANNOT = {
    "float32, got": {"dtype": "bfloat16"},
    "an LSTM cell, got": {"cell": "gru"},
    "no h_mask, got": {"recurrent_dropout_rate": 0.1},
    "xs [T, B, D], got integers": {"inputs": "one_hot"},
}


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="this machine has a GPU")
def test_a_kernel_of_another_machine_is_refused():
    with pytest.raises(
        UserError, match="^model.implementation: expected .auto. where "
    ):
        check_kernel(config())


@pytest.mark.parametrize("said", CANNOT)
def test_a_kernel_that_cannot_run_the_layers_is_refused(said, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(UserError) as error:
        check_kernel(config(**CANNOT[said]))
    assert str(error.value).startswith(f"model.implementation='cudnn': expected {said}")


@pytest.mark.parametrize("num_logits", [0, 1])
@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_one_that_can_is_not(implementation, num_logits):
    plain = dataclasses.replace(config(), implementation=implementation)
    check_kernel(dataclasses.replace(plain, num_logits=num_logits))
