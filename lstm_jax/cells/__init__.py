"""The cells, one file each, and the registry that everything else reads."""

from lstm_jax.cells.base import Cell as Cell
from lstm_jax.cells.coupled_lstm import coupled_lstm as coupled_lstm
from lstm_jax.cells.gru import GRUCarry as GRUCarry
from lstm_jax.cells.gru import gru as gru
from lstm_jax.cells.gru import gru_cell as gru_cell
from lstm_jax.cells.layer_norm_lstm import layer_norm_lstm as layer_norm_lstm
from lstm_jax.cells.lstm import LSTMCarry as LSTMCarry
from lstm_jax.cells.lstm import lstm as lstm
from lstm_jax.cells.lstm import lstm_cell as lstm_cell
from lstm_jax.cells.lstmp import lstmp as lstmp
from lstm_jax.cells.peephole_lstm import peephole_lstm as peephole_lstm
from lstm_jax.cells.rnn import RNNCarry as RNNCarry
from lstm_jax.cells.rnn import rnn as rnn
from lstm_jax.cells.rnn import rnn_cell as rnn_cell
from lstm_jax.cells.together import draw_together as draw_together
from lstm_jax.cells.zoneout_lstm import zoneout_lstm as zoneout_lstm

# A config's model.cell is a key of this table; the contract tests run over it.
CELLS = {
    "lstm": lstm,
    "gru": gru,
    "rnn": rnn,
    "coupled_lstm": coupled_lstm,
    "layer_norm_lstm": layer_norm_lstm,
    "lstmp": lstmp,
    "peephole_lstm": peephole_lstm,
    "zoneout_lstm": zoneout_lstm,
}
