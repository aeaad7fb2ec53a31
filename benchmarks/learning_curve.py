"""How many labels does it take? Test accuracy over labelled reviews.

    python benchmarks/learning_curve.py --pretrained runs/lm [--config.data....=... ...]

Trains ``configs/finetune.py``, which begins as a language model, and
``configs/lstm_words.py``, which begins with nothing, on the same samples of the
labelled train reviews (``benchmarks/linear_curve.py`` adds a linear model).  Few labels
get more epochs; the best is chosen on the validation reviews, which are labelled too
and the same for all.  Each run has a folder below ``--workdir``, so that the same
command goes on after it was stopped.  Writes ``results/learning_curve.json``, draws it,
and writes README's table.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pages
import rows
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "learning_curve.json"
PICTURE = ROOT / "docs" / "images" / "learning_curve.png"

# Labelled reviews, and epochs; 0 is all of them.
EPOCHS = {
    "lstm_words": {100: 40, 300: 30, 1000: 15, 3000: 8, 10_000: 5, 0: 4},
    "finetune": {100: 12, 300: 8, 1000: 5, 3000: 4, 10_000: 3, 0: 2},
}
# Of the palette of Okabe and Ito, which colour-blind readers can tell apart.
STYLES = {
    "finetune": ("#0072B2", "o", "begins as a language model"),
    "lstm_words": ("#D55E00", "s", "begins with nothing"),
    "linear": ("#009E73", "^", "linear model over n-grams"),
}


class Point(NamedTuple):
    """One run."""

    config: str
    num_labelled: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.config}-{self.num_labelled or 'all'}-{self.seed}"


def main() -> None:
    """Run what is not there yet; write each run, and draw all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/learning_curve"))
    parser.add_argument("--pretrained", default="runs/lm")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--draw-only", action="store_true")
    arguments, settings = parser.parse_known_args()
    if not arguments.draw_only:
        points = [
            Point(config, count, seed)
            for seed in arguments.seeds
            for config, counts in EPOCHS.items()
            for count in counts
        ]
        for point in points:
            folder = arguments.workdir / point.name
            row = measure(point, folder, arguments.pretrained, settings)
            rows.keep(OUTPUT, point.name, row)
    save(draw(list(rows.read(OUTPUT).values())), PICTURE)
    pages.write(tables())


def measure(
    point: Point, folder: Path, pretrained: str, settings: list[str]
) -> dict[str, Any]:
    """Train, go on, or leave it as it is; what the summary says of it."""
    summary = rows.train_once(command(point, folder, pretrained) + settings, folder)
    row = point._asdict() | {
        "num_labelled": summary["counts"]["train"],
        "best_epoch": summary["best_epoch"],
        "val_accuracy": summary["val"]["accuracy"],
        "test_accuracy": summary["test"]["accuracy"],
        "train_seconds": summary["seconds"]["train"],
    }
    print(json.dumps(row), flush=True)
    return row


def command(point: Point, folder: Path, pretrained: str) -> list[str]:
    """What a user would type."""
    epochs = EPOCHS[point.config][point.num_labelled]
    words = [sys.executable, "train.py", "--config", f"configs/{point.config}.py"]
    words += [f"--workdir={folder.absolute()}", f"--config.seed={point.seed}"]
    words += [f"--config.data.num_labelled={point.num_labelled}"]
    words += [f"--config.train.epochs={epochs}"]
    if point.config == "finetune":
        words += [f"--config.model.pretrained={Path(pretrained).absolute()}"]
    return words


def tables() -> dict[str, str]:
    """By the name of their marks."""
    return {"learning-curve": make_table(list(rows.read(OUTPUT).values()))}


def make_table(points: list[dict[str, Any]]) -> str:
    """A row for each number of labels; means where there are seeds."""
    rows = []
    for count in sorted({row["num_labelled"] for row in points}):
        found = [
            [row for row in points if row["config"] == config] for config in STYLES
        ]
        rows.append([f"{count:,}", *(_cell(some, count) for some in found)])
    heads = ["labelled reviews", *(label for *_, label in STYLES.values())]
    return pages.table(heads, rows)


def _cell(points: list[dict[str, Any]], count: int) -> str:
    """Blank where nothing was run."""
    known = any(row["num_labelled"] == count for row in points)
    return f"{_mean(points, count):.2f}%" if known else ""


def draw(points: list[dict[str, Any]]) -> Figure:
    """Accuracy over labels, a line a config; the mean where there are seeds."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for config, (color, marker, label) in STYLES.items():
        found = [row for row in points if row["config"] == config]
        counts = sorted({row["num_labelled"] for row in found})
        means = [_mean(found, count) for count in counts]
        axes.plot(counts, means, color=color, marker=marker, linewidth=2, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("Labelled train reviews", fontsize=13)
    axes.set_ylabel("Test accuracy (%)", fontsize=13)
    axes.tick_params(labelsize=11)
    axes.grid(color="#DDDDDD")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=12, frameon=False)
    return figure


def _mean(points: list[dict[str, Any]], count: int) -> float:
    """Percent."""
    found = [row["test_accuracy"] for row in points if row["num_labelled"] == count]
    return 100 * sum(found) / len(found)


def save(figure: Figure, path: Path) -> None:
    """Write a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=220, facecolor="white")


if __name__ == "__main__":
    main()
