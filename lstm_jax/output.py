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


def lacks_room(error: OSError) -> bool:
    """Whether there is no room to write, on the disk or in a user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
