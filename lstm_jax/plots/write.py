"""All pictures of a run, into its folder."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from lstm_jax.plots.calibration import draw_calibration
from lstm_jax.plots.confusion import draw_confusion
from lstm_jax.plots.findings import Findings, load_findings
from lstm_jax.plots.gates import draw_gates
from lstm_jax.plots.lengths import draw_lengths
from lstm_jax.plots.ranking import draw_precision_recall, draw_roc
from lstm_jax.plots.style import save
from lstm_jax.plots.training import draw_accuracy, draw_learning_rate, draw_loss
from lstm_jax.plots.words import draw_words
from lstm_jax.training.workdir import Workdir

Pictures = Iterator[tuple[str, Figure]]


def write_plots(folder: Path) -> list[Path]:
    """Draw the pictures of a finished run into ``<folder>/plots``.

    Args:
      folder: of the run; its ``metrics.jsonl`` and ``summary.json`` are read, and,
        where they are there, ``predictions.npz`` and ``explanations.npz``.

    Returns:
      The files, in the order in which to show them.

    Raises:
      UserError: ``folder`` holds no finished run.
    """
    return draw_findings(load_findings(folder), Workdir(folder).plots)


def draw_findings(found: Findings, folder: Path) -> list[Path]:
    """Draw what was read already; the same as ``write_plots``."""
    folder.mkdir(exist_ok=True)
    return [
        save(figure, folder / f"{name}.png")
        for draw in (_training, _judged, _learned)
        for name, figure in draw(found)
    ]


def _training(found: Findings) -> Pictures:
    """How it was trained."""
    yield "loss", draw_loss(found.metrics, found.summary)
    yield "accuracy", draw_accuracy(found.metrics, found.summary)
    yield "learning_rate", draw_learning_rate(found.metrics, found.summary)


def _judged(found: Findings) -> Pictures:
    """How good it is."""
    judged, summary = found.judged, found.summary
    if judged is None:
        return
    yield "confusion", draw_confusion(judged, summary)
    yield "roc", draw_roc(judged, summary)
    yield "precision_recall", draw_precision_recall(judged, summary)
    yield "calibration", draw_calibration(judged, summary)
    yield "lengths", draw_lengths(judged, summary)


def _learned(found: Findings) -> Pictures:
    """What it has learned."""
    if found.words is not None:
        yield "words", draw_words(found.words, found.summary, found.label_names)
    # The shortest of reviews that are all without words has none.
    if found.explanations is not None and found.explanations.short.words:
        short = found.explanations.short
        yield "gates", draw_gates(short, found.summary, found.label_names)
