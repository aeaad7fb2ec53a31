"""Ways to run a cell over time; each equals the plain scan.

A kernel is ``(cell, params, carry, xs, mask, h_mask, reverse, unroll) -> (carry,
ys)`` with ``mask`` bool ``[T, B]`` (True: a real step) or None, and ``h_mask`` as in
``Cell.recur``.  The real steps of a sequence follow one another.
"""

from lstm_jax.kernels.chunks import run_in_chunks as run_in_chunks
from lstm_jax.kernels.cudnn import cudnn as cudnn
from lstm_jax.kernels.fused import fused as fused
from lstm_jax.kernels.scan import scan as scan

# unroll(implementation=...) takes a key of this table, or "auto".
KERNELS = {"fused": fused, "scan": scan, "cudnn": cudnn}
IMPLEMENTATIONS = ("auto", *KERNELS)
