"""A JAX that finds nothing to compute on is told as what it is."""

import jax
import pytest

from lstm_jax.errors import UserError
from lstm_jax.platforms import check_platforms


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("no\n  such backend"), "got: no such backend"),
        (AssertionError(), "got: nothing of that kind is installed"),
    ],
)
def test_a_missing_device_is_one_line(error, said, monkeypatch):
    def devices():
        raise error

    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(UserError) as told:
        check_platforms()
    assert str(told.value).startswith("JAX_PLATFORMS=")
    assert str(told.value).endswith(f"expected a device to compute on, {said}")
