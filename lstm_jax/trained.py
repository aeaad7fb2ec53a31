"""What a run has learned, read from its folder."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.data.datasets import Text
from lstm_jax.errors import UserError
from lstm_jax.loaded import About, Loaded
from lstm_jax.models.build import build_classifier, example_inputs
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.programs import make_programs
from lstm_jax.training.checkpoints import read_best
from lstm_jax.training.config import Config
from lstm_jax.training.finished import check_params, read_config, read_text
from lstm_jax.training.state import PyTree
from lstm_jax.training.workdir import Workdir, read_json


class Trained(NamedTuple):
    """What a run has learned.

    Attributes:
      config: its settings.
      text: how a text becomes numbers.
      module: the classifier.
      params: the best parameters.
      about: its classes and where it comes from.
    """

    config: Config
    text: Text
    module: TextClassifier
    params: PyTree
    about: About

    def loaded(self) -> Loaded:
        """What a ``Predictor`` asks."""
        data = self.config.data
        return Loaded(
            programs=make_programs(self.module),
            params=self.params,
            text=self.text,
            max_length=data.max_length,
            truncate=data.truncate,
            num_logits=self.module.num_logits,
            about=self.about,
        )


def load_trained(path: Path) -> Trained:
    """Read what a run has learned from its folder.

    Raises:
      UserError: the folder does not hold a run with a checkpoint.
    """
    workdir, config = Workdir(path), read_config(path)
    if config.task != "classification":
        raise UserError(
            f"{path}: expected the run of a classifier, got one of a language model; "
            "lstm-jax generate uses it"
        )
    params = read_best(workdir.checkpoints)
    num_logits = _num_logits(params, workdir)
    text = read_text(path, num_logits, config.data.ngram_order)
    _check_ngrams(workdir, params, len(text.ngrams.keys))
    about = _about(config, workdir, num_logits)
    module = build_classifier(
        config.model,
        vocab_size=text.tokenizer.get_vocab_size(),
        num_classes=len(about.label_names),
        num_ngrams=len(text.ngrams.keys),
    )
    check_params(module, params, workdir, *example_inputs(module))
    # What it was trained with may not run on the machine that asks it.
    module = module.clone(implementation="auto")
    return Trained(config, text, module, params, about)


def _num_logits(params: PyTree, workdir: Workdir) -> int:
    try:
        return len(params["logits"]["bias"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{workdir.checkpoints}: expected best/logits/bias, got a checkpoint "
            "without it"
        ) from error


def _check_ngrams(workdir: Workdir, params: PyTree, count: int) -> None:
    """Name the file that is of another run; the checkpoint's digests were right."""
    part = params.get("ngrams")
    weights = part.get("weights", ()) if isinstance(part, dict) else ()
    weighed = np.shape(weights)[:1]
    if weighed != (count,):
        raise UserError(
            f"{workdir.ngrams}: expected as many n-grams as the checkpoint weighs, "
            f"{weighed}, got {count}; restore the file"
        )


def _about(config: Config, workdir: Workdir, num_logits: int) -> About:
    """As the run wrote it down; numbers for names of classes where it did not."""
    known: dict[str, Any] = {}
    for path in (workdir.summary, workdir.about):
        if path.exists():
            known |= read_json(path)
    numbers = [str(number) for number in range(max(num_logits, 2))]
    return About(
        label_names=tuple(known.get("label_names", numbers)),
        name=config.name,
        dataset=known.get("dataset", config.data.source),
        notice=known.get("notice", ""),
    )
