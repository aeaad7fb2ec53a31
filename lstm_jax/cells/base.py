"""The contract that every recurrent cell keeps.

A cell is a value: three pure functions over one time step, and the width of
its output.  Generic code (``unroll``, ``layers``, the models) takes a ``Cell``
and never asks which one it is.

Shapes, here and in every cell file: ``B`` batch (any leading dimensions, or
none), ``D`` input features, ``H`` hidden features.  Parameters are a plain dict
of arrays, a carry is a NamedTuple of arrays ``[B, H]``.

What ``step`` promises:

* ``step(params, carry, x) -> (carry, y)``: ``functools.partial(step, params)``
  is a body for ``jax.lax.scan``.
* The carry that comes out has the structure, shapes and dtypes of the one that
  went in.
* The products run in the dtype of ``x`` (bfloat16 inputs make bfloat16
  products) and are accumulated, like the carry, in the carry's dtype; ``y`` has
  the dtype of ``x``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

Params = dict[str, Array]
Carry = Any  # a NamedTuple of arrays, one type a cell


class Cell(NamedTuple):
    """Pure functions over one time step.

    Attributes:
      init: ``(key, input_size, dtype=float32) -> params``.
      initial_carry: ``(batch_shape, dtype=float32) -> carry`` of zeros.
      step: ``(params, carry, x) -> (carry, y)``, x ``[B, D]``, y ``[B, H]``.
      output_size: the width of ``y``.

    Example:
      >>> import jax
      >>> from lstm_jax import lstm
      >>> cell = lstm(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), input_size=3)
      >>> carry = cell.initial_carry((2,))
      >>> carry, y = cell.step(params, carry, jax.numpy.ones((2, 3)))
      >>> y.shape
      (2, 4)
    """

    init: Callable[..., Params]
    initial_carry: Callable[..., Carry]
    step: Callable[[Params, Carry, Array], tuple[Carry, Array]]
    output_size: int


def init_gates(
    initializer: Initializer,
    key: Array,
    rows: int,
    hidden_size: int,
    num_gates: int,
    dtype: DTypeLike,
) -> Array:
    """Draw one ``[rows, H]`` block a gate and put the blocks side by side.

    One orthogonal ``[H, 4H]`` matrix is not four orthogonal ``[H, H]`` blocks,
    so each gate is drawn by itself.

    >>> from jax.nn.initializers import orthogonal
    >>> init_gates(orthogonal(), jax.random.key(0), 3, 3, 4, "float32").shape
    (3, 12)
    """
    keys = jax.random.split(key, num_gates)
    shape = (rows, hidden_size)
    return jnp.concatenate([draw(initializer, k, shape, dtype) for k in keys], axis=-1)


def draw(
    initializer: Initializer, key: Array, shape: tuple[int, int], dtype: DTypeLike
) -> Array:
    """Draw a matrix in float32 at least: the QR of ``orthogonal`` knows no bfloat16."""
    wide = jnp.dtype(dtype) if jnp.finfo(dtype).bits > 32 else jnp.dtype("float32")
    return initializer(key, shape, wide).astype(dtype)


def project(x: Array, w: Array, dtype: DTypeLike) -> Array:
    """``x @ w`` with the product in x's dtype and the sum in ``dtype``."""
    return jnp.matmul(x, w.astype(x.dtype), preferred_element_type=dtype)


def add_bias(z: Array, b: Array) -> Array:
    """``z + b`` with b ``[G]`` broadcast by hand, in z's dtype."""
    return z + jnp.broadcast_to(b.astype(z.dtype), z.shape)


def check_size(name: str, size: int) -> None:
    """Refuse a width below 1."""
    if size < 1:
        raise ValueError(f"{name}: expected an integer >= 1, got {size}")
