"""Flax NNX: the cells for ``nnx.RNN`` and ``nnx.Bidirectional``.

Nothing is computed here.  The attributes are the parameters of the core, so that
converted weights drop in: ``nnx.update(cell, params)``.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from lstm_jax.cells import Cell, gru, lstm, rnn
from lstm_jax.cells.base import Carry, widest
from lstm_jax.shapes import check_params

MakeCell = Callable[[int], Cell]


class RecurrentCell(nnx.RNNCellBase):
    """One of our cells as an NNX cell.

    What ``cell.noise`` draws is not drawn here (``zoneout_lstm`` takes the mean, in
    training too); ``one_way`` and ``stack`` do.

    Args:
      in_features: ``D``.
      hidden_features: ``H``.
      cell: what makes the cell: ``lstm``, ``gru``, ``partial(lstm, forget_bias=0.0)``.
      param_dtype: of the parameters; the carry is float32 at least.
      rngs: the stream "params" is read.

    Example:
      >>> import jax
      >>> cell = LSTMCell(3, 4, rngs=nnx.Rngs(0))
      >>> xs = jax.random.normal(jax.random.key(0), (2, 7, 3))  # [B, T, D]
      >>> rnn = nnx.RNN(cell, return_carry=True)
      >>> carry, ys = rnn(xs, seq_lengths=jnp.array([7, 2]))
      >>> ys.shape, carry.c.shape, cell.w_hh.shape
      ((2, 7, 4), (2, 4), (4, 16))
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        cell: MakeCell = lstm,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        """Draw the parameters."""
        self.hidden_features = hidden_features
        self.cell = cell
        self.param_dtype = param_dtype
        params = cell(hidden_features).init(rngs.params(), in_features, param_dtype)
        self.names = tuple(params)
        for name, value in params.items():
            setattr(self, name, nnx.Param(value))

    def __call__(self, carry: Carry, inputs: Array) -> tuple[Carry, Array]:
        """One step: inputs ``[B, D]`` to the next carry and y ``[B, H]``."""
        params = {name: getattr(self, name)[...] for name in self.names}
        cell = self.cell(self.hidden_features)
        check_params(cell, params, inputs)  # nnx.update takes arrays of any shape
        return cell.step(params, carry, inputs)

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> Carry:
        """Zeros, for inputs of the shape ``[B, D]``; nothing random is read."""
        del rngs, carry_init
        dtype = widest(self.param_dtype, jnp.float32)
        return self.cell(self.hidden_features).initial_carry(input_shape[:-1], dtype)

    @property
    def num_feature_axes(self) -> int:
        """Inputs have one axis of features."""
        return 1


class LSTMCell(RecurrentCell):
    """``RecurrentCell`` of ``lstm``."""


class GRUCell(RecurrentCell):
    """``RecurrentCell`` of ``gru``."""

    def __init__(self, *args: Any, cell: MakeCell = gru, **kwargs: Any) -> None:
        """Draw the parameters."""
        super().__init__(*args, cell=cell, **kwargs)


class RNNCell(RecurrentCell):
    """``RecurrentCell`` of ``rnn``."""

    def __init__(self, *args: Any, cell: MakeCell = rnn, **kwargs: Any) -> None:
        """Draw the parameters."""
        super().__init__(*args, cell=cell, **kwargs)
