"""What is read from the folder of a run, by those who go on from it."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from tokenizers import Tokenizer

from lstm_jax.data.datasets import Text, load_text
from lstm_jax.errors import UserError
from lstm_jax.models.build import build_language_model
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.paths import is_there
from lstm_jax.training.checkpoints import check_like, read_best
from lstm_jax.training.config import Config
from lstm_jax.training.state import PyTree
from lstm_jax.training.workdir import Workdir, read_settings


class TrainedLanguageModel(NamedTuple):
    """What a run has learned.

    Attributes:
      config: its settings.
      tokenizer: how a text becomes numbers.
      module: the language model.
      params: the best parameters.
    """

    config: Config
    tokenizer: Tokenizer
    module: LanguageModel
    params: PyTree


def load_language_model(path: Path) -> TrainedLanguageModel:
    """Read a language model from the folder of its run.

    Raises:
      UserError: the folder does not hold a run of one with a checkpoint.
    """
    workdir, config = Workdir(path), read_config(path)
    if config.task != "language_model":
        raise UserError(
            f'{path}: expected a run with task="language_model" (configs/lm.py), got '
            f"{config.task!r}"
        )
    text = read_text(path, num_logits=1, ngram_order=0)
    module = build_language_model(
        config.model,
        config.language_model,
        vocab_size=text.tokenizer.get_vocab_size(),
    )
    params = read_best(workdir.checkpoints)
    check_params(module, params, workdir, jnp.zeros((1, 1), jnp.int32))
    module = module.clone(implementation="auto")  # see load_trained
    return TrainedLanguageModel(config, text.tokenizer, module, params)


def check_params(
    module: nn.Module, params: PyTree, workdir: Workdir, *inputs: Any
) -> None:
    """Compare what was saved with what a module of the settings has.

    Raises:
      UserError: they differ; the first array that does is named.
    """
    init = partial(module.init, jax.random.key(0))
    like = jax.eval_shape(init, *inputs)["params"]
    check_like(params, like, where=str(workdir.checkpoints), name="best")


def read_config(path: Path) -> Config:
    """The settings of a run, from its folder.

    Raises:
      UserError: it is no run's, or damaged.
    """
    workdir = Workdir(path)
    if not is_there(workdir.config):
        raise UserError(
            f"{path}: expected the folder of a run, got no config.json that may be read"
        )
    return read_settings(workdir)


def read_text(path: Path, num_logits: int, ngram_order: int) -> Text:
    """How a run turned texts into numbers, from its folder.

    Raises:
      UserError: the files are not there, or not those of such a model.
    """
    text = load_text(path, num_logits, ngram_order)
    if text is None:
        raise UserError(f"{path}: expected the folder of a run, got no tokenizer.json")
    return text
