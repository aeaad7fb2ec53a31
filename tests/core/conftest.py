"""The core keeps to strict promotion: no silent float64, no silent broadcast.

Compiling is most of what its tests do: what one process compiled, the other reads.
"""

import os

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache


@pytest.fixture(autouse=True, scope="module")
def _strict_promotion():
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.default_matmul_precision("highest"),
    ):
        yield


@pytest.fixture(autouse=True, scope="module")
def _programs_are_shared(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    values = {
        "jax_compilation_cache_dir": str(base / "programs"),
        "jax_persistent_cache_min_compile_time_secs": 0.2,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in values}
    _set(values)
    yield
    _set(before)


def _set(values):
    for name, value in values.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # it would go on in the folder that it began in
