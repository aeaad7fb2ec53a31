"""The vocabulary emotion distribution: what each word says, by how often it stands."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from lstm_jax.measures import log_odds
from lstm_jax.plots.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    add_grid,
    add_legend,
    add_note,
    new_figure,
    set_labels,
    set_title,
)
from lstm_jax.shorten import shorten

# A word that is seen less often has learned little, and its place is mostly luck.
FEWEST_TO_NAME = 20
_NUM_NAMED = 12  # of each sign
_SPACING = 0.04  # between two names, of the height of the axes
_LINE = {
    "arrowstyle": "-",
    "color": GREY,
    "alpha": 0.6,
    "linewidth": 0.7,
    "relpos": (0.0, 0.5),
    "shrinkA": 0,
    "shrinkB": 3,
}


class Words(NamedTuple):
    """The words that stand in the train reviews.

    Attributes:
      names: as the vocabulary has them.
      counts: int ``[W]``, how often each stands there.
      sentiments: ``[W]``, the log-odds of class 1 for the word alone.
    """

    names: list[str]
    counts: np.ndarray
    sentiments: np.ndarray


def choose_words(
    names: Sequence[str], counts: np.ndarray, logits: np.ndarray
) -> Words | None:
    """The words to draw.

    Args:
      names: the tokens of the vocabulary, by id.
      counts: ``[V]``, how often each stands in the train reviews.
      logits: ``[V, K]``, of each alone.

    Returns:
      Those that stand there and have a letter or digit; None of more than two
      classes, whose words do not lie on one line from bad to good.
    """
    if logits.shape[1] > 2:
        return None
    sentiments = log_odds(logits, 1)
    seen = [n for n, name in enumerate(names) if counts[n] and _is_word(name)]
    return Words([names[n] for n in seen], counts[seen], sentiments[seen])


def draw_words(words: Words, summary: dict[str, Any], label_names: list[str]) -> Figure:
    """Sentiment over frequency, a point a word, with the extreme words named.

    Args:
      words: what ``choose_words`` gave.
      summary: what ``summary.json`` holds.
      label_names: of the two classes.
    """
    figure = new_figure(height=6.6)
    axes = figure.add_subplot()
    set_title(axes, "Vocabulary emotion distribution", summary)
    set_labels(
        axes, "Occurrences in the train reviews", "Sentiment of the word (log-odds)"
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.margins(0.04, 0.06)
    axes.axhline(0.0, color=GREY, linewidth=1)
    add_grid(axes)
    for sign, label in ((1, label_names[1]), (-1, label_names[0])):
        _draw_cloud(axes, words, sign, label)
    for handle in filter(None, add_legend(axes, columns=2).legend_handles):
        handle.set(alpha=1.0, sizes=[60])
    note = (
        f"The {_NUM_NAMED} extreme words of each sign that occur {FEWEST_TO_NAME} times"
        " or more are named."
    )
    add_note(axes, note)
    _name_extremes(axes, words)
    return figure


def _is_word(name: str) -> bool:
    return any(letter.isalnum() for letter in name) and name not in ("[PAD]", "[UNK]")


def _draw_cloud(axes: Axes, words: Words, sign: int, label: str) -> None:
    """The words of one sign: colour and marker tell it."""
    mine = words.sentiments > 0 if sign > 0 else words.sentiments <= 0
    axes.scatter(
        words.counts[mine],
        words.sentiments[mine],
        s=14,
        marker="^" if sign > 0 else "v",
        color=BLUE if sign > 0 else VERMILLION,
        alpha=0.45,
        linewidths=0,
        label=f"speaks for {label!r} ({mine.sum():,} words)",
    )


def extremes(words: Words) -> list[int]:
    """The words to name, the most extreme of each sign first."""
    common = np.flatnonzero(words.counts >= FEWEST_TO_NAME)
    order = common[np.argsort(words.sentiments[common], kind="stable")]
    worst = [n for n in order[:_NUM_NAMED] if words.sentiments[n] <= 0]
    best = [n for n in order[::-1][:_NUM_NAMED] if words.sentiments[n] > 0]
    return [int(n) for n in (*best, *worst)]


def _name_extremes(axes: Axes, words: Words) -> None:
    """Name them in a column at the right, in the order in which they lie.

    Written beside their points, names would lie one on another: extreme words crowd.
    """
    named = extremes(words)
    best = [n for n in named if words.sentiments[n] > 0]
    worst = [n for n in named if words.sentiments[n] <= 0]
    heights = [1 - _SPACING * (k + 0.5) for k in range(len(best))]
    heights += [_SPACING * (k + 0.5) for k in range(len(worst))]
    for n, height in zip(named, heights, strict=True):
        axes.annotate(
            shorten(words.names[n]),
            xy=(words.counts[n], words.sentiments[n]),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=11,
            color=BLACK,
            arrowprops=_LINE,
            parse_math=False,
        )
