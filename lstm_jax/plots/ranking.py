"""How well the scores put the reviews of a class before the others."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_jax.measures import Curve, log_odds, precision_recall, roc
from lstm_jax.plots.judged import Judged
from lstm_jax.plots.style import (
    CYCLE,
    DASHES,
    GREY,
    add_grid,
    add_legend,
    add_note,
    figure_of,
    in_legend,
    new_figure,
    set_labels,
    set_title,
)

# Lines that can be told apart.
_MOST_CLASSES = 12


def draw_roc(judged: Judged, summary: dict[str, Any]) -> Figure:
    """Positives found over negatives taken for positive, at every threshold.

    Two classes make one curve, more make one for each class against the rest.

    Args:
      judged: the reviews.
      summary: what ``summary.json`` holds.
    """
    axes = _blank(f"ROC, {judged.title}", summary)
    set_labels(axes, "False positive rate (%)", "True positive rate (%)")
    axes.plot([0, 100], [0, 100], color=GREY, linestyle=":", label="chance")
    _draw_classes(axes, judged, roc, "area")
    return figure_of(axes)


def draw_precision_recall(judged: Judged, summary: dict[str, Any]) -> Figure:
    """Precision over recall; the arguments are those of ``draw_roc``."""
    axes = _blank(f"Precision and recall, {judged.title}", summary)
    set_labels(axes, "Recall (%)", "Precision (%)")
    if len(judged.label_names) == 2:
        share = 100 * (judged.labels == 1).mean()
        axes.plot([0, 100], [share] * 2, color=GREY, linestyle=":", label="chance")
    _draw_classes(axes, judged, precision_recall, "mean precision")
    return figure_of(axes)


def _blank(what: str, summary: dict[str, Any]) -> Axes:
    """A square from 0 to 100 %."""
    axes = new_figure(height=6.0).add_subplot()
    set_title(axes, what, summary)
    axes.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
    add_grid(axes)
    return axes


def _draw_classes(
    axes: Axes,
    judged: Judged,
    curve: Callable[[np.ndarray, np.ndarray], Curve | None],
    area: str,
) -> None:
    """A line for each class that has any reviews, or the most frequent of many."""
    lines = curves(judged, curve)
    for number, (label, line) in enumerate(lines.items()):
        axes.plot(
            100 * line.x,
            100 * line.y,
            color=CYCLE[number % len(CYCLE)],
            linestyle=DASHES[number // len(CYCLE) % len(DASHES)],
            linewidth=2,
            label=in_legend(f"{judged.label_names[label]}: {area} {line.area:.4f}"),
        )
    add_legend(axes, columns=2)
    if not lines:
        add_note(axes, "No curve: all reviews are of one class.")
    elif judged.num_classes > _MOST_CLASSES:
        add_note(
            axes, f"The most frequent {len(lines)} of {judged.num_classes} classes."
        )


def curves(
    judged: Judged, curve: Callable[[np.ndarray, np.ndarray], Curve | None]
) -> dict[int, Curve]:
    """The curves that are drawn, by class; none where one side has no reviews.

    Args:
      judged: the reviews.
      curve: of whether each is of a class, and how sure the model is that it is.
    """
    counts = np.bincount(judged.labels, minlength=len(judged.label_names))
    order = np.argsort(-counts, kind="stable")[:_MOST_CLASSES]
    drawn = sorted(order.tolist()) if len(counts) > 2 else [1]
    found = {n: curve(judged.labels == n, log_odds(judged.logits, n)) for n in drawn}
    return {n: line for n, line in found.items() if line is not None}
