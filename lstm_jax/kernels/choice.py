"""Which kernel runs a cell, and how, when nobody says: what was fastest when measured.

The numbers are those of ``benchmarks/step.py`` on a CPU and ``benchmarks/gpu.py`` on an
NVIDIA H100; they stand in ``results/speed``.
"""

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lstm_jax.cells.base import Cell, platform
from lstm_jax.cells.lstm import is_lstm

# The largest hidden sizes of which the Pallas kernel was measured to be faster than
# XLA's loop: 32 in float32 (at 128 it depends on the batch), 128 in bfloat16 (with a
# batch of 512).
_SMALL = {"float32": 32, "bfloat16": 128}
# Compute capabilities of the GPUs that it was measured on.
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
      >>> name, reason = choose_implementation(lstm(4))
      >>> name in ("fused", "pallas")
      True
    """
    backend = platform()
    if backend == "cpu":
        how = "written by hand" if cell.own_adjoint else "computed by autodiff"
        return "fused", f"its training step was the fastest; its gradient is {how}"
    if backend != "gpu":
        return "fused", f"as on a CPU: nothing was measured on a {backend}"
    if not is_lstm(cell):
        return "fused", "the fastest of an LSTM; no other cell was measured on a GPU"
    if cell.output_size > _SMALL.get(jnp.dtype(dtype).name, 0):
        return "fused", "the fastest step in training, or nearly, but of smaller LSTMs"
    if why_not := _why_no_pallas():
        return "fused", why_not
    return "pallas", "all steps in one GPU program were the fastest of a small LSTM"


def choose_unroll() -> int:
    """Steps in an iteration of a compiled loop, when nobody says.

    >>> choose_unroll() in (1, 8)
    True
    """
    # On a GPU the kernels of eight steps are started at once: 4 to 40 % less time for a
    # training step.  On a CPU nothing is gained for a longer compilation.
    return 8 if platform() == "gpu" else 1


@functools.cache
def _why_no_pallas() -> str:
    """Why its programs are not for this machine; "" where they are."""
    if jax.device_count() > 1:
        return "Pallas, faster for a small LSTM on one GPU, is not split over several"
    capability = getattr(jax.local_devices()[0], "compute_capability", "")
    if capability not in _MEASURED_GPUS:
        return f"nothing was measured on a GPU of compute capability {capability}"
    try:
        from jax.experimental.pallas import triton  # noqa: F401  (to be removed one day)
    except ImportError:
        return "this version of JAX has no Triton in Pallas"
    return ""
