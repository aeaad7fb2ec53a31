"""What happens in the first layer while it reads one review."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_jax.explanations import Reading, range_of
from lstm_jax.measures import probabilities
from lstm_jax.plots.style import (
    BLACK,
    CYCLE,
    DASHES,
    GREY,
    add_grid,
    as_written,
    figure_of,
    in_legend,
    new_figure,
    set_title,
)
from lstm_jax.shorten import shorten

# By the letters of the cells; what is not named here (the candidate g) is not drawn.
_NAMES = {
    "i": "input gate",
    "f": "forget gate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
    "c": "cell state",
    "h": "hidden state",
}
# More words than these could not be read below the picture.
_MOST_WORDS = 48
_MOST_CLASSES = 6


def draw_gates(
    short: Reading,
    summary: dict[str, Any],
    label_names: list[str],
    *,
    of: str = "one validation review",
) -> Figure:
    """Heat maps of gates and states, a column a word, below the running probability.

    Args:
      short: how the review was read.
      summary: what ``summary.json`` holds.
      label_names: one name a class.
      of: what was read, for the title.
    """
    shown = [name for name in _NAMES if name in short.gates]
    figure = new_figure(height=3.6 + 1.45 * len(shown))
    heights = [1.2, *[1.0] * len(shown)]
    axes = figure.subplots(1 + len(shown), 1, sharex=True, height_ratios=heights)
    set_title(figure, f"First layer over {of}", summary)
    words = [shorten(word) for word in short.words[:_MOST_WORDS]]
    _draw_running(axes[0], short.logits[: len(words)], label_names)
    # The same order in every panel: units alike at the last word lie together.
    order = np.argsort(short.gates["h"][-1], kind="stable")
    for row, name in zip(axes[1:], shown, strict=True):
        values = short.gates[name][: len(words)]
        # A cell may put out fewer units than it has.
        is_alike = values.shape[1] == len(order)
        _draw_map(row, (values[:, order] if is_alike else values).T, name)
    axes[-1].set_xticks(range(len(words)), words, rotation=90, fontsize=11)
    for label in axes[-1].get_xticklabels():
        label.set_parse_math(False)
    label = "Words, from the first to the last (in brackets: unknown)"
    axes[-1].set_xlabel(label, fontsize=13)
    figure.align_ylabels()
    return figure


def _draw_running(axes: Axes, logits: np.ndarray, label_names: list[str]) -> None:
    """The probability of the review up to each word."""
    chance = 100 * probabilities(logits)
    # Of many, those that are likeliest in the end.
    likeliest = np.argsort(-chance[-1], kind="stable")[:_MOST_CLASSES]
    drawn = [1] if chance.shape[1] == 2 else sorted(likeliest)
    for number, label in enumerate(drawn):
        axes.plot(
            chance[:, label],
            color=CYCLE[number],
            linestyle=DASHES[number % len(DASHES)],
            marker="o",
            markersize=4,
            linewidth=2,
            label=in_legend(label_names[label]),
        )
    axes.axhline(50, color=GREY, linestyle=":")
    axes.set_ylim(-4, 104)
    axes.set_yticks([0, 50, 100])
    axes.tick_params(labelsize=11)
    add_grid(axes)
    if chance.shape[1] == 2:
        name = f"P({label_names[1]})\nso far (%)"
        axes.set_ylabel(name, fontsize=12, parse_math=False)
    else:
        axes.set_ylabel("Probability\nso far (%)", fontsize=12)
        legend = axes.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            fontsize=11,
            frameon=False,
        )
        as_written(legend)


def _draw_map(axes: Axes, values: np.ndarray, name: str) -> None:
    """One gate or state ``[H, T]``: gates from 0 to 1, states around 0."""
    low, high = range_of(name, values)
    image = axes.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        cmap="PuOr_r" if low else "cividis",
        vmin=low,
        vmax=high,
    )
    axes.set_ylabel(f"{_NAMES[name]} {name}\n(unit)", fontsize=12)
    axes.set_yticks([0, len(values) - 1], ["1", str(len(values))])
    axes.tick_params(labelsize=11)
    bar = figure_of(axes).colorbar(image, ax=axes, pad=0.01, aspect=12)
    bar.ax.tick_params(labelsize=10, labelcolor=BLACK)
