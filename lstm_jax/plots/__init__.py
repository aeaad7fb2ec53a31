"""Pictures of a finished run, drawn from the files in its folder."""

from lstm_jax.plots.calibration import draw_calibration as draw_calibration
from lstm_jax.plots.confusion import draw_confusion as draw_confusion
from lstm_jax.plots.findings import Findings as Findings
from lstm_jax.plots.findings import load_findings as load_findings
from lstm_jax.plots.gates import draw_gates as draw_gates
from lstm_jax.plots.lengths import draw_lengths as draw_lengths
from lstm_jax.plots.ranking import draw_precision_recall as draw_precision_recall
from lstm_jax.plots.ranking import draw_roc as draw_roc
from lstm_jax.plots.training import draw_accuracy as draw_accuracy
from lstm_jax.plots.training import draw_learning_rate as draw_learning_rate
from lstm_jax.plots.training import draw_loss as draw_loss
from lstm_jax.plots.training import steps_per_epoch as steps_per_epoch
from lstm_jax.plots.words import draw_words as draw_words
from lstm_jax.plots.write import draw_findings as draw_findings
from lstm_jax.plots.write import write_plots as write_plots
