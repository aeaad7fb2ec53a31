"""All pictures of a run, into its folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lstm_jax.data.tokenizer import load_tokenizer
from lstm_jax.errors import UserError
from lstm_jax.explanations import load_explanations
from lstm_jax.plots.calibration import draw_calibration
from lstm_jax.plots.confusion import draw_confusion
from lstm_jax.plots.gates import draw_gates
from lstm_jax.plots.judged import judged_split
from lstm_jax.plots.lengths import draw_lengths
from lstm_jax.plots.ranking import draw_precision_recall, draw_roc
from lstm_jax.plots.style import names_of, save
from lstm_jax.plots.training import draw_accuracy, draw_learning_rate, draw_loss
from lstm_jax.plots.words import choose_words, draw_words
from lstm_jax.training.logbook import read_metrics
from lstm_jax.training.predictions import load_predictions
from lstm_jax.training.workdir import Workdir, read_json

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
    workdir = Workdir(folder)
    if not workdir.summary.exists():
        raise UserError(f"{folder}: expected a finished run, got no summary.json in it")
    summary = read_json(workdir.summary)
    workdir.plots.mkdir(exist_ok=True)
    return [
        save(figure, workdir.plots / f"{name}.png")
        for draw in (_training, _judged, _learned)
        for name, figure in draw(workdir, summary)
    ]


def _training(workdir: Workdir, summary: dict[str, Any]) -> Pictures:
    """How it was trained."""
    metrics = read_metrics(workdir.metrics)
    if not any(line["split"] == "val" for line in metrics):
        raise UserError(
            f"{workdir.metrics}: expected a line for each epoch's validation, got none"
        )
    yield "loss", draw_loss(metrics, summary)
    yield "accuracy", draw_accuracy(metrics, summary)
    yield "learning_rate", draw_learning_rate(metrics, summary)


def _judged(workdir: Workdir, summary: dict[str, Any]) -> Pictures:
    """How good it is."""
    if not workdir.predictions.exists():
        return
    predictions = load_predictions(workdir.predictions)
    judged = judged_split(predictions, summary, read_json(workdir.config))
    yield "confusion", draw_confusion(judged, summary)
    yield "roc", draw_roc(judged, summary)
    yield "precision_recall", draw_precision_recall(judged, summary)
    yield "calibration", draw_calibration(judged, summary)
    yield "lengths", draw_lengths(judged, summary)


def _learned(workdir: Workdir, summary: dict[str, Any]) -> Pictures:
    """What it has learned."""
    if not (workdir.explanations.exists() and workdir.predictions.exists()):
        return
    found = load_explanations(workdir.explanations)
    counts = load_predictions(workdir.predictions).word_counts
    tokenizer = load_tokenizer(workdir.tokenizer)
    names = [tokenizer.id_to_token(n) for n in range(len(counts))]
    label_names = names_of(summary, max(2, found.word_logits.shape[1]))
    words = choose_words(names, counts, found.word_logits)
    if words is not None:
        yield "words", draw_words(words, summary, label_names)
    yield "gates", draw_gates(found.short, summary, label_names)
