"""Groups of records: who may not stand on both sides of the validation split."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lstm_jax.data.encoding import check_lines, open_text
from lstm_jax.errors import UserError, refusing
from lstm_jax.paths import expand


def number_groups(names: Iterable[str]) -> np.ndarray:
    """Number groups in the order in which they first appear.

    The same partition gets the same numbers whatever its groups are called, so
    that a split by movie does not depend on how the movies are named.

    Args:
      names: one name a record.

    Returns:
      int64 [N], from 0.

    >>> number_groups(["tt7", "tt3", "tt7", "tt5"])
    array([0, 1, 0, 2])
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(n, len(numbers)) for n in names], np.int64)


def read_groups(path: str | Path, count: int, *, setting: str) -> np.ndarray:
    """Read a file whose line i is the group of record i.

    Args:
      path: text file, one group (a number or a name) a line.
      count: records that need a group.
      setting: what an error message calls the file.

    Returns:
      int64 [count], numbered by ``number_groups``.

    Raises:
      UserError: no such file, another number of lines, or an empty line.
    """
    path = expand(str(path), setting)
    what = f"{setting}: expected a text file with one group a line, got {path}"
    with refusing(what), open_text(path) as file:
        # Not splitlines(): a name may hold one of the separators only it knows.
        names = [line.strip() for line in check_lines(file, str(path))]
    if len(names) != count:
        raise UserError(
            f"{setting}: expected {count} lines, one for each train record, "
            f"got {len(names)} in {path}"
        )
    if "" in names:
        line = names.index("") + 1
        raise UserError(
            f"{setting}: expected a group on every line, got an empty line {line} "
            f"in {path}"
        )
    return number_groups(names)
