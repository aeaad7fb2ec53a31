"""Files that are whole or not there, whenever the program is stopped."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lstm_jax.errors import refusing


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A file to write to, which becomes ``path`` when all of it is there.

    Until then a reader sees the old file, or none.  A draft that fails is deleted: the
    disk may be full.  Where ``path`` is a link, what it leads to is replaced;
    a pipe or a device is written to itself.

    Raises:
      OSError: it cannot be written; ``path`` is its ``filename``.
    """
    with named(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            yield path  # a pipe or a device, which nothing can stand in for
            return
        place = Path(os.path.realpath(path))  # a link goes on to be one
        # Hidden, as no file of a user's is; the ending stays: NumPy would add its own.
        draft = place.with_name(f".{place.stem}.tmp{path.suffix}")
        try:
            yield draft
            _write_through(draft)
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def draft_asked_for(path: Path) -> Iterator[Path]:
    """The same for a file that a user has named, whose folder is made if missing.

    Raises:
      UserError: it cannot be written.
    """
    with refusing(f"{path}: expected a file to write, got no folder {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with refusing(f"{path}: expected a file to write, got"), draft_of(path) as draft:
        yield draft


def _write_through(path: Path) -> None:
    """To the disk: a name that gets there before its bytes is an empty file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Say which file it was, where the system knows only that a write failed."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
