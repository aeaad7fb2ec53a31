"""``summary.json``: the numbers of a finished run and what they depend on."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from lstm_jax.data.batches import padding_share, plan_epoch
from lstm_jax.data.datasets import Datasets
from lstm_jax.training.config import Config
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tokenizers")


def summarize(
    config: Config,
    data: Datasets,
    params: PyTree,
    progress: Progress,
    *,
    test: dict[str, float] | None,
    num_devices: int,
) -> dict[str, Any]:
    """Put the summary together.

    Args:
      config: the settings.
      data: what was trained on.
      params: the best parameters.
      progress: at the end of training.
      test: loss, accuracy and count of the test split, or None without one.
      num_devices: that the batch was split over.
    """
    counts = {
        "train": len(data.train.labels),
        "val": len(data.val.labels),
        "test": 0 if data.test is None else len(data.test.labels),
    }
    return {
        "config_name": config.name,
        "dataset": data.corpus.name,
        "notice": data.corpus.notice,
        "label_names": list(data.corpus.label_names),
        "validation_by_group": data.corpus.train.groups is not None,
        "counts": counts,
        "vocab_size": data.text.tokenizer.get_vocab_size(),
        "num_parameters": sum(x.size for x in jax.tree.leaves(params)),
        "epochs_run": progress.epochs,
        "best_epoch": progress.best_epoch,
        "skipped_steps": progress.skipped_steps,
        "val": progress.best_val,
        "test": test,
        "seconds": {
            "total": round(progress.total_seconds, 2),
            "compile": round(progress.compile_seconds, 2),
            "train": round(progress.train_seconds, 2),
        },
        "reviews_per_second": _speed(counts["train"], progress),
        "input_wait_share": round(progress.input_wait_share, 4),
        "padding_share": round(_padding(config, data), 4),
        "seed": config.seed,
        "device": f"{num_devices} x {jax.devices()[0].device_kind}",
        "versions": _versions(),
        "commit": _commit(),
    }


def _speed(train_count: int, progress: Progress) -> float:
    reviews = train_count * progress.epochs
    return round(reviews / max(progress.train_seconds, 1e-9), 1)


def _padding(config: Config, data: Datasets) -> float:
    lengths = data.train.lengths
    plan = plan_epoch(
        lengths, data.widths, config.train.batch_size, seed=config.seed, epoch=0
    )
    return padding_share(plan, lengths)


def _versions() -> dict[str, str]:
    versions = {name: version(name) for name in _PACKAGES}
    return {"python": sys.version.split()[0], **versions}


def _commit() -> str:
    """The commit of the source tree, "" when it is not one."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    # Installed inside somebody's repository, this file is not one of theirs.
    ours = _output([*git, "ls-files", here.name])
    return ours and _output([*git, "describe", "--always", "--dirty", "--abbrev=12"])


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
