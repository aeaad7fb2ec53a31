"""Whether what is said to be likely is as often true."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_jax.measures import (
    Bins,
    calibration,
    calibration_error,
    chance_bins,
    chances,
    interval,
)
from lstm_jax.plots.judged import Judged
from lstm_jax.plots.style import (
    BLUE,
    GREY,
    add_grid,
    add_legend,
    add_note,
    new_figure,
    set_labels,
    set_title,
)

NUM_BINS = 10


def draw_calibration(judged: Judged, summary: dict[str, Any]) -> Figure:
    """Observed share over predicted probability, above the number of reviews.

    Args:
      judged: the reviews.
      summary: what ``summary.json`` holds.
    """
    chance, came_true = chances(judged.logits, judged.labels)
    figure = new_figure(height=6.4)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    set_title(figure, f"Calibration, {judged.title}", summary)
    _draw_reliability(upper, calibration(chance, came_true, NUM_BINS))
    _draw_counts(lower, chance)
    add_legend(lower, handles=upper.get_legend_handles_labels()[0])
    event, outcome = _event(judged.label_names)
    set_labels(upper, "", f"{outcome} (% of reviews)")
    set_labels(lower, f"Predicted probability of {event} (%)", "Reviews")
    lower.set_xlim(-1, 101)
    figure.align_ylabels()
    return figure


def _event(label_names: list[str]) -> tuple[str, str]:
    """What the probability is of, as ``measures.chances`` has it."""
    if len(label_names) == 2:
        return repr(label_names[1]), f"Labelled {label_names[1]!r}"
    return "the likeliest class", "Right"


def _draw_reliability(axes: Axes, bins: Bins) -> None:
    low, high = interval(bins.share, bins.count)
    axes.plot([0, 100], [0, 100], color=GREY, linestyle=":", label="perfect")
    axes.errorbar(
        100 * bins.mean,
        100 * bins.share,
        yerr=100 * np.stack([bins.share - low, high - bins.share]),
        color=BLUE,
        marker="o",
        markersize=7,
        linewidth=2,
        capsize=4,
        label="this run; 95 % intervals",
    )
    axes.set_ylim(-2, 102)
    add_grid(axes)
    error = 100 * calibration_error(bins)
    add_note(axes, f"Expected calibration error: {error:.1f} percentage points.")


def _draw_counts(axes: Axes, chance: np.ndarray) -> None:
    counts = np.bincount(chance_bins(chance, NUM_BINS), minlength=NUM_BINS)
    width = 100 / NUM_BINS
    bars = axes.bar(
        *(width * np.arange(NUM_BINS), counts, width),
        align="edge",
        color=BLUE,
        edgecolor="white",
    )
    axes.bar_label(bars, [f"{count:,}" for count in counts], fontsize=10)
    axes.set_ylim(0, 1.25 * counts.max())
    add_grid(axes)
