"""Flax Linen: the cells for ``nn.RNN``, and layers that run them our own way.

Nothing is computed here.  Parameters are those of the core, so that converted weights
drop in: ``{"params": params_of_a_cell}`` for a cell, ``{"params": params_of_a_stack}``
for a layer.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells import Cell, gru, lstm, rnn
from lstm_jax.cells.base import Carry, is_one_hot, widest
from lstm_jax.layers import Layer, bidirectional, one_way, stack

MakeCell = Callable[[int], Cell]


class RecurrentCell(nn.RNNCellBase):
    """One of our cells as a Linen cell, for ``nn.RNN`` and ``nn.Bidirectional``.

    What ``cell.noise`` draws is not drawn here (``zoneout_lstm`` takes the mean, in
    training too); ``Recurrent`` draws it.

    Attributes:
      features: ``H``.
      cell: what makes the cell: ``lstm``, ``gru``, ``partial(lstm, forget_bias=0.0)``.
      param_dtype: of the parameters; the carry is float32 at least.

    Example:
      >>> rnn = nn.RNN(RecurrentCell(4, cell=gru), return_carry=True)
      >>> xs = jax.random.normal(jax.random.key(0), (2, 7, 3))  # [B, T, D]
      >>> (carry, ys), variables = rnn.init_with_output(jax.random.key(1), xs)
      >>> ys.shape, carry.h.shape, sorted(variables["params"]["cell"])
      ((2, 7, 4), (2, 4), ['b', 'b_hn', 'w_hh', 'w_ih'])
    """

    features: int
    cell: MakeCell = lstm
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, carry: Carry, inputs: Array) -> tuple[Carry, Array]:
        """One step: inputs ``[B, D]`` to the next carry and y ``[B, H]``.

        Raises:
          ValueError: the inputs are integers.
        """
        if is_one_hot(inputs):  # one number says nothing of how many there are
            raise ValueError(
                f"inputs: expected floats [B, D], got {inputs.dtype} "
                f"{list(inputs.shape)}"
            )
        made = self.cell(self.features)
        params = _declare(self, made.init, inputs.shape[-1], self.param_dtype)
        return made.step(params, carry, inputs)

    @nn.nowrap
    def initialize_carry(self, rng: Array, input_shape: tuple[int, ...]) -> Carry:
        """Zeros, for inputs of the shape ``[B, D]``; ``rng`` is not read."""
        del rng
        dtype = widest(self.param_dtype, jnp.float32)
        return self.cell(self.features).initial_carry(input_shape[:-1], dtype)

    @property
    def num_feature_axes(self) -> int:
        """Inputs have one axis of features."""
        return 1


class LSTMCell(RecurrentCell):
    """``RecurrentCell`` of ``lstm``."""

    cell: MakeCell = lstm


class GRUCell(RecurrentCell):
    """``RecurrentCell`` of ``gru``."""

    cell: MakeCell = gru


class RNNCell(RecurrentCell):
    """``RecurrentCell`` of ``rnn``."""

    cell: MakeCell = rnn


class Recurrent(nn.Module):
    """Layers of a cell over whole sequences, which have the batch first here.

    Attributes:
      features: ``H``, of one direction.
      num_layers: layers, each of which reads the outputs of the one below.
      bidirectional: both ways in each layer; the outputs are ``2H`` wide.
      dropout_rate: share of the outputs dropped between layers, in training, with the
        rng stream "dropout".
      implementation: see ``lstm_jax.unroll``.
      cell: what makes the cell, as in ``RecurrentCell``.
      param_dtype: of the parameters; the carry is float32 at least.

    Example:
      >>> layer = LSTM(features=4, num_layers=2, bidirectional=True)
      >>> xs = jax.random.normal(jax.random.key(0), (2, 7, 3))  # [B, T, D]
      >>> lengths = jnp.array([7, 2])
      >>> variables = layer.init(jax.random.key(1), xs)
      >>> carry, ys = layer.apply(variables, xs, lengths)
      >>> ys.shape, len(carry), carry[0].forward.h.shape
      ((2, 7, 8), 2, (2, 4))
    """

    features: int
    num_layers: int = 1
    bidirectional: bool = False
    dropout_rate: float = 0.0
    implementation: str = "auto"
    cell: MakeCell = lstm
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        xs: Array,
        lengths: Array | None = None,
        *,
        carry: Any = None,
        train: bool = False,
    ) -> tuple[Any, Array]:
        """Run over ``xs``.

        Args:
          xs: ``[B, T, D]``.
          lengths: integers ``[B]``, the real steps, which come first; None: all.
          carry: to start from, as ``initial_carry`` gives it; None starts from zeros.
          train: apply dropout, and what a cell draws at random.

        Returns:
          The last carry, a tuple with one a layer, and ``ys [B, T, H]`` (``2H`` both
          ways).  At padded steps the carry is held and ``ys`` is 0.

        Raises:
          ValueError: a shape that does not fit: "expected ..., got ...".
        """
        self._check(xs, carry)
        layer = self._layer()
        params = _declare(self, layer.init, xs.shape[-1], self.param_dtype)
        dropped = self.dropout_rate > 0 and self.num_layers > 1
        random = dropped or self.cell(self.features).noise is not None
        key = self.make_rng("dropout") if train and random else None
        time_major = jnp.swapaxes(xs, 0, 1)
        how = {"carry": carry, "lengths": lengths, "key": key}
        carry, ys = layer.apply(params, time_major, **how)
        return carry, jnp.swapaxes(ys, 0, 1)

    @nn.nowrap
    def initial_carry(self, batch_size: int) -> Any:
        """Zeros for a batch, one carry a layer."""
        dtype = widest(self.param_dtype, jnp.float32)
        return self._layer().initial_carry((batch_size,), dtype)

    @nn.nowrap
    def _layer(self) -> Layer:
        build = bidirectional if self.bidirectional else one_way
        layer = build(self.cell(self.features), implementation=self.implementation)
        return stack([layer] * self.num_layers, dropout_rate=self.dropout_rate)

    @nn.nowrap
    def _check(self, xs: Array, carry: Any) -> None:
        if xs.ndim != 3 or is_one_hot(xs):
            raise ValueError(
                f"xs: expected floats [B, T, D], got {xs.dtype} {list(xs.shape)}"
            )
        if carry is None:
            return
        expected = jax.eval_shape(lambda: self.initial_carry(xs.shape[0]))
        wanted, got = (jax.tree.map(jnp.shape, tree) for tree in (expected, carry))
        if wanted != got:
            raise ValueError(f"carry: expected the shapes {wanted}, got {got}")


class LSTM(Recurrent):
    """``Recurrent`` layers of ``lstm``."""

    cell: MakeCell = lstm


class GRU(Recurrent):
    """``Recurrent`` layers of ``gru``."""

    cell: MakeCell = gru


class RNN(Recurrent):
    """``Recurrent`` layers of ``rnn``, the Elman network."""

    cell: MakeCell = rnn


def _declare(
    module: nn.Module, init: Callable[..., Any], input_size: int, dtype: DTypeLike
) -> dict[str, Any]:
    """The params of a cell or layer, each under its own name in the module."""
    drawn: dict[str, Any] = {}

    def pick(key: Array, name: str) -> Any:
        """The first that is asked for draws them all; those there are, none."""
        if module.has_variable("params", name):
            return jax.tree.map(jnp.zeros_like, shapes[name])  # Flax compares shapes
        if not drawn:
            drawn.update(init(key, input_size, dtype))
        return drawn[name]

    shapes = jax.eval_shape(lambda key: init(key, input_size, dtype), jax.random.key(0))
    return {name: module.param(name, pick, name) for name in shapes}
