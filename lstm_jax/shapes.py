"""What a run is given has to fit together; what does not is told."""

from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lstm_jax.cells.base import Carry, Cell, Params, is_one_hot, multiply_input

# By ``init``, then by the number of features.
_SHAPES: WeakKeyDictionary[Any, dict[int, dict[str, Any]]] = WeakKeyDictionary()


def batch_shape(xs: Array) -> tuple[int, ...]:
    """B, of ``xs [T, B, D]`` or of integers ``[T, B]``.

    >>> batch_shape(jnp.ones((7, 2, 3))), batch_shape(jnp.ones((7, 2), int))
    ((2,), (2,))
    """
    return xs.shape[1:] if is_one_hot(xs) else xs.shape[1:-1]


def check_inputs(
    cell: Cell, xs: Array, lengths: Array | None, h_mask: Array | None = None
) -> None:
    """Check what changes from batch to batch.

    Raises:
      ValueError: one does not fit ``xs``, or ``xs`` has too few dimensions.

    Example:
      >>> from lstm_jax import lstm
      >>> check_inputs(lstm(4), jnp.ones((7, 2, 3)), jnp.ones(3, int))
      Traceback (most recent call last):
      ValueError: lengths: expected the batch shape of xs, (2,), got (3,)
    """
    if xs.ndim < (1 if is_one_hot(xs) else 2):
        raise ValueError(
            f"xs: expected shape [T, B, D], or integers [T, B], got {xs.shape}"
        )
    hidden_shape = (*batch_shape(xs), cell.output_size)
    if h_mask is not None and h_mask.shape != hidden_shape:
        raise ValueError(
            f"h_mask: expected the shape of h, {hidden_shape}, got {h_mask.shape}"
        )
    check_lengths(xs, lengths)


def check_lengths(xs: Array, lengths: Array | None) -> None:
    """Check that there is an integer for each sequence.

    Raises:
      ValueError: they are no integers, or of another shape.
    """
    if lengths is None:
        return
    if not hasattr(lengths, "shape"):
        raise ValueError(
            f"lengths: expected an array of integers, got a {type(lengths).__name__}"
        )
    if lengths.shape != batch_shape(xs):
        raise ValueError(
            f"lengths: expected the batch shape of xs, {batch_shape(xs)}, "
            f"got {lengths.shape}"
        )
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"lengths: expected integers, got {lengths.dtype}")


def check_carry(cell: Cell, xs: Array, carry: Carry) -> None:
    """Check that a carry is one of the cell, of as many rows as ``xs``.

    Raises:
      ValueError: it has other shapes, or is none of floats.
    """
    expected = jax.eval_shape(lambda: cell.initial_carry(batch_shape(xs)))
    wanted, got = (jax.tree.map(jnp.shape, tree) for tree in (expected, carry))
    # A tuple equals a named one of the same shapes; the cell asks it for names.
    if wanted != got or jax.tree.structure(expected) != jax.tree.structure(carry):
        raise ValueError(f"carry: expected the shapes {wanted}, got {got}")
    check_floats(carry)


def check_floats(carry: Carry) -> None:
    """Check that a carry can hold sums.

    Raises:
      ValueError: they would be rounded.
    """
    for leaf in jax.tree.leaves(carry):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"carry: expected floats, got {leaf.dtype}")


def check_params(cell: Cell, params: Params, xs: Array) -> None:
    """Check that parameters are of the shapes that ``cell.init`` makes.

    Those of another cell may be multiplied and added, too: an axis of one stands for
    any.  A cell whose ``project`` is its own may read more than ``init`` makes, and
    rows of ``w_ih`` that are no features.

    Raises:
      ValueError: they are not, or ``xs`` has another width.

    Example:
      >>> from lstm_jax import lstm, rnn
      >>> params = rnn(4).init(jax.random.key(0), input_size=3)
      >>> check_params(lstm(4), params, jnp.ones((7, 2, 3)))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ValueError: params: expected b (16,), w_hh (4, 16), w_ih (3, 16), got b (4,), ...
    """
    is_own = cell.project is not multiply_input
    if "w_ih" not in params and is_own:
        return
    got = {name: jax.tree.map(np.shape, leaf) for name, leaf in params.items()}
    wanted = _shapes(cell, got["w_ih"][0] if "w_ih" in got else xs.shape[-1])
    if not wanted.items() <= got.items() or not (is_own or got.keys() <= wanted.keys()):
        raise ValueError(
            f"params: expected {tell_shapes(wanted)}, got {tell_shapes(got)}"
        )
    if cell.noise is not None:  # which may stand beside the features
        return
    if not is_own or not _reads(cell, params, xs):
        check_width(params, xs)


def check_width(params: Params, xs: Array) -> None:
    """Check that ``w_ih`` has a row for each feature of ``xs``.

    Raises:
      ValueError: it has more or fewer.

    Example:
      >>> check_width({"w_ih": jnp.ones((3, 8))}, jnp.ones((7, 2, 4)))
      Traceback (most recent call last):
      ValueError: xs: expected 3 features, the rows of w_ih, got shape (7, 2, 4)
    """
    rows = params["w_ih"].shape[0]
    if not is_one_hot(xs) and xs.shape[-1] != rows:
        raise ValueError(
            f"xs: expected {rows} features, the rows of w_ih, got shape {xs.shape}"
        )


def _shapes(cell: Cell, num_features: int) -> dict[str, Any]:
    """Of the parameters that ``init`` makes, by name."""
    known = _SHAPES.setdefault(cell.init, {})
    if num_features not in known:
        init = partial(cell.init, input_size=num_features)
        made = jax.eval_shape(init, jax.random.key(0))
        known[num_features] = {k: jax.tree.map(np.shape, v) for k, v in made.items()}
    return known[num_features]


def tell_shapes(shapes: dict[str, Any]) -> str:
    """In the order of their names.

    >>> tell_shapes({"w_ih": (3, 16), "b": (16,)})
    'b (16,), w_ih (3, 16)'
    """
    return ", ".join(f"{name} {shapes[name]}" for name in sorted(shapes))


def _reads(cell: Cell, params: Params, xs: Array) -> bool:
    """Whether a ``project`` of its own takes features of that width."""
    dtype = params["w_ih"].dtype
    try:
        jax.eval_shape(lambda params, xs: cell.project(params, xs, dtype), params, xs)
    except (TypeError, ValueError):
        return False
    return True
