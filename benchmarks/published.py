"""Run the peer of a published LSTM: the library it was written in, on our data.

    python benchmarks/published.py --config configs/keras_lstm_200.py --seed 0 \
        --output results/published

Five configs under ``configs/`` are the settings of five write-ups; this trains what
their readers would train, in Keras or PyTorch (the ``[bench]`` extra), with those
settings, on the split and the tokens of the config.  The best epoch is chosen on
validation; the test reviews are read once, with its weights.  The same command goes on
where a stopped run stood.  With ``--steps`` nothing is trained: steps are timed.
"""

import dataclasses
import importlib
import json
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from absl import flags
from ml_collections import config_flags
from published_flags import read_config, report_mistakes
from published_record import Record, open_record
from rows import name_cpu

from lstm_jax.data.batches import Encoded
from lstm_jax.data.datasets import Datasets, load_datasets
from lstm_jax.errors import UserError
from lstm_jax.training.config import Config

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A config of a write-up, such as configs/keras_lstm_200.py."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the weights and the order of reviews.")
_OUTPUT = flags.DEFINE_string("output", "results/published", "The folder of results.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "For the weights; by default runs/published/<name of the result>."
)
_LIBRARY = flags.DEFINE_enum(
    "library", None, ["keras", "torch"], "By default the one of the write-up."
)
_BY_LENGTH = flags.DEFINE_bool(
    "by_length", False, "With torch: batches of reviews of like length."
)
_EPOCHS = flags.DEFINE_integer("epochs", None, "Stop earlier than the config says.")
_STEPS = flags.DEFINE_integer("steps", None, "Only time this many training steps.")

_WARMUP_STEPS = 3

# The names of the configs begin with the library of the write-up.
_PEERS = {
    "keras": ("published_keras", "KerasPeer"),
    "torch": ("published_torch", "TorchPeer"),
}


class Peer(Protocol):
    """What the two libraries have in common."""

    name: str
    packages: tuple[str, ...]
    threads: int
    num_parameters: int
    facts: dict[str, Any]

    def fit(self, record: Record, epochs: int) -> None:
        """Train up to ``epochs`` epochs in all, from where ``record`` stands."""
        ...

    def evaluate(self, record: Record, split: Encoded) -> dict[str, float]:
        """The loss and accuracy of the best epoch on ``split``."""
        ...

    def time_steps(self, count: int) -> tuple[list[float], int]:
        """Seconds of ``count`` training steps, and how many there are in an epoch.

        Where anything is compiled, it is in the first step.
        """
        ...


def main(argv: list[str]) -> None:
    """Train, or time, and write one JSON object."""
    config = dataclasses.replace(read_config(_CONFIG, argv), seed=_SEED.value)
    library = _LIBRARY.value or library_of(config)
    output = Path(_OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    if _STEPS.value:
        name = f"{config.name}-{library}-timing"
        result = time_peer(config, library, _STEPS.value)
    else:
        name = f"{config.name}-{library}-seed{config.seed}"
        workdir = Path(_WORKDIR.value or f"runs/published/{name}")
        result = run_peer(config, library, workdir, _EPOCHS.value)
    result = {"config_name": config.name, **result}
    text = json.dumps(result, indent=2) + "\n"
    (output / f"{name}.json").write_text(text)
    print(text, end="")


def run_peer(
    config: Config, library: str, workdir: Path, epochs: int | None
) -> dict[str, Any]:
    """Train the peer, or go on with it, and test its best epoch."""
    record = open_record(workdir, dataclasses.asdict(config), config.train.monitor)
    data = load(config)
    peer = make_peer(config, library, data)
    last = min(epochs or config.train.epochs, config.train.epochs)
    if len(record.epochs) < last and not record.stopped(config.train.patience):
        peer.fit(record, last)
    return summarize(peer, config, data, record)


def summarize(
    peer: Peer, config: Config, data: Datasets, record: Record
) -> dict[str, Any]:
    """Test the best epoch; the result of a run."""
    if data.test is None:
        raise UserError("data: expected a corpus with a test split")
    test = peer.evaluate(record, data.test)
    return {
        **describe(peer, config),
        "counts": {"train": len(data.train.labels), "val": len(data.val.labels)},
        "validation_by_group": data.corpus.train.groups is not None,
        "epochs_planned": config.train.epochs,
        "epochs": record.epochs,
        "best_epoch": record.best_epoch,
        "val": record.epochs[record.best_epoch - 1]["val"],
        "test": {
            "loss": round(test["loss"], 6),
            "accuracy": round(test["accuracy"], 6),
            "count": len(data.test.labels),
        },
        "seconds": seconds_of(record),
    }


def time_peer(config: Config, library: str, count: int) -> dict[str, Any]:
    """Time training steps on the batches of a first epoch."""
    peer = make_peer(config, library, load(config))
    every, steps = peer.time_steps(_WARMUP_STEPS + count)
    seconds = every[_WARMUP_STEPS:]
    return {
        **describe(peer, config),
        "steps_timed": count,
        "steps_an_epoch": steps,
        "seconds_a_step": round(statistics.median(seconds), 5),
        # Batches are not of one length: the mean, unlike the median, adds up.
        "seconds_an_epoch": round(statistics.mean(seconds) * steps, 2),
        "seconds_compiling": round(max(every[0] - statistics.median(seconds), 0.0), 2),
    }


def library_of(config: Config) -> str:
    """The library of a write-up, from the name of its config.

    Raises:
      UserError: the config is of no write-up.
    """
    library = config.name.partition("_")[0]
    if library not in _PEERS:
        raise UserError(
            f"--config: expected a config whose name begins with "
            f"{' or '.join(_PEERS)}, got {config.name!r}"
        )
    return library


def load(config: Config) -> Datasets:
    """The data of the config; the vocabulary is learned again, the same each time."""
    nowhere = Path("no text was saved by a run")
    logits = config.model.num_logits
    return load_datasets(config.data, num_logits=logits, text_dir=nowhere)


def make_peer(config: Config, library: str, data: Datasets) -> Peer:
    """Import the one library that is needed, and build its model.

    Raises:
      UserError: it is not installed.
    """
    module, name = _PEERS[library]
    options = {"by_length": True} if _BY_LENGTH.value else {}
    try:
        return getattr(importlib.import_module(module), name)(config, data, **options)
    except ModuleNotFoundError as error:
        raise UserError(
            f'{error.name}: expected to be installed, is not; pip install -e ".[bench]"'
        ) from error


def describe(peer: Peer, config: Config) -> dict[str, Any]:
    """What the numbers are numbers of."""
    packages = ("lstm-jax", *peer.packages)
    versions = {name: version(name) for name in packages}
    return {
        "peer": peer.name,
        "seed": config.seed,
        "num_parameters": peer.num_parameters,
        **peer.facts,
        "device": f"{name_cpu()}, {peer.threads} threads",
        "versions": {"python": platform.python_version(), **versions},
    }


def seconds_of(record: Record) -> dict[str, float | None]:
    """Times of a run; evaluation is in none of them."""
    train = [epoch["train_seconds"] for epoch in record.epochs]
    return {
        "startup_and_compile": record.startup_seconds,
        "epoch": round(statistics.median(train), 2),
        "to_best": round(sum(train[: record.best_epoch]), 2),
    }


if __name__ == "__main__":
    sys.exit(report_mistakes(main, sys.argv))
