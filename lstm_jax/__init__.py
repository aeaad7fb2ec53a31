"""Recurrent cells as pure functions under ``jax.lax.scan``, and a text classifier.

Importing this package imports jax and nothing heavier: no Flax, no data library.
"""

from lstm_jax.cells import CELLS as CELLS
from lstm_jax.cells import Cell as Cell
from lstm_jax.cells import GRUCarry as GRUCarry
from lstm_jax.cells import LSTMCarry as LSTMCarry
from lstm_jax.cells import RNNCarry as RNNCarry
from lstm_jax.cells import gru as gru
from lstm_jax.cells import gru_cell as gru_cell
from lstm_jax.cells import lstm as lstm
from lstm_jax.cells import lstm_cell as lstm_cell
from lstm_jax.cells import rnn as rnn
from lstm_jax.cells import rnn_cell as rnn_cell
from lstm_jax.layers import BothCarries as BothCarries
from lstm_jax.layers import Layer as Layer
from lstm_jax.layers import bidirectional as bidirectional
from lstm_jax.layers import one_way as one_way
from lstm_jax.layers import stack as stack
from lstm_jax.unroll import time_mask as time_mask
from lstm_jax.unroll import unroll as unroll
from lstm_jax.version import __version__ as __version__
