"""What the files of a finished run hold, read once for all pictures and words."""

from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax.data.tokenizer import load_tokenizer
from lstm_jax.errors import UserError
from lstm_jax.explanations import Explanations, load_explanations
from lstm_jax.plots.judged import Judged, judged_split
from lstm_jax.plots.style import names_of
from lstm_jax.plots.words import Words, choose_words
from lstm_jax.training.logbook import read_metrics
from lstm_jax.training.predictions import Predictions, load_predictions
from lstm_jax.training.workdir import Workdir, read_json

# What the pictures take from summary.json.
_DRAWN = ("config_name", "dataset", "notice", "best_epoch", "test")


class Findings(NamedTuple):
    """What a run left behind; a run of an older version left less.

    Attributes:
      summary: what ``summary.json`` holds.
      metrics: the lines of ``metrics.jsonl``.
      judged: the reviews that it is judged by, or None.
      explanations: what was found out about the model, or None.
      words: of the vocabulary, or None; also of more than two classes.
      label_names: one name a class.
    """

    summary: dict[str, Any]
    metrics: list[dict[str, Any]]
    judged: Judged | None
    explanations: Explanations | None
    words: Words | None
    label_names: list[str]


def load_findings(folder: Path) -> Findings:
    """Read the files of a finished run.

    Raises:
      UserError: ``folder`` holds no finished run.
    """
    workdir = Workdir(folder)
    if not workdir.summary.exists():
        raise UserError(f"{folder}: expected a finished run, got no summary.json in it")
    metrics, summary = (
        read_metrics(workdir.metrics),
        read_json(workdir.summary, *_DRAWN),
    )
    if not any(line["split"] == "val" for line in metrics):
        raise UserError(
            f"{workdir.metrics}: expected a line for each epoch's validation, got none"
        )
    found = Findings(summary, metrics, None, None, None, [])
    if not workdir.predictions.exists():
        return found
    predictions = load_predictions(workdir.predictions)
    judged = judged_split(predictions, summary, read_json(workdir.config, "data"))
    names = names_of(summary, judged.num_classes)
    found = found._replace(judged=judged, label_names=names)
    if not workdir.explanations.exists():
        return found
    explanations = load_explanations(workdir.explanations)
    words = _words(workdir, predictions, explanations)
    return found._replace(explanations=explanations, words=words)


def _words(
    workdir: Workdir, predictions: Predictions, explanations: Explanations
) -> Words | None:
    tokenizer = load_tokenizer(workdir.tokenizer)
    counts = predictions.word_counts
    names = [tokenizer.id_to_token(n) or "" for n in range(len(counts))]
    return choose_words(names, counts, explanations.word_logits)
