"""A product whose gradient is two products in the same dtype.

Left to autodiff, a product of bfloat16 that adds up in float32 has a gradient with one
operand of each, which is computed in float32.
"""

from functools import partial
from typing import Any

import jax
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells.base import multipliable, project


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def multiply(dtype: DTypeLike, xs: Array, w: Array) -> Array:
    """``xs @ w`` in the dtype of xs, added up in ``dtype``; for reverse mode.

    Args:
      dtype: of the result.
      xs: ``[..., D]``.
      w: ``[D, G]``.

    Example:
      >>> import jax.numpy as jnp
      >>> xs = jnp.ones((2, 3), "bfloat16")
      >>> str(multiply("float32", xs, jnp.ones((3, 4))).dtype)
      'float32'
    """
    return project(xs, w, dtype)


def _multiply_and_keep(dtype: DTypeLike, xs: Array, w: Array) -> tuple[Array, Any]:
    return project(xs, w, dtype), (xs, w)


def _gradient(dtype: DTypeLike, kept: Any, d_ys: Array) -> tuple[Array, Array]:
    xs, w = kept
    d_ys = d_ys.astype(xs.dtype)
    d_w = sum_of_products(xs, d_ys, dtype).astype(w.dtype)
    return project(d_ys, w.T, dtype).astype(xs.dtype), d_w


multiply.defvjp(_multiply_and_keep, _gradient)


def sum_of_products(xs: Array, d_ys: Array, dtype: DTypeLike) -> Array:
    """The sum over all leading dimensions of ``x`` outer ``d_y``, ``[D, G]``."""
    rows = tuple(range(xs.ndim - 1))
    a, b = multipliable(xs, d_ys, dtype)
    total = jax.lax.dot_general(
        a, b, ((rows, rows), ((), ())), preferred_element_type=dtype
    )
    # Transposed by whoever asked, it would become a product that XLA accepts and then
    # has no code for: "Unsupported element type for DotThunk: BF16 x BF16 = F32".
    return total if xs.dtype == dtype else jax.lax.optimization_barrier(total)
