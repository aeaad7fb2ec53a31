"""Explain what a finished run has learned, once, into its folder."""

from pathlib import Path
from typing import Any

from lstm_jax.explain import occlusions, read, word_logits
from lstm_jax.explanations import Explanations, load_explanations, save_explanations
from lstm_jax.inference import Predictor
from lstm_jax.training.workdir import Workdir, read_json


def explain_run(folder: Path) -> Explanations | None:
    """Explain what a run has learned; read it, once it stands in its folder.

    Returns:
      The explanations, or None where a run left no examples (as older versions do)
      or no checkpoints (they may have been deleted).
    """
    workdir = Workdir(folder)
    if workdir.explanations.exists():
        return load_explanations(workdir.explanations)
    if not (workdir.examples.exists() and workdir.checkpoints.is_dir()):
        return None
    examples = read_json(workdir.examples)
    explanations = explain(Predictor.from_workdir(folder, batch_size=256), examples)
    save_explanations(explanations, workdir.explanations)
    return explanations


def explain(predictor: Predictor, examples: dict[str, Any]) -> Explanations:
    """Explain the vocabulary and the reviews of an ``examples.json``."""
    return Explanations(
        word_logits=word_logits(predictor),
        short=read(predictor, examples["short"]["text"]),
        mistakes=occlusions(predictor, [m["text"] for m in examples["mistakes"]]),
    )
