"""Texts that nobody has labelled: a file, or lines."""

import logging
from collections.abc import Sequence
from pathlib import Path

from lstm_jax.data.encoding import check_lines, open_text
from lstm_jax.data.files import check_ending, read_table
from lstm_jax.errors import refusing
from lstm_jax.paths import expand

logger = logging.getLogger(__name__)


def read_texts(path: str, text_column: str) -> list[str]:
    """Read the texts of a file.

    Args:
      path: ends in .csv, .tsv, .jsonl or .ndjson, with a column of texts; or in
        .txt, with a text a line; empty lines are left out, and told.
      text_column: the name of the column.

    Raises:
      UserError: the file cannot be read, or rows are bad.
    """
    if Path(path).suffix.lower() != ".txt":
        check_ending("--file", path, others=(".txt",))
        columns = {"--text-column": text_column}
        return read_table("--file", path, columns).columns[text_column]
    with (
        refusing(f"--file: expected a file to read, got {path!r}"),
        open_text(expand(path, "--file")) as file,
    ):
        return read_lines(list(check_lines(file, path)), path)


def read_lines(lines: Sequence[str], where: str) -> list[str]:
    r"""One text a line; lines that hold nothing are left out, and told.

    >>> read_lines(["A film.\n", " \n", "Another.\n"], "texts.txt")
    ['A film.', 'Another.']
    """
    texts = [stripped for line in lines if (stripped := line.strip())]
    if len(texts) < len(lines):
        logger.warning(
            "%s: %d of %d lines are empty and left out",
            *(where, len(lines) - len(texts), len(lines)),
        )
    return texts
