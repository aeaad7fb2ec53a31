"""What is printed, wherever it goes to."""

import errno
import io
import sys


def print_what_can_be() -> None:
    """Let standard output print "?" for a character that its encoding has not.

    A terminal or pipe of Windows, or of a Latin-1 locale, would end the program there.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def print_as_file() -> None:
    """Let standard output that goes into a file or pipe be UTF-8, as files read are."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")


def lacks_room(error: OSError) -> bool:
    """Whether there is no room to write, on the disk or in a user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
