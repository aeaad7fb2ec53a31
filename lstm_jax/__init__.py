"""Recurrent cells as pure functions under ``jax.lax.scan``, and a text classifier.

Names are imported when they are first used: that of a cell imports jax and nothing
heavier, ``Predictor`` and ``load`` also the tokenizer, and none of them Flax.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lstm_jax.version import __version__ as __version__

if TYPE_CHECKING:
    from lstm_jax.cells import CELLS as CELLS
    from lstm_jax.cells import Cell as Cell
    from lstm_jax.cells import GRUCarry as GRUCarry
    from lstm_jax.cells import LSTMCarry as LSTMCarry
    from lstm_jax.cells import RNNCarry as RNNCarry
    from lstm_jax.cells import coupled_lstm as coupled_lstm
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
    from lstm_jax.inference import Predictor as Predictor
    from lstm_jax.inference import load as load
    from lstm_jax.layers import BothCarries as BothCarries
    from lstm_jax.layers import Layer as Layer
    from lstm_jax.layers import bidirectional as bidirectional
    from lstm_jax.layers import one_way as one_way
    from lstm_jax.layers import stack as stack
    from lstm_jax.min_lstm import MinLSTMCarry as MinLSTMCarry
    from lstm_jax.min_lstm import min_lstm as min_lstm
    from lstm_jax.min_lstm import min_lstm_cell as min_lstm_cell
    from lstm_jax.min_lstm import min_lstm_unroll as min_lstm_unroll
    from lstm_jax.unroll import choose_implementation as choose_implementation
    from lstm_jax.unroll import time_mask as time_mask
    from lstm_jax.unroll import unroll as unroll

# Which module has which of the names above.
_NAMES = {
    "cells": (
        *("CELLS", "Cell", "GRUCarry", "LSTMCarry", "RNNCarry", "coupled_lstm"),
        *("gru", "gru_cell", "layer_norm_lstm", "lstm", "lstm_cell", "lstmp"),
        *("peephole_lstm", "rnn", "rnn_cell", "zoneout_lstm"),
    ),
    "inference": ("Predictor", "load"),
    "layers": ("BothCarries", "Layer", "bidirectional", "one_way", "stack"),
    "min_lstm": ("MinLSTMCarry", "min_lstm", "min_lstm_cell", "min_lstm_unroll"),
    "unroll": ("choose_implementation", "time_mask", "unroll"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is asked for, once."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All names, also of what is not yet imported."""
    return sorted({*globals(), *_MODULES})


class _Package(ModuleType):
    """A package in which a name stays that of a function.

    Python would set ``lstm_jax.unroll`` to the module of that name, as soon as it is
    imported.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
