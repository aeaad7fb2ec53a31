"""Checks of single settings; each says what was expected and what was got."""

from collections.abc import Iterable

from lstm_jax.errors import UserError


def choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is none of ``choices``."""
    if value not in (choices := tuple(choices)):
        raise UserError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def at_least(name: str, value: float, low: float) -> None:
    """Refuse a number below ``low``, and what is no finite number."""
    if not low <= value < float("inf"):
        raise UserError(f"{name}: expected a number >= {low}, got {value}")


def above(name: str, value: float, low: float) -> None:
    """Refuse a number that is not above ``low``, and what is no finite number."""
    if not low < value < float("inf"):
        raise UserError(f"{name}: expected a number > {low}, got {value}")


def between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside ``[low, high]``."""
    if not low <= value <= high:
        raise UserError(f"{name}: expected a number in [{low}, {high}], got {value}")
