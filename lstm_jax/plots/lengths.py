"""Whether long reviews are harder than short ones."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from lstm_jax.measures import binned, equal_bins, interval, predicted
from lstm_jax.plots.judged import Judged
from lstm_jax.plots.style import (
    BLUE,
    GREY,
    VERMILLION,
    add_grid,
    add_legend,
    add_note,
    figure_of,
    new_figure,
    set_labels,
    set_title,
)

_NUM_BINS = 8


def draw_lengths(judged: Judged, summary: dict[str, Any]) -> Figure:
    """Accuracy over tokens in a review, in bins of about as many reviews each.

    Args:
      judged: the reviews.
      summary: what ``summary.json`` holds.
    """
    right = predicted(judged.logits) == judged.labels
    lengths = np.maximum(judged.lengths, 1)
    numbers, edges = equal_bins(lengths, _NUM_BINS)
    bins = binned(numbers, np.log(lengths), right, len(edges) - 1)
    low, high = interval(bins.share, bins.count)
    axes = new_figure(height=5.2).add_subplot()
    set_title(axes, f"Accuracy by length, {judged.title}", summary)
    set_labels(axes, "Tokens in the review", "Accuracy (% of reviews)")
    _use_lengths(axes)
    centre = np.exp(bins.mean)
    axes.errorbar(
        centre,
        100 * bins.share,
        yerr=100 * np.stack([bins.share - low, high - bins.share]),
        xerr=np.maximum(np.stack([centre - edges[:-1], edges[1:] - centre]), 0),
        color=BLUE,
        marker="o",
        markersize=7,
        linestyle="",
        elinewidth=2,
        capsize=4,
        label="across: lengths; up: 95 % interval",
    )
    axes.axhline(100 * right.mean(), color=GREY, linestyle=":", label="all reviews")
    if judged.max_length < lengths.max():
        name = f"cut to {judged.max_length:,} from here on"
        axes.axvline(judged.max_length, color=VERMILLION, linestyle="--", label=name)
    add_legend(axes, columns=2)
    fewest, most = bins.count.min(), bins.count.max()
    each = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    add_note(axes, f"{each} reviews at each point.")
    axes.set_ylim(top=min(100.5, axes.get_ylim()[1]))
    return figure_of(axes)


def _use_lengths(axes: Axes) -> None:
    """A logarithmic axis with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    add_grid(axes)
