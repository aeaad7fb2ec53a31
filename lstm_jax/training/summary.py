"""``summary.json``: the numbers of a finished run and what they depend on."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from lstm_jax.training.config import Config
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree
from lstm_jax.training.task import Task

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tokenizers")


def summarize(
    config: Config,
    task: Task,
    params: PyTree,
    progress: Progress,
    *,
    test: dict[str, float] | None,
    commit: str,
) -> dict[str, Any]:
    """Put the summary together.

    Args:
      config: the settings.
      task: what was learned, from what.
      params: the best parameters.
      progress: at the end of training.
      test: loss, accuracy and count of the test split, or None without one.
      commit: of the source tree, when training began.
    """
    return {
        "config_name": config.name,
        **task.facts(progress),
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
        "input_wait_share": round(progress.input_wait_share, 4),
        "seed": config.seed,
        "device": f"{task.mesh.size} x {jax.devices()[0].device_kind}",
        "versions": _versions(),
        "commit": commit,
    }


def _versions() -> dict[str, str]:
    versions = {name: version(name) for name in _PACKAGES}
    return {"python": sys.version.split()[0], **versions}


def commit_of_source() -> str:
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
