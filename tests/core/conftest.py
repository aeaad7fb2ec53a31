"""The core keeps to strict promotion: no silent float64, no silent broadcast."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _strict_promotion():
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.default_matmul_precision("highest"),
    ):
        yield
