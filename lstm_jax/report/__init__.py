"""One page about a finished run, which holds everything that it shows."""

from lstm_jax.report.write import write_report as write_report
