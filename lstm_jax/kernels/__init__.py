"""Ways to run a cell over time; each equals the plain scan.

A kernel is ``(cell, params, carry, xs, mask, h_mask, reverse, unroll) -> (carry,
ys)`` with ``mask`` bool ``[T, B]`` (True: a real step) or None, and ``h_mask`` as in
``Cell.recur``.  The real steps of a sequence follow one another.
"""

from typing import Any

from lstm_jax.kernels.choice import choose_implementation as choose_implementation
from lstm_jax.kernels.choice import choose_unroll as choose_unroll
from lstm_jax.kernels.chunks import run_in_chunks as run_in_chunks
from lstm_jax.kernels.cudnn import cudnn as cudnn
from lstm_jax.kernels.fused import fused as fused
from lstm_jax.kernels.scan import scan as scan


def _pallas(*inputs: Any, **how: Any) -> tuple[Any, Any]:
    """See ``lstm_jax.kernels.pallas``: imported here, as Pallas takes a while."""
    from lstm_jax.kernels.pallas import pallas

    return pallas(*inputs, **how)


# unroll(implementation=...) takes a key of this table, or "auto".
KERNELS = {"fused": fused, "scan": scan, "cudnn": cudnn, "pallas": _pallas}
IMPLEMENTATIONS = ("auto", *KERNELS)
