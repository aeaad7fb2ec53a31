"""Recurrent cells as pure functions under ``jax.lax.scan``, and a text classifier.

The import needs jax and nothing heavier; ``Predictor``, ``Ensemble`` and ``load``,
which need the tokenizer too, are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from lstm_jax.cells import CELLS as CELLS
from lstm_jax.cells import Cell as Cell
from lstm_jax.cells import GRUCarry as GRUCarry
from lstm_jax.cells import LSTMCarry as LSTMCarry
from lstm_jax.cells import RNNCarry as RNNCarry
from lstm_jax.cells import coupled_lstm as coupled_lstm
from lstm_jax.cells import draw_together as draw_together
from lstm_jax.cells import gru as gru
from lstm_jax.cells import gru_cell as gru_cell
from lstm_jax.cells import layer_norm_lstm as layer_norm_lstm
from lstm_jax.cells import lstm as lstm
from lstm_jax.cells import lstm_cell as lstm_cell
from lstm_jax.cells import lstmp as lstmp
from lstm_jax.cells import peephole_lstm as peephole_lstm
from lstm_jax.cells import rnn as rnn
from lstm_jax.cells import rnn_cell as rnn_cell
from lstm_jax.cells import zoneout_lstm as zoneout_lstm
from lstm_jax.kernels import choose_implementation as choose_implementation
from lstm_jax.layers import BothCarries as BothCarries
from lstm_jax.layers import Layer as Layer
from lstm_jax.layers import bidirectional as bidirectional
from lstm_jax.layers import one_way as one_way
from lstm_jax.layers import stack as stack
from lstm_jax.min_lstm import MinLSTMCarry as MinLSTMCarry
from lstm_jax.min_lstm import min_lstm as min_lstm
from lstm_jax.min_lstm import min_lstm_cell as min_lstm_cell
from lstm_jax.min_lstm import min_lstm_unroll as min_lstm_unroll
from lstm_jax.unroll import time_mask as time_mask
from lstm_jax.unroll import trace as trace
from lstm_jax.unroll import unroll as unroll
from lstm_jax.version import __version__ as __version__

if TYPE_CHECKING:
    from lstm_jax.ensemble import Ensemble as Ensemble
    from lstm_jax.inference import Predictor as Predictor
    from lstm_jax.inference import load as load

# What is imported only when it is used, and from where.
_LATER = {"Ensemble": "ensemble", "Predictor": "inference", "load": "inference"}


def __getattr__(name: str) -> Any:
    """What is imported only when it is used."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
