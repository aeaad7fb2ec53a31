"""The models that the settings describe."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import normal

from lstm_jax.cells.base import platform
from lstm_jax.data.tokenizer import UNKNOWN_ID
from lstm_jax.errors import UserError
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.models.config import LanguageModelConfig, ModelConfig
from lstm_jax.models.language_model import LanguageModel


def build_classifier(
    config: ModelConfig,
    *,
    vocab_size: int,
    num_classes: int,
    num_ngrams: int = 0,
) -> TextClassifier:
    """Build the model.

    Args:
      config: the settings.
      vocab_size: of the tokenizer.
      num_classes: of the data; read where the settings ask for a logit for each.
      num_ngrams: that the model reads beside the words; 0 is none.
    """
    fields = dataclasses.asdict(config)
    fields["num_logits"] = config.num_logits or num_classes
    del fields["embedding_file"], fields["pretrained"]  # they are read by now
    if stddev := fields.pop("embedding_stddev"):
        fields["embedding_init"] = normal(stddev)
    return TextClassifier(
        vocab_size=vocab_size, num_ngrams=num_ngrams, unknown_id=UNKNOWN_ID, **fields
    )


def build_language_model(
    config: ModelConfig, own: LanguageModelConfig, *, vocab_size: int
) -> LanguageModel:
    """Build the model.

    Args:
      config: the settings that a classifier has too.
      own: those that it has not.
      vocab_size: of the tokenizer.
    """
    fields = dataclasses.asdict(config) | dataclasses.asdict(own)
    names = LanguageModel.__dataclass_fields__.keys() & fields.keys()
    settings = {name: fields[name] for name in names}
    return LanguageModel(vocab_size=vocab_size, **settings)


def check_kernel(config: ModelConfig) -> None:
    """Refuse a kernel that was asked for by name and cannot run such layers here.

    Nothing is computed: a model of a few words is traced.

    Raises:
      UserError: it cannot; with what it expects.
    """
    if config.implementation == "cudnn" and platform() != "gpu":
        raise UserError(
            'model.implementation: expected "auto" where there is no NVIDIA GPU, got '
            '"cudnn"'
        )
    model = build_classifier(config, vocab_size=4, num_classes=3 - config.num_logits)
    key = jax.random.key(0)
    init = partial(model.init, {"params": key, "dropout": key}, train=True)
    try:
        jax.eval_shape(init, *example_inputs(model))
    except ValueError as error:
        if not str(error).startswith("implementation="):
            raise
        raise UserError(f"model.{error}") from None


def example_inputs(model: TextClassifier) -> tuple[Array, ...]:
    """Inputs of the smallest shape, to initialise or describe a model."""
    return (
        jnp.zeros((1, 1), jnp.int32),
        jnp.ones(1, jnp.int32),
        jnp.zeros((1, 1), jnp.int32),
        jnp.zeros((1, 1, model.num_logits)),
    )
