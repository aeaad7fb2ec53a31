"""The cells, one file each, and the registry that everything else reads."""

from lstm_jax.cells.base import Cell as Cell
from lstm_jax.cells.gru import GRUCarry as GRUCarry
from lstm_jax.cells.gru import gru as gru
from lstm_jax.cells.gru import gru_cell as gru_cell
from lstm_jax.cells.lstm import LSTMCarry as LSTMCarry
from lstm_jax.cells.lstm import lstm as lstm
from lstm_jax.cells.lstm import lstm_cell as lstm_cell
from lstm_jax.cells.rnn import RNNCarry as RNNCarry
from lstm_jax.cells.rnn import rnn as rnn
from lstm_jax.cells.rnn import rnn_cell as rnn_cell

# A config's model.cell is a key of this table; the contract tests run over it.
CELLS = {"lstm": lstm, "gru": gru, "rnn": rnn}
