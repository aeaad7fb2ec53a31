"""Paths as people write them."""

import errno
import os
from pathlib import Path

from lstm_jax.errors import UserError, refusing


def expand(path: str, setting: str) -> Path:
    """``path`` with the home folder in the place of a leading ``~`` or ``~user``.

    Args:
      path: as it was given.
      setting: that gave it, for the message.

    Raises:
      UserError: nobody of that name has a home folder here.

    >>> expand("runs/lstm", "--workdir").name
    'lstm'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{setting}: expected a path, got {path!r}: no such home folder"
        ) from error


def is_there(path: Path) -> bool:
    """Whether there is something that may be looked at.

    ``Path.exists`` raises PermissionError in a folder that is closed to the user.
    """
    try:
        return path.exists()
    except OSError:
        return False


def check_readable(path: str, setting: str) -> None:
    """Refuse what could not be read later; nothing is opened, which pipes take ill.

    Raises:
      UserError: there is no such file, it is a folder, or it may not be read.
    """
    place = expand(path, setting)
    with refusing(f"{setting}: expected a file to read, got {path!r}"):
        place.stat()
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(place, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
