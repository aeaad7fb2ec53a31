"""The one exception that stands for a user's mistake, and how it quotes."""

from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the person at the keyboard can mend.

    The message is one line: what was expected, what was got, what to do.
    ``train.py`` prints it without a traceback and exits with status 2.

    >>> raise UserError("optim.learning_rate: expected a number above 0, got -1.0")
    Traceback (most recent call last):
    lstm_jax.errors.UserError: optim.learning_rate: expected a number above 0, got -1.0
    """


_LONGEST, _MOST = 60, 10


def quote(text: str) -> str:
    """``text`` as a message quotes it: of a long one, how it begins.

    >>> quote("film"), len(quote("film " * 10**6))
    ("'film'", 64)
    """
    quoted = repr(text[: _LONGEST + 1])
    return quoted if len(quoted) <= _LONGEST + 2 else f"{quoted[:_LONGEST]} ..."


def quote_all(texts: Iterable[str]) -> str:
    """The first of many, and how many more there are.

    >>> quote_all(["film", "plot"]), quote_all(map(str, range(99)))[-15:]
    ("'film', 'plot'", "'9' and 89 more")
    """
    listed = list(texts)
    more = len(listed) - _MOST
    first = ", ".join(map(quote, listed[:_MOST]))
    return first + (f" and {more} more" if more > 0 else "")
