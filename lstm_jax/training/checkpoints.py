"""Saving and restoring a run: the only place that knows Orbax."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

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


def _abstract(tree: PyTree) -> Any:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
