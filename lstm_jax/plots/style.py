"""What all pictures share: size, colours, titles, and how they are saved."""

import textwrap
import warnings
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.transforms import ScaledTranslation

from lstm_jax.drafts import draft_of
from lstm_jax.shorten import shorten

# Of the palette of Okabe and Ito, which colour-blind readers can tell apart.
ORANGE, BLUE, VERMILLION, BLACK = "#E69F00", "#0072B2", "#D55E00", "#000000"
GREEN, PINK, SKY = "#009E73", "#CC79A7", "#56B4E9"
GREY = "#595959"
GRID = "#DDDDDD"
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PINK, SKY)
DASHES = ("-", "--", ":", "-.")

# Drawn at twice the width a README shows, for screens with small pixels.
_WIDTH, _HEIGHT, _DPI = 7.2, 4.6, 220
# Lines of so many characters.
_fill = partial(textwrap.fill, width=52)


def new_figure(height: float = _HEIGHT) -> Figure:
    """An empty picture of the common width."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    return Figure(figsize=(_WIDTH, height), layout=layout)


def set_title(axes: Axes | Figure, what: str, summary: dict[str, Any]) -> None:
    """Say what is drawn, of which run; "$" in a name is no formula."""
    notice = summary["notice"]
    run = f"{summary['config_name']} on {summary['dataset']}"
    title = _fill(f"{what}: {run}")
    # Broken where a sentence would be.
    if "\n" in title:
        title = f"{_fill(what)}:\n{_fill(run)}"
    put = axes.suptitle if isinstance(axes, Figure) else axes.set_title
    put(
        "\n".join([title, _fill(notice)]).strip(),
        fontsize=14,
        color=VERMILLION if notice else BLACK,
        parse_math=False,
    )


def set_labels(axes: Axes, x: str, y: str) -> None:
    """Name the axes, in letters that can be read in a README."""
    axes.set_xlabel(x, fontsize=13, parse_math=False)
    axes.set_ylabel(y, fontsize=13, parse_math=False)
    axes.tick_params(labelsize=12)


def add_grid(axes: Axes) -> None:
    """A light grid, and no frame on two sides."""
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(
    axes: Axes, *, columns: int = 3, handles: Sequence[Any] | None = None
) -> Legend:
    """Rows below the name of the x axis, where no line can run behind them."""
    if handles is None:
        handles = axes.get_legend_handles_labels()[0]
    below = ScaledTranslation(0, -0.55, figure_of(axes).dpi_scale_trans)
    legend = axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=axes.transAxes + below,
        ncols=columns,
        fontsize=12,
        frameon=False,
        borderpad=0.0,
    )
    return as_written(legend)


def in_legend(name: str) -> str:
    """``name``, so that it is shown: matplotlib leaves out what begins with "_".

    >>> in_legend("__label__good"), in_legend("good")
    (' __label__good', 'good')
    """
    return f" {name}" if name.startswith("_") else name


def as_written(legend: Legend) -> Legend:
    """The same legend; "$" in a name is no formula."""
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def add_note(axes: Axes, note: str) -> None:
    """Words at the bottom of the picture."""
    figure_of(axes).supxlabel(note, fontsize=11, color=GREY, parse_math=False)


def names_of(summary: dict[str, Any], num_classes: int) -> list[str]:
    """The names of the classes, shortened; numbers where the run left no names."""
    names = summary.get("label_names", [str(n) for n in range(num_classes)])
    short = [shorten(name) for name in names]
    return [
        f"{name[:12]} {n}" if short.count(name) > 1 else name
        for n, name in enumerate(short)
    ]


def figure_of(axes: Axes) -> Figure:
    """The whole picture, which types know as one that may be nested."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write ``figure`` as PNG."""
    with draft_of(path) as draft:
        draft.write_bytes(to_png(figure))
    return path


def to_png(figure: Figure) -> bytes:
    """``figure`` as PNG, for a page."""
    data = BytesIO()
    with warnings.catch_warnings():
        # Letters that the font has not are drawn as boxes; a page has them in its text.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(data, format="png", dpi=_DPI, facecolor="white")
    return data.getvalue()
