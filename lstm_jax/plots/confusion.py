"""Which classes are taken for which."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lstm_jax.measures import confusion, predicted
from lstm_jax.plots.judged import Judged
from lstm_jax.plots.style import new_figure, set_labels, set_title

# Numbers in more cells than these could not be read.
_MOST_NUMBERED = 10
# Names of more classes lie one on another: every second, third, ... is written.
_MOST_NAMED = 20


def draw_confusion(judged: Judged, summary: dict[str, Any]) -> Figure:
    """Counts of each true and predicted class, and shares of the true class.

    Args:
      judged: the reviews.
      summary: what ``summary.json`` holds.
    """
    size = len(judged.label_names)
    counts = confusion(judged.labels, predicted(judged.logits), size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(height=min(5.2 + 0.3 * max(size - 3, 0), 9.0))
    axes = figure.add_subplot()
    set_title(axes, f"Confusion matrix, {judged.title}", summary)
    set_labels(axes, "Predicted class", "True class")
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    percent = PercentFormatter(1.0, symbol="")
    bar = figure.colorbar(image, ax=axes, format=percent, fraction=0.046, pad=0.04)
    bar.set_label("Share of the true class (%)", fontsize=13)
    bar.ax.tick_params(labelsize=12)
    rotation = 0 if size <= 4 else 60
    named = range(0, size, -(-size // _MOST_NAMED))
    names = [judged.label_names[n] for n in named]
    axes.set_xticks(named, names, rotation=rotation, fontsize=12)
    axes.set_yticks(named, names, fontsize=12)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    if size <= _MOST_NUMBERED:
        _write_numbers(axes, counts, shares)
    return figure


def _write_numbers(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """The count in each cell, its share below it."""
    fontsize = float(np.interp(len(counts), [2, 10], [16, 7]))
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            *(column, row, f"{count:,}\n{share:.1%}"),
            ha="center",
            va="center",
            fontsize=fontsize,
            color="white" if share > 0.6 else "black",
        )
