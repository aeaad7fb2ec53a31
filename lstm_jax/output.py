"""What is printed, wherever it goes to."""

import errno
import io
import os
import sys
from typing import Any


def print_what_can_be() -> None:
    """Let standard output print "?" for a character that its encoding has not.

    A terminal or pipe of Windows, or of a Latin-1 locale, would end the program there.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def go_on_unread() -> None:
    """Let the program go on when nobody reads any more what it prints.

    The end of a ``tee``, or of a terminal, should not be that of hours of training.
    Not on Windows, whose terminal wants more than bytes.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and os.name != "nt":
            stream.flush()
            setattr(sys, name, _unread(stream))


def _unread(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same, as to encoding, line ends and what is kept back."""
    raw = _Unread(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        # As after "python -u": nothing is kept back.
        raw if stream.write_through else io.BufferedWriter(raw),  # type: ignore[arg-type]
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Unread(io.FileIO):
    """What is written goes nowhere once the other end of it is gone."""

    def write(self, data: Any) -> int | None:
        """As of every file."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # of a pipe, of a terminal
                raise
            lead_nowhere(self.fileno())
            return super().write(data)


def lead_nowhere(descriptor: int) -> None:
    """What is still written there is lost."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def print_as_file() -> None:
    """Let standard output that goes into a file or pipe be UTF-8, as files read are."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")


def lacks_room(error: OSError) -> bool:
    """Whether there is no room to write, on the disk or in a user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
