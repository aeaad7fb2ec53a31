"""Initial weights as Keras draws them."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer, glorot_uniform, orthogonal
from jax.typing import DTypeLike

from lstm_jax.cells.base import Cell, Params, draw


def draw_together(
    cell: Cell,
    *,
    input_init: Initializer = glorot_uniform(),  # noqa: B008 (a pure function)
    recurrent_init: Initializer = orthogonal(),  # noqa: B008
) -> Cell:
    """``cell``, but with the weights of all gates drawn as one matrix.

    The cells draw each gate's block by itself.  Of the four blocks of one orthogonal
    matrix none is orthogonal: each leaves, on average, half of the length of h.  So a
    network begins with a shorter memory, and is safer to train without clipping.

    Args:
      cell: any cell.
      input_init: draws ``w_ih``.
      recurrent_init: draws ``w_hh``.

    Returns:
      A ``Cell`` that differs in ``init`` alone.

    Source: the initial weights of ``keras.layers.LSTM`` and ``GRU``.

    Example:
      >>> from lstm_jax import lstm
      >>> w = draw_together(lstm(4)).init(jax.random.key(0), input_size=3)["w_hh"]
      >>> bool(jnp.allclose(w @ w.T, jnp.eye(4), atol=1e-5))
      True
    """

    def init(key: Array, input_size: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw both matrices, and the rest as the cell does."""
        params = cell.init(key, input_size, dtype)
        keys = jax.random.split(jax.random.fold_in(key, 1))
        how = {"w_ih": input_init, "w_hh": recurrent_init}
        drawn = {
            name: draw(how[name], key, params[name].shape, dtype)
            for name, key in zip(how, keys, strict=True)
        }
        return params | drawn

    return cell._replace(init=init)
