"""Curves over the epochs of a run, from its ``metrics.jsonl``."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from lstm_jax.plots.style import (
    BLACK,
    BLUE,
    ORANGE,
    add_grid,
    add_legend,
    add_note,
    figure_of,
    new_figure,
    set_title,
)


def draw_loss(metrics: list[dict[str, Any]], summary: dict[str, Any]) -> Figure:
    """Loss over epochs: a line for training, a marker for each validation.

    Args:
      metrics: the lines of ``metrics.jsonl``.
      summary: what ``summary.json`` holds.
    """
    axes = _blank("Loss", metrics, summary)
    axes.set_ylabel(f"Cross-entropy (nats per {_unit(summary)})")
    _draw_splits(axes, metrics, summary, "loss", "{:.4f}")
    return figure_of(axes)


def draw_accuracy(metrics: list[dict[str, Any]], summary: dict[str, Any]) -> Figure:
    """Accuracy over epochs; the arguments are those of ``draw_loss``."""
    axes = _blank("Accuracy", metrics, summary)
    axes.set_ylabel(f"Accuracy (% of {_unit(summary)}s)")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, symbol=""))
    _draw_splits(axes, metrics, summary, "accuracy", "{:.2%}")
    return figure_of(axes)


def draw_learning_rate(
    metrics: list[dict[str, Any]], summary: dict[str, Any]
) -> Figure:
    """Learning rate over epochs; the arguments are those of ``draw_loss``."""
    axes = _blank("Learning rate", metrics, summary)
    axes.set_ylabel("Learning rate")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _draw_training(axes, metrics, "learning_rate", color=BLUE, label="training")
    axes.set_ylim(bottom=0.0)
    return figure_of(axes)


def steps_per_epoch(metrics: list[dict[str, Any]]) -> float:
    """Steps in an epoch, read off the last validation.

    >>> steps_per_epoch([{"split": "val", "step": 704, "epoch": 2}])
    352.0
    """
    last = _of(metrics, "val")[-1]
    return last["step"] / last["epoch"]


def _unit(summary: dict[str, Any]) -> str:
    """What is predicted: the label of a review, or a word."""
    return "word" if "perplexity" in summary else "review"


def _of(metrics: list[dict[str, Any]], split: str) -> list[dict[str, Any]]:
    return [line for line in metrics if line["split"] == split]


def _blank(what: str, metrics: list[dict[str, Any]], summary: dict[str, Any]) -> Axes:
    """Axes over epochs with a title."""
    axes = new_figure().add_subplot()
    set_title(axes, what, summary)
    axes.set_xlabel("Epoch", fontsize=13)
    axes.yaxis.label.set_fontsize(13)
    axes.tick_params(labelsize=13)
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(0.0, 1.02 * _of(metrics, "val")[-1]["epoch"])
    add_grid(axes)
    return axes


def _draw_splits(
    axes: Axes,
    metrics: list[dict[str, Any]],
    summary: dict[str, Any],
    key: str,
    number: str,
) -> None:
    """Training, validation and the best epoch, with a legend and the test note."""
    sampled = summary.get("sampled_words", 0)
    told = (
        f"training (of {sampled:,} words and the right one)" if sampled else "training"
    )
    _draw_training(axes, metrics, key, color=ORANGE, label=told)
    val = {line["epoch"]: line[key] for line in _of(metrics, "val")}
    axes.plot(
        list(val),
        list(val.values()),
        "o-",
        color=BLUE,
        linewidth=2,
        label="validation",
    )
    best = summary["best_epoch"]
    if best in val:
        _ring(axes, best, val[best], f"best epoch, {best}: {number.format(val[best])}")
    add_legend(axes)
    # Words only: a line would invite choosing an epoch by the test reviews.
    if _unit(summary) == "review":
        add_note(axes, _test_note(summary["test"], key, number))


def _draw_training(
    axes: Axes, metrics: list[dict[str, Any]], key: str, *, color: str, label: str
) -> None:
    """A thin line through the logged steps; dots as well where there are few."""
    lines, steps = _of(metrics, "train"), steps_per_epoch(metrics)
    axes.plot(
        [line["step"] / steps for line in lines],
        [line[key] for line in lines],
        color=color,
        alpha=0.8,
        linewidth=1.5,
        marker="." if len(lines) < 20 else "",
        label=label,
        clip_on=False,
    )


def _ring(axes: Axes, x: float, y: float, label: str) -> None:
    axes.plot(
        [x],
        [y],
        linestyle="",
        marker="o",
        markersize=15,
        markerfacecolor="none",
        markeredgecolor=BLACK,
        markeredgewidth=2,
        label=label,
        clip_on=False,
        zorder=3,
    )


def _test_note(test: dict[str, Any] | None, key: str, number: str) -> str:
    if test is None:
        return "There is no test split."
    return (
        f"Test, read once at the end: {key} {number.format(test[key])} "
        f"({test['count']:,} reviews)"
    )
