"""What a classifier takes over from a language model: its words and its layers."""

import logging
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from lstm_jax.data.splits import digest_texts
from lstm_jax.errors import UserError
from lstm_jax.paths import expand, is_there
from lstm_jax.training.config import Config
from lstm_jax.training.finished import load_language_model, read_config
from lstm_jax.training.state import PyTree
from lstm_jax.training.workdir import Workdir, read_json

logger = logging.getLogger(__name__)

# What both have, and where they cannot differ.
_SHARED = (
    "data.tokens",
    "data.vocab_size",
    "model.cell",
    "model.embedding_size",
    "model.hidden_size",
    "model.num_layers",
    "model.bidirectional",
    "model.backward",
)
# Of one source they also hold out the same reviews: what the language model has read
# validates nothing.
_SPLIT = ("data.validation_fraction", "data.validation_groups", "data.group_column")


class Pretrained(NamedTuple):
    """Where a classifier begins.

    Attributes:
      tokenizer: the words; None learns them.
      params: by the names of the classifier; what is not here is drawn.
      origin: what is told of the language model.
      source: a short name for the reviews of which it has read all but those held
        out; "" where it was not written down.
      held_out: a short name for the validation reviews that it has not read; likewise.
    """

    tokenizer: Tokenizer | None
    params: dict[str, PyTree]
    origin: dict[str, Any]
    source: str = ""
    held_out: str = ""


NOTHING = Pretrained(None, {}, {})


def read_pretrained(config: Config) -> Pretrained:
    """Read the language model that the settings name; nothing when they name none.

    Raises:
      UserError: there is none, it is not finished, or not of such a model.
    """
    if not config.model.pretrained:
        return NOTHING
    path = check_pretrained(config)
    trained, summary = load_language_model(path), read_json(Workdir(path).summary)
    params = {name: trained.params[name] for name in ("embedding", "layers")}
    told = ("config_name", "seed", "commit", "perplexity")
    origin = {name: summary[name] for name in told if name in summary}
    names = (summary.get(name, "") for name in ("origin", "held_out"))
    return Pretrained(trained.tokenizer, params, origin, *names)


def check_held_out(
    pretrained: Pretrained, train_texts: Sequence[str], val_texts: Sequence[str]
) -> None:
    """Look that the language model has held out the validation reviews.

    Settings alone do not tell: which reviews are held out hangs on the movies that are
    known, and those on how the data was prepared.

    Args:
      pretrained: what a classifier begins as.
      train_texts: of the source, those held out included.
      val_texts: those held out.

    Raises:
      UserError: it has held out others, so it has read some of these.
    """
    if not pretrained.source:
        if pretrained.tokenizer:
            logger.warning(
                "model.pretrained: a run of an earlier version, which does not say "
                "what it has held out; validation flatters where it has read those "
                "reviews"
            )
    elif pretrained.source != digest_texts(train_texts):
        logger.warning(
            "model.pretrained: a language model of other reviews than those of data; "
            "validation flatters where it has read some that are held out here"
        )
    elif pretrained.held_out != digest_texts(val_texts):
        raise UserError(
            "model.pretrained: expected a language model that holds out the same "
            "validation reviews, got one that has read some of them; train both on the "
            "same data, with the same data.validation_groups"
        )


def check_pretrained(config: Config) -> Path:
    """Look at the language model that the settings name, before any data is read.

    Raises:
      UserError: there is none, it is not finished, or not of such a model.
    """
    path = expand(config.model.pretrained, "model.pretrained")
    # One that still learns is another at the next look.
    if not is_there(Workdir(path).summary):
        raise UserError(
            "model.pretrained: expected the folder of a finished language model "
            f"(configs/lm.py trains one), got no summary.json in {str(path)!r}"
        )
    theirs = read_config(path)
    if theirs.task != "language_model":
        raise UserError(
            'model.pretrained: expected a run with task="language_model", got '
            f"{theirs.task!r} in {str(path)!r}"
        )
    same = _source(theirs) == _source(config)
    for name in (*_SHARED, *(_SPLIT if same else ())):
        expected, got = map(attrgetter(name), (theirs, config))
        if got != expected:
            raise UserError(
                f"{name}: expected {expected!r}, as in model.pretrained={path}, got "
                f"{got!r}"
            )
    return path


def _source(config: Config) -> tuple[str, Path]:
    """Where the reviews are from, however it was written."""
    file = expand(config.data.train_file, "data.train_file")
    return config.data.source, file.resolve()
