"""Saving and restoring a run: the only place that knows Orbax."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from lstm_jax.errors import UserError
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree, TrainState


class Snapshot(NamedTuple):
    """All that is needed to go on, in one checkpoint, so that its parts agree.

    Attributes:
      state: on the devices.
      best: the parameters with the best validation so far, on the host.
      progress: counters.
    """

    state: TrainState
    best: PyTree
    progress: Progress


class Checkpoints:
    """The checkpoints of one run; saves in the background."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        """Open ``folder``, keeping the ``keep`` newest checkpoints."""
        # Orbax reports each of its steps; a user only needs its warnings.
        logging.getLogger("absl").setLevel(logging.WARNING)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint of ``snapshot.progress.step``, once for each step."""
        step = snapshot.progress.step
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(snapshot.state._asdict()),
                best=ocp.args.StandardSave(snapshot.best),
                progress=ocp.args.JsonSave(snapshot.progress.to_json()),
            ),
        )

    def restore(self, like: Snapshot) -> Snapshot:
        """Read the newest checkpoint, or give ``like`` back when there is none."""
        step = self._manager.latest_step()
        if step is None:
            return like
        saved = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(_abstract(like.state._asdict())),
                best=ocp.args.StandardRestore(jax.tree.map(np.asarray, like.best)),
                progress=ocp.args.JsonRestore(),
            ),
        )
        progress = Progress.from_json(saved["progress"])
        return Snapshot(TrainState(**saved["state"]), saved["best"], progress)

    def close(self) -> None:
        """Wait until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def read_best(folder: Path) -> PyTree:
    """Read the best parameters so far, as NumPy arrays, and leave the rest alone.

    Args:
      folder: of the checkpoints; a run may be writing there.

    Returns:
      What ``Snapshot.best`` is in the newest checkpoint.

    Raises:
      UserError: there is no checkpoint.
    """
    # One host may ask without the others: none of them is waited for.
    host = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=host, active_processes={host}, barrier_sync_key_prefix=f"{host}"
    )
    options = ocp.CheckpointManagerOptions(
        read_only=True,
        create=False,
        save_interval_steps=0,
        multiprocessing_options=alone,
    )
    if not folder.is_dir():
        raise UserError(f"{folder}: expected checkpoints, got no such folder")
    with _quiet(), ocp.CheckpointManager(folder.absolute(), options=options) as manager:
        step = manager.latest_step()
        if step is None:
            raise UserError(f"{folder}: expected a checkpoint, got none")
        best = ocp.args.Composite(best=ocp.args.StandardRestore())
        return manager.restore(step, args=best)["best"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Orbax from warning that it may not write."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _abstract(tree: PyTree) -> Any:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
