"""What a classifier takes over from a language model: its words and its layers."""

import dataclasses
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from lstm_jax.errors import UserError
from lstm_jax.paths import expand
from lstm_jax.training.config import Config
from lstm_jax.training.finished import load_language_model
from lstm_jax.training.state import PyTree

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


class Pretrained(NamedTuple):
    """Where a classifier begins.

    Attributes:
      tokenizer: the words; None learns them.
      params: by the names of the classifier; what is not here is drawn.
    """

    tokenizer: Tokenizer | None
    params: dict[str, PyTree]


NOTHING = Pretrained(None, {})


def read_pretrained(config: Config) -> Pretrained:
    """Read the language model that the settings name; nothing when they name none.

    Raises:
      UserError: there is none, or it is not of such a model.
    """
    if not config.model.pretrained:
        return NOTHING
    path = expand(config.model.pretrained, "model.pretrained")
    trained = load_language_model(path)
    for name in _SHARED:
        theirs, ours = _value(trained.config, name), _value(config, name)
        if theirs != ours:
            raise UserError(
                f"{name}: expected {theirs!r}, as in model.pretrained={path}, got "
                f"{ours!r}"
            )
    shared = ("embedding", "layers")
    params = {name: trained.params[name] for name in shared}
    return Pretrained(trained.tokenizer, params)


def _value(config: Config, name: str) -> Any:
    group, field = name.split(".")
    return dataclasses.asdict(getattr(config, group))[field]
