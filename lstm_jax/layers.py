"""Whole-sequence layers built from cells: one direction, both, and stacks.

A layer is a value like a cell, one level up: pure functions over a sequence.
``stack`` of layers is a layer again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells.base import Carry, Cell, check_rate, is_one_hot
from lstm_jax.shapes import batch_shape
from lstm_jax.spread import spread_like
from lstm_jax.unroll import unroll as run_unroll


class Layer(NamedTuple):
    """Pure functions over a sequence.

    Attributes:
      init: ``(key, input_size, dtype=float32) -> params``.
      initial_carry: ``(batch_shape, dtype=float32) -> carry``.
      apply: ``(params, xs, *, carry=None, lengths=None, key=None) -> (carry, ys)``,
        xs ``[T, B, D]`` or integers ``[T, B]``, ys ``[T, B, output_size]``, 0 at
        padded steps.  ``key`` is for dropout; None leaves dropout out.
      output_size: the width of ``ys``.
    """

    init: Callable[..., Any]
    initial_carry: Callable[..., Any]
    apply: Callable[..., tuple[Any, Array]]
    output_size: int


class BothCarries(NamedTuple):
    """The last carries of a bidirectional layer."""

    forward: Carry
    backward: Carry


def one_way(
    cell: Cell,
    *,
    reverse: bool = False,
    input_dropout_rate: float = 0.0,
    recurrent_dropout_rate: float = 0.0,
    unroll: int | None = None,
    chunk_size: int | None = None,
    implementation: str = "auto",
) -> Layer:
    """A layer that runs ``cell`` over time.

    When ``apply`` is given a ``key``, the cell's own ``noise`` is applied too.

    Args:
      cell: the cell.
      reverse: from the last step to the first, see ``unroll``.
      input_dropout_rate: share of the features of ``xs`` that are dropped when
        ``apply`` is given a ``key``, the same ones at every step.
      recurrent_dropout_rate: share of the hidden state that the gates do not see,
        the same at every step.
      unroll: see ``unroll``.
      chunk_size: see ``unroll``.
      implementation: see ``unroll``.

    Raises:
      ValueError: a rate out of range.

    Source: one mask a sequence from Gal & Ghahramani (2016).

    Example:
      >>> from lstm_jax import gru
      >>> layer = one_way(gru(4), recurrent_dropout_rate=0.2)
      >>> params = layer.init(jax.random.key(0), input_size=3)
      >>> xs = jnp.ones((7, 2, 3))
      >>> carry, ys = layer.apply(params, xs, key=jax.random.key(1))
      >>> ys.shape
      (7, 2, 4)
    """
    check_rate("input_dropout_rate", input_dropout_rate)
    check_rate("recurrent_dropout_rate", recurrent_dropout_rate)
    run = partial(
        run_unroll,
        cell,
        reverse=reverse,
        unroll=unroll,
        chunk_size=chunk_size,
        implementation=implementation,
    )

    def apply(params, xs, *, carry=None, lengths=None, key=None):
        """See ``Layer``."""
        random = input_dropout_rate or recurrent_dropout_rate or cell.noise
        if key is None or not random:
            return run(params, xs, carry=carry, lengths=lengths)
        if is_one_hot(xs) and input_dropout_rate:
            raise ValueError("input_dropout_rate: expected 0 for integer xs")
        key_input, key_recurrent = jax.random.split(key)
        xs = dropout(key_input, xs, input_dropout_rate, along=(0,))
        if cell.noise is not None:
            key_recurrent, key_noise = jax.random.split(key_recurrent)
            xs = cell.noise(key_noise, xs)
        h_mask = _recurrent_mask(key_recurrent, cell, xs, recurrent_dropout_rate)
        return run(params, xs, carry=carry, lengths=lengths, h_mask=h_mask)

    return Layer(cell.init, cell.initial_carry, apply, cell.output_size)


def bidirectional(cell: Cell, **settings: Any) -> Layer:
    """A layer that runs ``cell`` both ways and puts the two outputs side by side.

    Args:
      cell: the cell.
      **settings: of ``one_way``, for both directions; each draws its own dropout.

    Returns:
      A ``Layer`` with params ``{"forward": ..., "backward": ...}``, carry
      ``BothCarries``, and ``ys [T, B, 2H]``, forward first.

    Source: Schuster & Paliwal (1997).

    Example:
      >>> from lstm_jax import lstm
      >>> layer = bidirectional(lstm(4))
      >>> params = layer.init(jax.random.key(0), input_size=3)
      >>> carry, ys = layer.apply(params, jnp.ones((7, 2, 3)))
      >>> ys.shape, carry.backward.h.shape
      ((7, 2, 8), (2, 4))
    """
    forward = one_way(cell, **settings)
    backward = one_way(cell, reverse=True, **settings)

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Any:
        """See ``Layer``."""
        key_forward, key_backward = jax.random.split(key)
        return {
            "forward": cell.init(key_forward, input_size, dtype),
            "backward": cell.init(key_backward, input_size, dtype),
        }

    def initial_carry(batch_shape, dtype: DTypeLike = jnp.float32) -> BothCarries:
        """See ``Layer``."""
        return BothCarries(
            cell.initial_carry(batch_shape, dtype),
            cell.initial_carry(batch_shape, dtype),
        )

    def apply(params, xs, *, carry=None, lengths=None, key=None):
        """See ``Layer``."""
        first, last = _one_each(carry, 2, "direction")
        keys = (None, None) if key is None else jax.random.split(key)
        run = partial(forward.apply, params["forward"], xs, lengths=lengths)
        first, ys = run(carry=first, key=keys[0])
        run = partial(backward.apply, params["backward"], xs, lengths=lengths)
        last, zs = run(carry=last, key=keys[1])
        return BothCarries(first, last), jnp.concatenate([ys, zs], axis=-1)

    return Layer(init, initial_carry, apply, 2 * cell.output_size)


def stack(
    layers: Sequence[Layer], *, dropout_rate: float = 0.0, along: tuple[int, ...] = ()
) -> Layer:
    """Layers one on another; each reads the outputs of the one below.

    Args:
      layers: from the bottom up, at least one.
      dropout_rate: share of each layer's outputs dropped on the way up (not on
        the last layer's), in [0, 1), when ``apply`` is given a ``key``.
      along: axes of the outputs ``[T, B, H]`` along which the same is dropped
        everywhere: ``(0,)`` for all steps (Gal & Ghahramani, 2016).

    Returns:
      A ``Layer`` with params ``{"layer_0": ..., "layer_1": ...}`` and a tuple of
      carries.

    Raises:
      ValueError: no layer, or a rate out of range.

    Example:
      >>> from lstm_jax import lstm
      >>> layer = stack([bidirectional(lstm(4)), one_way(lstm(5))])
      >>> params = layer.init(jax.random.key(0), input_size=3)
      >>> carries, ys = layer.apply(params, jnp.ones((7, 2, 3)))
      >>> ys.shape, len(carries)
      ((7, 2, 5), 2)
    """
    if not layers:
        raise ValueError("layers: expected at least one, got none")
    check_rate("dropout_rate", dropout_rate)
    sizes = [layer.output_size for layer in layers]

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Any:
        """See ``Layer``."""
        keys = jax.random.split(key, len(layers))
        widths = [input_size, *sizes[:-1]]
        return {
            f"layer_{n}": layer.init(k, width, dtype)
            for n, (layer, k, width) in enumerate(
                zip(layers, keys, widths, strict=True)
            )
        }

    def initial_carry(batch_shape, dtype: DTypeLike = jnp.float32) -> tuple:
        """See ``Layer``."""
        return tuple(layer.initial_carry(batch_shape, dtype) for layer in layers)

    def apply(params, xs, *, carry=None, lengths=None, key=None):
        """See ``Layer``."""
        starts = _one_each(carry, len(layers), "layer")
        carries, ys = [], xs
        for n, (layer, start) in enumerate(zip(layers, starts, strict=True)):
            key_below = key_inside = None
            if key is not None:
                key, key_below, key_inside = jax.random.split(key, 3)
            if n > 0 and key_below is not None:
                ys = dropout(key_below, ys, dropout_rate, along=along)
            last, ys = layer.apply(
                params[f"layer_{n}"], ys, carry=start, lengths=lengths, key=key_inside
            )
            carries.append(last)
        return tuple(carries), ys

    return Layer(init, initial_carry, apply, sizes[-1])


def _one_each(carry: Any, count: int, part: str) -> Any:
    """The carries to start from, one a part, or None for each."""
    carries = (None,) * count if carry is None else carry
    if len(carries) != count:
        raise ValueError(f"carry: expected {count}, one a {part}, got {len(carries)}")
    return carries


def dropout(key: Array, x: Array, rate: float, *, along: tuple[int, ...] = ()) -> Array:
    """Zero a share ``rate`` of ``x`` and scale up the rest (Srivastava et al., 2014).

    Args:
      key: of the draw.
      x: any shape.
      rate: in [0, 1).
      along: axes along which the same is dropped everywhere; -1 is the last.

    Raises:
      ValueError: x has no such axis.

    >>> dropout(jax.random.key(0), jnp.ones(3), 0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    if rate == 0:
        return x
    for axis in along:
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"along: expected axes of {x.shape}, got {axis}")
    shared = {axis % x.ndim for axis in along}
    shape = [1 if axis in shared else size for axis, size in enumerate(x.shape)]
    kept = jax.random.bernoulli(key, 1 - rate, shape)
    kept = spread_like(kept, x, whole=shared)
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))


def _recurrent_mask(key: Array, cell: Cell, xs: Array, rate: float) -> Array | None:
    if rate == 0:
        return None
    return dropout(key, jnp.ones((*batch_shape(xs), cell.output_size)), rate)
