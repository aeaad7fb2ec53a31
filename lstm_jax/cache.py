"""What takes long to compute is kept in the user's cache folder, and found again.

The folder is ``$XDG_CACHE_HOME/lstm_jax``, else ``~/.cache/lstm_jax``.  It may be
deleted at any time: what is missing or damaged is computed again.
"""

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from lstm_jax.arrays import MOST_BYTES, read_arrays
from lstm_jax.errors import UserError
from lstm_jax.paths import expand, is_there

logger = logging.getLogger(__name__)

_LONGEST_WRITE = 24 * 3600  # seconds; a draft that is older is nobody's
_KEPT = 24  # files of a kind; the one that was not used for longest goes first


def cache_dir() -> Path:
    """The folder; nothing is made there."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expand(cache, "XDG_CACHE_HOME") / "lstm_jax"


def keep_programs() -> None:
    """Let JAX keep what it compiles, unless it was told already where to."""
    import jax  # here: those who read data do without it

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        try:
            programs = str(cache_dir() / "programs")
        except UserError as error:
            logger.warning("cannot keep programs for later: %s", error)
            return
        jax.config.update("jax_compilation_cache_dir", programs)


def remember(
    kind: str,
    depends_on: Iterable[bytes],
    compute: Callable[[], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """The arrays that ``compute`` gives, from disk when they are there.

    Args:
      kind: the folder they are kept in.
      depends_on: all that they depend on, the code included: other bytes, other arrays.
      compute: called where they are not found.
    """
    try:
        path = cache_dir() / kind / f"{digest_of(depends_on)}.npz"
    except UserError as error:  # no home folder: nothing is kept
        logger.warning("cannot keep arrays for later: %s", error)
        return compute()
    if is_there(path):
        try:
            arrays = read_arrays(path, "arrays kept for later")
            _mark_as_used(path)
            return arrays
        except UserError as error:
            logger.warning("%s; they are computed again", error)
    arrays = compute()
    if sum(array.nbytes for array in arrays.values()) > MOST_BYTES // 2:
        return arrays  # a file of them might not be read again
    try:
        _write(path, arrays)
        _forget_some(path.parent)
    except OSError as error:
        logger.warning("%s: cannot keep arrays for later: %s", path.parent, error)
    return arrays


def digest_of(parts: Iterable[bytes]) -> str:
    """A name for the bytes; where one part ends and another begins counts too."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:32]


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The whole file or none, whoever else writes it."""
    # What is kept tells of the texts that it was learned from.  The folder above may be
    # there already, made by those who keep nothing of the kind.
    cache_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _mark_as_used(path: Path) -> None:
    try:
        path.touch()
    except OSError:
        pass  # a folder that may only be read: nothing is thrown out of it either


def _forget_some(folder: Path) -> None:
    """Delete all but the files used last, and what killed processes were writing."""
    for draft in folder.glob("*.tmp"):
        if _last_used(draft) < time.time() - _LONGEST_WRITE:
            draft.unlink(missing_ok=True)
    files = sorted(folder.glob("*.npz"), key=_last_used)
    for path in files[:-_KEPT]:
        path.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process has renamed or deleted it
        return math.inf
