"""Saving and restoring a run: the only place that knows Orbax."""

import functools
import hashlib
import json
import logging
import math
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.tree_util import keystr, tree_leaves_with_path

from lstm_jax.errors import UserError, reason
from lstm_jax.platforms import check_platforms
from lstm_jax.quiet import quiet
from lstm_jax.training.devices import shared_mistakes, wait_for_hosts
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree, TrainState

logger = logging.getLogger(__name__)

# Parameters of more bytes than this are not of a tiny file.
_MOST_BYTES, _MOST_TIMES = 2**28, 100


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
    """The checkpoints of one run; saves in the background.

    Each holds a digest of its parts.  What is damaged is noticed when it is read, and
    the checkpoint before it is taken.
    """

    def __init__(self, folder: Path, *, keep: int, on_save_error: str = "stop") -> None:
        """Open ``folder``.

        Args:
          folder: made when it is missing.
          keep: the number of newest checkpoints that stay.
          on_save_error: "stop" raises when a checkpoint cannot be written, such as on
            a full disk; "continue" warns.
        """
        # Orbax reports each of its steps, and failures with a traceback: these are
        # raised as well, and a user is told of them below.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        logging.getLogger("asyncio").addFilter(_is_not_of_orbax)
        _pass_over_closed_loops()
        self._folder, self._keep, self._saving = folder, keep, 0
        self._stops = on_save_error == "stop"
        self._manager = self._open()

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint of ``snapshot.progress.step``, once for each step.

        Raises:
          UserError: this one or the one before cannot be written, and the run is to
            stop then.
        """
        self.wait()
        step = snapshot.progress.step
        if step in self._manager.all_steps():
            return
        self._saving = step
        parts = _parts(snapshot) | {"progress": snapshot.progress.to_json()}
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(parts["state"]),
            best=ocp.args.StandardSave(parts["best"]),
            progress=ocp.args.JsonSave(parts["progress"]),
            digests=ocp.args.JsonSave({name: digest(x) for name, x in parts.items()}),
        )
        with self._told():
            self._manager.save(step, args=args)

    def restore(self, like: Snapshot) -> Snapshot:
        """Read the newest whole checkpoint, or give ``like`` back when there is none.

        Damaged ones are set aside, with a warning that names them.

        Raises:
          UserError: there are checkpoints, but none is whole and of such a model.
        """
        damaged: dict[int, UserError] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                with shared_mistakes():
                    parts = _read(self._folder / str(step), _parts(like))
            except UserError as error:
                damaged[step] = error
                continue
            self._set_aside(damaged, step)
            return _snapshot(parts, like)
        if damaged:
            raise next(iter(damaged.values()))  # the newest
        return like

    def wait(self) -> None:
        """Wait until everything is on disk; raises what ``save`` does."""
        with self._told():
            self._manager.wait_until_finished()

    def holds(self, step: int) -> bool:
        """Whether a checkpoint of ``step`` is there or being written."""
        return step in self._manager.all_steps()

    def close(self) -> None:
        """Wait until everything is on disk, and let go of it."""
        try:
            self.wait()
        finally:
            self._manager.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what went wrong in a save; the older checkpoints stay."""
        try:
            yield
        except Exception as error:  # each store has errors of its own
            self._open_again()
            left = self._manager.latest_step()
            message = (
                f"{self._folder}: expected to save step {self._saving}, got: "
                f"{_in_a_line(error)}; "
                + ("nothing is saved" if left is None else f"step {left} is saved")
            )
            if self._stops:
                raise UserError(
                    f"{message}; make room there, and the same command goes on"
                ) from error
            logger.warning("%s; training goes on", message)

    def _open(self) -> ocp.CheckpointManager:
        """Open the folder, without what is left of saves that came to no end."""
        if jax.process_index() == 0:
            for torn in self._folder.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(torn, ignore_errors=True)
        # A folder that cannot be made in the background keeps the threads that would
        # write into it waiting for five minutes, and the process with them.
        at_once = ocp.AsyncOptions(create_directories_asynchronously=False)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._keep, create=True, async_options=at_once
        )
        return ocp.CheckpointManager(self._folder.absolute(), options=options)

    def _open_again(self) -> None:
        """Start over after a failure, which Orbax would raise once more later on."""
        for _ in range(3):
            try:
                self._manager.close()
                break
            except Exception as error:  # the same failure, by another thread
                logger.debug("closing: %s", error)
        self._manager = self._open()

    def _set_aside(self, damaged: dict[int, UserError], whole: int) -> None:
        """Rename what is damaged, lest it be taken for the newest again."""
        for step, error in damaged.items():
            logger.warning("%s; going on from step %d", error, whole)
            if jax.process_index() == 0:
                aside = self._folder / f"{step}.damaged"
                shutil.rmtree(aside, ignore_errors=True)
                (self._folder / str(step)).rename(aside)
        wait_for_hosts("damaged checkpoints set aside")
        self._manager.reload()


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Whether a report of asyncio is not of a save that failed.

    Orbax leaves the errors of some of its futures behind, and asyncio shows them with a
    traceback whenever these are collected.  Those that TensorStore made and nobody
    awaited have no frames to tell them by, but name the unfinished file.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and error.__traceback__ is None:
        marks = (".orbax-checkpoint-tmp", "[tensorstore_spec=")
        return not all(mark in str(error) for mark in marks)
    frames = traceback.walk_tb(error.__traceback__ if error else None)
    modules = (frame.f_globals.get("__name__", "") for frame, _ in frames)
    return not any(module.partition(".")[0] == "orbax" for module in modules)


@functools.cache
def _pass_over_closed_loops() -> None:
    """Show no traceback for the other files of a save that has failed.

    When they are written, or not, their threads tell an event loop that Orbax has
    closed; Python would show that for each of them, beside the line of the failure.
    """
    show = sys.unraisablehook

    def hook(report: Any) -> None:
        """For what nobody can catch."""
        if not _is_of_a_closed_loop(report.exc_value):
            show(report)

    sys.unraisablehook = hook


def _is_of_a_closed_loop(error: BaseException | None) -> bool:
    """Whether all that failed was to call into a loop of asyncio that is closed."""
    if not isinstance(error, RuntimeError) or str(error) != "Event loop is closed":
        return False
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return all(f.f_globals.get("__name__") == "asyncio.base_events" for f in frames)


def digest(part: PyTree) -> str:
    """A name for the values of a tree, to the bit.

    Args:
      part: a tree of arrays that every host has whole, or of what JSON knows.

    >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(2)})
    True
    >>> digest({"a": np.zeros(2)}) == digest({"a": np.array([0.0, 1e-300])})
    False
    """
    found = hashlib.sha256()
    for name, leaf in sorted(_leaves(part).items()):
        if not hasattr(leaf, "dtype"):
            found.update(json.dumps([name, leaf]).encode())
            continue
        array = np.asarray(leaf)
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def read_best(folder: Path) -> PyTree:
    """Read the best parameters so far, as NumPy arrays, and leave the rest alone.

    Args:
      folder: of the checkpoints; a run may be writing there.

    Returns:
      What ``Snapshot.best`` is in the newest whole checkpoint.

    Raises:
      UserError: there is no checkpoint, none is whole, or the run has not finished an
        epoch, so that nothing was validated and the first parameters are the best.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected checkpoints, got no such folder")
    check_platforms()
    damaged: dict[Path, UserError] = {}
    # Listed each time: the run may save another, and delete those listed before.
    while steps := set(_steps(folder)) - set(damaged):
        path = max(steps, key=lambda path: int(path.name))
        try:
            parts = _read(path, {"best": None, "progress": None})
        except UserError as error:
            damaged[path] = error
            continue
        step = path.name
        for error in (e for p, e in damaged.items() if p.exists()):
            logger.warning("%s; reading step %s", error, step)
        if not Progress.from_json(parts["progress"]).best_epoch:
            raise UserError(
                f"{folder}: expected a run that has finished an epoch, got one at step "
                f"{step} of its first; the command that began it goes on"
            )
        return parts["best"]
    none = UserError(f"{folder}: expected a checkpoint, got none")
    raise next(iter(damaged.values()), none)


def _steps(folder: Path) -> list[Path]:
    # A folder that is being written has more in its name than a number.
    return [path for path in folder.iterdir() if path.name.isdigit()]


def _parts(snapshot: Snapshot) -> dict[str, PyTree]:
    state = snapshot.state._asdict()
    if state["carry"] == ():
        del state["carry"]  # which checkpoints did not always have
    return {"state": state, "best": snapshot.best, "progress": None}


def _snapshot(parts: dict[str, Any], like: Snapshot) -> Snapshot:
    """What was read, the state on the devices that ``like`` is on."""
    state = jax.tree.map(
        lambda x, old: jax.make_array_from_process_local_data(old.sharding, x),
        *(like.state._replace(**parts["state"]), like.state),
    )
    return Snapshot(state, parts["best"], Progress.from_json(parts["progress"]))


def _read(path: Path, like: dict[str, PyTree]) -> dict[str, Any]:
    """Read parts of one checkpoint, and compare them with their digests.

    Args:
      path: of the checkpoint.
      like: by the part's name, what its arrays are like, or None for anything.

    Raises:
      UserError: a part is not whole, or not like that.
    """
    try:
        for name, tree in like.items():
            if tree is not None:
                _check_shapes(path / name, tree)
            elif name == "best":
                _check_size(path / name)
        with _alone(path.parent) as manager:
            there = (path / "digests").exists()  # since they are written
            saved = manager.restore(
                int(path.name),
                args=ocp.args.Composite(
                    **{name: _how(name, tree) for name, tree in like.items()},
                    **({"digests": ocp.args.JsonRestore()} if there else {}),
                ),
            )
        for name in like:
            if name == "progress":
                Progress.from_json(saved[name])
            if there and digest(saved[name]) != saved["digests"][name]:
                raise ValueError(f"other values in {name} than were written")
    except UserError:
        raise
    except Exception as error:  # whatever damaged bytes lead to
        raise UserError(
            f"{path}: expected a whole checkpoint, got: {_in_a_line(error)}"
        ) from error
    return {name: saved[name] for name in like}


def _how(name: str, like: PyTree) -> Any:
    if name == "progress":
        return ocp.args.JsonRestore()
    if like is None:
        return ocp.args.StandardRestore()
    return ocp.args.StandardRestore(jax.tree.map(np.asarray, like))


@contextmanager
def _alone(folder: Path) -> Iterator[ocp.CheckpointManager]:
    """Open a folder for reading; no other host is waited for."""
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
    with (
        quiet("absl"),  # Orbax warns that it may not write
        ocp.CheckpointManager(folder.absolute(), options=options) as manager,
    ):
        yield manager


def _metadata(path: Path) -> PyTree:
    """Shape and kind of each array of a part; no array is read."""
    handler = ocp.StandardCheckpointHandler()
    try:
        return handler.metadata(cast(Any, path.absolute())).tree
    finally:
        handler.close()


def _check_shapes(path: Path, like: PyTree) -> None:
    """Compare names, shapes and kinds of the arrays, before any is read.

    Raises:
      UserError: they differ; the first one that does is named.
    """
    check_like(_metadata(path), like, where=str(path.parent), name=path.name)


def check_like(tree: PyTree, like: PyTree, *, where: str, name: str) -> None:
    """Compare names, shapes and kinds of the arrays of two trees.

    Args:
      tree: what was found.
      like: what the settings ask for.
      where: it was found.
      name: of the tree.

    Raises:
      UserError: they differ; the first array that does is named.
    """
    found = {leaf: _kind(x) for leaf, x in _leaves(tree).items()}
    expected = {leaf: _kind(x) for leaf, x in _leaves(like).items()}
    for leaf in sorted({*found, *expected}):
        if found.get(leaf) != expected.get(leaf):
            raise UserError(
                f"{where}: expected {name}/{leaf} to be "
                f"{expected.get(leaf, 'absent')}, as the settings say, got "
                f"{found.get(leaf, 'none')}"
            )


def _check_size(path: Path) -> None:
    """Refuse arrays of a size that no model has, before they are allocated."""
    needed = sum(
        math.prod(x.shape) * np.dtype(x.dtype).itemsize
        for x in _leaves(_metadata(path)).values()
    )
    there = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if needed > _MOST_BYTES and needed > _MOST_TIMES * there:
        raise UserError(
            f"{path.parent}: expected parameters, got files of {there:,} bytes that "
            f"would become {needed:,}"
        )


def _kind(array: Any) -> str:
    """Like ``float32[5,3]``."""
    return f"{np.dtype(array.dtype)}[{','.join(map(str, array.shape))}]"


def _leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves by their names, which are the same for a tree and its saved form.

    Orbax gives back a tuple's fields as keys.
    """
    return {
        keystr(path, simple=True, separator="/"): leaf
        for path, leaf in tree_leaves_with_path(tree)
    }


def _in_a_line(error: Exception) -> str:
    """What the system says, or the first words of an error that may be pages."""
    if isinstance(error, OSError):
        return reason(error)
    text = " ".join(str(error).split())
    if found := re.search(r"os_error_code='(\d+)'", text):
        return os.strerror(int(found[1]))
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
