"""Which kernel runs a cell, and how, when nobody says: what was fastest when measured.

The numbers are those of ``benchmarks/step.py`` on a CPU and ``benchmarks/gpu.py`` on an
NVIDIA H100; they stand in ``results/speed``.
"""

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lstm_jax.cells.base import Cell
from lstm_jax.cells.lstm import is_lstm

# Of the hidden state, up to which the Pallas kernel was faster than XLA's loop.
_SMALL = {"float32": 64, "bfloat16": 128}
# GPUs that have the shared memory that it was measured with.
_MEASURED_GPUS = ("9.0",)


def choose_implementation(
    cell: Cell, dtype: DTypeLike = jnp.float32
) -> tuple[str, str]:
    """What ``implementation="auto"`` picks, and why.

    Args:
      cell: the cell.
      dtype: of the products, that of ``xs``.

    Returns:
      A name for ``implementation``, and the reason in a sentence.

    Example:
      >>> from lstm_jax import lstm
      >>> choose_implementation(lstm(4))[0]
      'fused'
    """
    backend = jax.default_backend()
    if backend == "cpu":
        how = "written by hand" if cell.adjoint else "computed by autodiff"
        return "fused", f"its training step was the fastest; its gradient is {how}"
    if backend != "gpu":
        return "fused", f"as on a CPU: nothing was measured on a {backend}"
    if _is_small(cell, dtype) and _has_pallas():
        return "pallas", "all steps in one GPU program were the fastest of small LSTMs"
    return "fused", "its training step was the fastest, but for small LSTMs on an H100"


def choose_unroll() -> int:
    """Steps in an iteration of a compiled loop, when nobody says.

    >>> choose_unroll()
    1
    """
    # On a GPU the kernels of eight steps are started at once: a tenth to a half less
    # time.  On a CPU nothing is gained for a longer compilation.
    return 8 if jax.default_backend() == "gpu" else 1


def _is_small(cell: Cell, dtype: DTypeLike) -> bool:
    return is_lstm(cell) and cell.output_size <= _SMALL.get(jnp.dtype(dtype).name, 0)


@functools.cache
def _has_pallas() -> bool:
    """Whether its programs are for this GPU, and it is alone: they are not split."""
    capability = getattr(jax.local_devices()[0], "compute_capability", "")
    if jax.device_count() > 1 or capability not in _MEASURED_GPUS:
        return False
    try:
        from jax.experimental.pallas import triton  # noqa: F401  (to be removed some day)
    except ImportError:
        return False
    return True
