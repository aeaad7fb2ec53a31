"""Labels as people write them, as the numbers of classes."""

from collections.abc import Sequence

import numpy as np

from lstm_jax.errors import UserError, quote, quote_all

# "pos" stands for "positive"; what is shorter could stand for anything.
_SHORTEST = 3
_SHOWN = 3


def number_labels(
    labels: Sequence[str], label_names: Sequence[str], *, where: str, lines: list[int]
) -> np.ndarray:
    """The class of each label, int32 ``[N]``.

    Args:
      labels: names of classes in any case, or shortened or lengthened ("Positive",
        "pos"); or numbers of classes, from 0, unless their names have digits.
      label_names: of the classes.
      where: the file, for the message.
      lines: where in the file each label stands.

    Raises:
      UserError: a label is none of these.

    Example:
      >>> names = ("neg", "pos")
      >>> number_labels(["Positive", "0"], names, where="a.csv", lines=[2, 3]).tolist()
      [1, 0]
    """
    known = {label: _find(label, label_names) for label in set(labels)}
    bad = [(n, x) for n, x in zip(lines, labels, strict=True) if known[x] is None]
    if bad:
        shown = "; ".join(f"line {n}: {quote(label)}" for n, label in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        names = quote_all(label_names)
        raise UserError(f"{where}: expected labels of {names}, got {shown}{more}")
    return np.array([known[label] for label in labels], np.int32)


def _find(label: str, label_names: Sequence[str]) -> int | None:
    """The class that ``label`` means, or None."""
    if label.strip() in label_names:
        return label_names.index(label.strip())
    names = [name.casefold() for name in label_names]
    wanted = label.strip().casefold()
    if names.count(wanted) == 1:
        return names.index(wanted)
    # Of "1 star" and "2 stars", is "1" the first or the second?  Neither is taken.
    if wanted.isdecimal() and not any(map(_has_digit, names)):
        number = int(wanted.lstrip("0")[:9] or "0")
        return number if number < len(names) else None
    alike = [n for n, name in enumerate(names) if _abbreviates(wanted, name)]
    return alike[0] if len(alike) == 1 else None


def _has_digit(name: str) -> bool:
    return any(c.isdecimal() for c in name)


def _abbreviates(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= _SHORTEST and long.startswith(short)
