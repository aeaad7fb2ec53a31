"""Files of text as people save them: UTF-8, and what is not quite."""

import io
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from lstm_jax.errors import UserError

logger = logging.getLogger(__name__)

# What "surrogateescape" makes of a byte that is not UTF-8.
_BROKEN = re.compile("[\udc80-\udcff]")
_LOOKED_AT = 64  # characters, to tell UTF-16 by the zeros between letters


def open_text(path: Path, *, newline: str | None = None) -> TextIO:
    """Open a file for ``check_lines``; a byte order mark is passed over."""
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def open_stdin(stdin: TextIO | None) -> TextIO:
    """Standard input likewise, whatever the locale says.

    Raises:
      UserError: it is closed.
    """
    if stdin is None:
        raise UserError("standard input: expected texts, got a closed one")
    if isinstance(stdin, io.TextIOWrapper):
        stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    return stdin


def check_lines(lines: Iterable[str], where: str) -> Iterator[str]:
    """The lines, with U+FFFD for what is not UTF-8, which the first of them tells.

    A broken byte in a review stops nothing: there are some in every large set.

    Args:
      lines: of ``open_text`` or ``open_stdin``.
      where: they come from, for the messages.

    Raises:
      UserError: they are UTF-16.
    """
    told = False
    for number, line in enumerate(lines, start=1):
        if number == 1 and _is_utf16(line):
            raise UserError(
                f"{where}: expected UTF-8, got what looks like UTF-16; save it as UTF-8"
            )
        broken = _BROKEN.search(line)
        if broken and not told:
            told = True
            logger.warning(
                "%s, line %d: expected UTF-8, got the byte 0x%02x; what is not UTF-8 "
                "is read as U+FFFD. If the file is Latin-1 or cp1252, save it as UTF-8",
                *(where, number, ord(broken[0]) - 0xDC00),
            )
        yield _replaced(line) if broken else line


def _is_utf16(line: str) -> bool:
    """Whether the first line of a file has the mark of UTF-16, or its zeros."""
    if line.startswith(("\udcff\udcfe", "\udcfe\udcff")):
        return True
    begin = line[:_LOOKED_AT]
    return len(begin) > 3 and any(set(begin[n::2]) == {"\0"} for n in (0, 1))


def _replaced(line: str) -> str:
    written = line.encode("utf-8", errors="surrogateescape")
    return written.decode("utf-8", errors="replace")
