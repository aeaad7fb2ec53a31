"""The settings of a run: frozen, typed dataclasses that check themselves.

A file under ``configs/`` returns an ``ml_collections.ConfigDict`` made by
``default_config()``; ``--config.a.b=value`` changes single fields of it; and
``from_dict`` turns it into a ``Config`` before any data is read.
"""

import dataclasses
import re
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from lstm_jax.checks import above, at_least, between, choice
from lstm_jax.data.config import DataConfig
from lstm_jax.errors import UserError
from lstm_jax.models.config import LanguageModelConfig, ModelConfig

TASKS = ("classification", "language_model")
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle")
ON_SAVE_ERROR = ("stop", "continue")
ON_NONFINITE = ("stop", "skip")
_DECAY = 0.01
_MOST_STEPS = 2**31 - 1
_MOST_DRAWN = 400_000
# Settings that a language model does not read, by group.
_OF_NO_LANGUAGE_MODEL = {
    "data": "num_labelled num_unlabelled ngram_order max_length truncate num_buckets",
    "model": (
        "inputs embedding_file pretrained embedding_stddev gates_drawn train_embedding "
        "pooling num_logits ngram_share head_size word_dropout_rate input_dropout_rate"
    ),
    "optim": "layer_decay unfreeze_epochs",
    "train": "adversarial_norm",
}
_OF_A_LANGUAGE_MODEL = {"language_model": " ".join(asdict(LanguageModelConfig()))}


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How the parameters move."""

    optimizer: str = "adamw"
    learning_rate: float = 2e-3  # the highest the schedule reaches
    schedule: str = "one_cycle"
    warmup_fraction: float = 0.25  # of all steps, for cosine and one_cycle
    weight_decay: float = _DECAY  # adamw only
    momentum: float = 0.0  # sgd and rmsprop only
    clip_norm: float = 1.0  # of the whole gradient; 0 is no clipping
    ema_decay: float = 0.0  # evaluate a moving average of the weights; 0 is off
    accumulation_steps: int = 1  # parts that a batch is computed in
    layer_decay: float = 1.0  # times the rate, one layer further below the logits
    # Epochs after which one layer more begins to move, from the logits down.
    unfreeze_epochs: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        choice("optim.optimizer", self.optimizer, OPTIMIZERS)
        choice("optim.schedule", self.schedule, SCHEDULES)
        above("optim.learning_rate", self.learning_rate, 0.0)
        between("optim.warmup_fraction", self.warmup_fraction, 0.0, 0.99)
        between("optim.momentum", self.momentum, 0.0, 0.9999)
        between("optim.ema_decay", self.ema_decay, 0.0, 0.99999)
        at_least("optim.weight_decay", self.weight_decay, 0.0)
        at_least("optim.clip_norm", self.clip_norm, 0.0)
        between("optim.accumulation_steps", self.accumulation_steps, 1, 1_000_000)
        between("optim.layer_decay", self.layer_decay, 0.0, 1.0)
        between("optim.unfreeze_epochs", self.unfreeze_epochs, 0.0, 1_000.0)
        if self.weight_decay not in (0.0, _DECAY) and self.optimizer != "adamw":
            raise UserError(
                "optim.weight_decay: expected 0.0 where optim.optimizer is "
                f"{self.optimizer!r}, which has none, got {self.weight_decay}"
            )
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise UserError(
                "optim.momentum: expected 0.0 where optim.optimizer is "
                f"{self.optimizer!r}, which has none to set, got {self.momentum}"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long to train, and what to write meanwhile."""

    epochs: int = 8
    batch_size: int = 64  # over all devices of all hosts
    eval_batch_size: int = 256
    # How far the words' vectors of a review are also shifted, all together, the way
    # that hurts most; in root mean squares of a vector's numbers.  0 is not at all.
    adversarial_norm: float = 0.0
    monitor: str = "loss"  # of validation: what "best" means
    patience: int = 0  # epochs without a new best before stopping; 0 never stops
    log_every_steps: int = 50
    checkpoint_every_steps: int = 0  # also within an epoch; 0 is its end only
    keep_checkpoints: int = 2
    on_save_error: str = "stop"  # or "continue", when a checkpoint cannot be written
    on_nonfinite: str = "stop"  # or "skip", a step of such a loss or gradient

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        choice("train.monitor", self.monitor, ("loss", "accuracy"))
        choice("train.on_save_error", self.on_save_error, ON_SAVE_ERROR)
        choice("train.on_nonfinite", self.on_nonfinite, ON_NONFINITE)
        for name in ("epochs", "batch_size", "eval_batch_size"):
            between(f"train.{name}", getattr(self, name), 1, 1_000_000)
        between("train.log_every_steps", self.log_every_steps, 1, _MOST_STEPS)
        between("train.patience", self.patience, 0, 1_000_000)
        between("train.adversarial_norm", self.adversarial_norm, 0.0, 1_000.0)
        every = self.checkpoint_every_steps
        between("train.checkpoint_every_steps", every, 0, _MOST_STEPS)
        between("train.keep_checkpoints", self.keep_checkpoints, 1, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of one run."""

    name: str = "lstm"
    task: str = "classification"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    language_model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Refuse what cannot be run together."""
        choice("task", self.task, TASKS)
        between("seed", self.seed, 0, 2**31 - 1)
        if not re.fullmatch(r"[^/\\]{1,200}", self.name) or self.name in (".", ".."):
            raise UserError(
                "name: expected a name for a folder, without '/', of 1 to 200 letters, "
                f"got {self.name!r}"
            )
        parts = self.optim.accumulation_steps
        if self.train.batch_size % parts:
            raise UserError(
                f"train.batch_size: expected a multiple of optim.accumulation_steps "
                f"({parts}), got {self.train.batch_size}"
            )
        if self.task == "language_model":
            self._expect("model.bidirectional", False)
            self._expect_defaults(_OF_NO_LANGUAGE_MODEL)
            self._expect_all_to_be_drawn()
        else:
            self._expect_defaults(_OF_A_LANGUAGE_MODEL)
        self._expect_all_to_move()
        self._expect_shifts()

    def _expect_shifts(self) -> None:
        """Refuse shifts of what has no vectors, and what only shifts can learn from."""
        norm, count = self.train.adversarial_norm, self.data.num_unlabelled
        if norm and self.model.inputs == "one_hot":
            raise UserError(
                "train.adversarial_norm: expected 0.0 where model.inputs is "
                f'"one_hot", which has no vectors, got {norm}'
            )
        if count and not norm:
            raise UserError(
                "data.num_unlabelled: expected 0 where train.adversarial_norm is 0.0, "
                f"so that labels are all there is to learn from, got {count}"
            )
        if count and self.data.source != "imdb_reviews":
            raise UserError(
                "data.num_unlabelled: expected 0 where data.source is "
                f"{self.data.source!r}, which has no reviews without a label, got "
                f"{count}"
            )

    def _expect_all_to_be_drawn(self) -> None:
        """Refuse more words than a random number in float32 can choose from."""
        if self.language_model.num_sampled and self.data.vocab_size > _MOST_DRAWN:
            raise UserError(
                f"data.vocab_size: expected at most {_MOST_DRAWN} where "
                "language_model.num_sampled is above 0, "
                f"got {self.data.vocab_size}"
            )

    @property
    def depth(self) -> int:
        """Parts below the logits that begin to move one after the other."""
        depth = self.model.num_layers + (self.model.inputs == "embedding")
        return depth - (not self.model.train_embedding)

    def _expect_all_to_move(self) -> None:
        """Refuse to end before the lowest layer has begun to learn."""
        begins = self.depth * self.optim.unfreeze_epochs
        if begins >= self.train.epochs:
            raise UserError(
                "optim.unfreeze_epochs: expected all to move before the last of "
                f"{self.train.epochs} epochs, got {self.optim.unfreeze_epochs}, with "
                f"which the lowest part begins after {begins:g}"
            )

    def _expect_defaults(self, unread: dict[str, str]) -> None:
        """Refuse to set what the task does not read."""
        for group, fields in unread.items():
            plain = type(getattr(self, group))()
            for name in fields.split():
                self._expect(f"{group}.{name}", getattr(plain, name))

    def _expect(self, name: str, expected: Any) -> None:
        """Refuse a setting that the task cannot have otherwise."""
        got = attrgetter(name)(self)
        if got != expected:
            raise UserError(
                f'{name}: expected {expected!r} where task is "{self.task}", '
                f"got {got!r}"
            )


def default_config() -> ConfigDict:
    """The default settings, for a config file to change.

    >>> config = default_config()
    >>> config.model.hidden_size = 32
    >>> from_dict(config.to_dict()).model.hidden_size
    32
    """
    return ConfigDict(asdict(Config())).lock()


def from_dict(settings: dict[str, Any]) -> Config:
    """Check settings, of a ``ConfigDict`` or a ``config.json``, and freeze them.

    Raises:
      UserError: an unknown key, a wrong type or a value out of range, in one
        line with the name of the setting.
    """
    return _build(Config, settings, "")


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Name what differs between two configs, as ``a.b: old -> new``.

    >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
    ['a.b: 1 -> 3']
    """
    flat_old, flat_new = flatten_dict(old, sep="."), flatten_dict(new, sep=".")
    names = sorted({**flat_old, **flat_new})
    return [
        f"{name}: {flat_old.get(name)!r} -> {flat_new.get(name)!r}"
        for name in names
        if flat_old.get(name) != flat_new.get(name)
    ]


def names(settings: dict[str, Any]) -> list[str]:
    """The dotted names of all settings.

    >>> names({"a": {"b": 1}, "c": 2})
    ['a.b', 'c']
    """
    return list(flatten_dict(settings, sep="."))


def _build(cls: type, settings: Any, prefix: str) -> Any:
    """Make a dataclass from a dict, checking names and types on the way."""
    if not isinstance(settings, dict):
        raise UserError(
            f"{prefix[:-1]}: expected a group of settings, got {settings!r}"
        )
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for name in settings:
        if name not in fields:
            raise UserError(
                f"{prefix}{name}: no such setting; expected one of "
                f"{', '.join(prefix + n for n in fields)}"
            )
    return cls(**{n: _convert(fields[n], v, prefix) for n, v in settings.items()})


def _convert(spec: dataclasses.Field, value: Any, prefix: str) -> Any:
    """``value`` as the type that the field declares, or a ``UserError``."""
    name, kind = prefix + spec.name, spec.type
    assert isinstance(kind, type)  # annotations are not postponed here
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, f"{name}.")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(
            f"{name}: expected {kind.__name__}, got {value!r} ({type(value).__name__})"
        )
    # Else it cannot stand in a path, or in a line of a message.
    if kind is str and not value.isprintable():
        raise UserError(f"{name}: expected printable text, got {value!r}")
    return value
