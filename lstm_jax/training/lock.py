"""One process to a folder: two runs in it would write over one another."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from lstm_jax.drafts import named
from lstm_jax.errors import UserError, reason, refusing
from lstm_jax.training.workdir import Workdir

logger = logging.getLogger(__name__)

try:
    import fcntl
except ImportError:  # Windows has none; there a run is not guarded
    fcntl = None


@contextmanager
def locked(workdir: Workdir) -> Iterator[None]:
    """Keep other processes out of the folder of a run, which is made if missing.

    The system lets go of the lock when the process ends, however it ends.

    Raises:
      UserError: another process is in it, or it cannot be written.
    """
    with refusing(f"--workdir {workdir.path}: expected a folder to write to, got"):
        workdir.path.mkdir(parents=True, exist_ok=True)
        file = workdir.lock.open("a+", encoding="utf-8")
    with file:
        _take(workdir, file)
        yield


def _take(workdir: Workdir, file: IO[str]) -> None:
    """Lock ``file`` and write into it whose it is."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise UserError(
            f"--workdir {workdir.path}: expected a folder that no other process uses, "
            f"got one of {file.read().strip() or 'a process that has just started'}; "
            "wait for it, or name another --workdir"
        ) from error
    except OSError as error:  # some network file systems have no locks
        logger.warning("%s cannot be locked: %s", workdir.path, reason(error))
    # Nothing is kept back, which would fail once more when the file is closed.
    with named(workdir.lock):
        os.ftruncate(file.fileno(), 0)
        os.write(
            file.fileno(),
            f"process {os.getpid()} on {os.uname().nodename}".encode(),
        )
