"""Pictures of a finished run, drawn from the files in its folder."""

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

from lstm_jax.errors import UserError
from lstm_jax.training.logbook import read_metrics
from lstm_jax.training.workdir import Workdir, read_json

# Of the palette of Okabe and Ito, which colour-blind readers can tell apart.
_ORANGE, _BLUE, _VERMILLION, _BLACK = "#E69F00", "#0072B2", "#D55E00", "#000000"
_GREY = "#595959"

# Drawn at twice the width a README shows, for screens with small pixels.
_INCHES, _DPI = (7.2, 4.6), 220
_TITLE_WIDTH = 52  # characters in a line


def write_plots(folder: Path) -> list[Path]:
    """Draw the pictures of a finished run into ``<folder>/plots``.

    Args:
      folder: of the run; its ``metrics.jsonl`` and ``summary.json`` are read.

    Returns:
      The files, in the order in which to show them: ``loss.png``,
      ``accuracy.png``, ``learning_rate.png``.

    Raises:
      UserError: ``folder`` holds no finished run.
    """
    workdir = Workdir(folder)
    if not workdir.summary.exists():
        raise UserError(f"{folder}: expected a finished run, got no summary.json in it")
    metrics, summary = read_metrics(workdir.metrics), read_json(workdir.summary)
    if not _of(metrics, "val"):
        raise UserError(
            f"{workdir.metrics}: expected a line for each epoch's validation, got none"
        )
    workdir.plots.mkdir(exist_ok=True)
    return [
        _save(draw_loss(metrics, summary), workdir.plots / "loss.png"),
        _save(draw_accuracy(metrics, summary), workdir.plots / "accuracy.png"),
        _save(
            draw_learning_rate(metrics, summary), workdir.plots / "learning_rate.png"
        ),
    ]


def draw_loss(metrics: list[dict[str, Any]], summary: dict[str, Any]) -> Figure:
    """Loss over epochs: a line for training, a marker for each validation.

    Args:
      metrics: the lines of ``metrics.jsonl``.
      summary: what ``summary.json`` holds.
    """
    axes = _blank("Loss", metrics, summary)
    axes.set_ylabel("Cross-entropy (nats per review)")
    _draw_splits(axes, metrics, summary, "loss", "{:.4f}")
    return _figure_of(axes)


def draw_accuracy(metrics: list[dict[str, Any]], summary: dict[str, Any]) -> Figure:
    """Accuracy over epochs; the arguments are those of ``draw_loss``."""
    axes = _blank("Accuracy", metrics, summary)
    axes.set_ylabel("Accuracy (% of reviews)")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, symbol=""))
    _draw_splits(axes, metrics, summary, "accuracy", "{:.2%}")
    return _figure_of(axes)


def draw_learning_rate(
    metrics: list[dict[str, Any]], summary: dict[str, Any]
) -> Figure:
    """Learning rate over epochs; the arguments are those of ``draw_loss``."""
    axes = _blank("Learning rate", metrics, summary)
    axes.set_ylabel("Learning rate")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _draw_training(axes, metrics, "learning_rate", color=_BLUE)
    axes.set_ylim(bottom=0.0)
    return _figure_of(axes)


def steps_per_epoch(metrics: list[dict[str, Any]]) -> float:
    """Steps in an epoch, read off the last validation.

    >>> steps_per_epoch([{"split": "val", "step": 704, "epoch": 2}])
    352.0
    """
    last = _of(metrics, "val")[-1]
    return last["step"] / last["epoch"]


def _of(metrics: list[dict[str, Any]], split: str) -> list[dict[str, Any]]:
    return [line for line in metrics if line["split"] == split]


def _blank(what: str, metrics: list[dict[str, Any]], summary: dict[str, Any]) -> Axes:
    """Axes over epochs with a title; "$" in a name is no formula."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    axes = Figure(figsize=_INCHES, layout=layout).add_subplot()
    notice = summary["notice"]
    title = f"{what}: {summary['config_name']} on {summary['dataset']}"
    axes.set_title(
        "\n".join([_wrap(title, _TITLE_WIDTH), _wrap(notice, _TITLE_WIDTH)]).strip(),
        fontsize=14,
        color=_VERMILLION if notice else _BLACK,
        parse_math=False,
    )
    axes.set_xlabel("Epoch", fontsize=13)
    axes.yaxis.label.set_fontsize(13)
    axes.tick_params(labelsize=13)
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(0.0, 1.02 * _of(metrics, "val")[-1]["epoch"])
    axes.grid(color="#DDDDDD")
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _draw_splits(
    axes: Axes,
    metrics: list[dict[str, Any]],
    summary: dict[str, Any],
    key: str,
    number: str,
) -> None:
    """Training, validation and the best epoch, with a legend and the test note."""
    _draw_training(axes, metrics, key, color=_ORANGE)
    val = {line["epoch"]: line[key] for line in _of(metrics, "val")}
    axes.plot(
        list(val),
        list(val.values()),
        "o-",
        color=_BLUE,
        linewidth=2,
        label="validation",
    )
    best = summary["best_epoch"]
    if best in val:
        _ring(axes, best, val[best], f"best epoch, {best}: {number.format(val[best])}")
    _add_legend(axes)
    # Words only: a line would invite choosing an epoch by the test reviews.
    note = _test_note(summary["test"], key, number)
    _figure_of(axes).supxlabel(note, fontsize=11, color=_GREY)


def _draw_training(
    axes: Axes, metrics: list[dict[str, Any]], key: str, color: str
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
        label="training",
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
        markeredgecolor=_BLACK,
        markeredgewidth=2,
        label=label,
        clip_on=False,
        zorder=3,
    )


def _add_legend(axes: Axes) -> None:
    """A row below the name of the x axis, where no line can run behind it."""
    below = ScaledTranslation(0, -0.55, _figure_of(axes).dpi_scale_trans)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=axes.transAxes + below,
        ncols=3,
        fontsize=12,
        frameon=False,
        borderpad=0.0,
    )


def _test_note(test: dict[str, Any] | None, key: str, number: str) -> str:
    if test is None:
        return "There is no test split."
    return (
        f"Test, read once at the end: {key} {number.format(test[key])} "
        f"({test['count']:,} reviews)"
    )


def _wrap(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width))


def _figure_of(axes: Axes) -> Figure:
    """The whole picture, which types know as one that may be nested."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, facecolor="white")
    return path
