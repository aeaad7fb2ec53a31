"""The one exception that stands for a user's mistake, and what it says."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A mistake that the person at the keyboard can mend.

    The message is one line: what was expected, what was got, what to do.
    ``train.py`` prints it without a traceback and exits with status 2.

    >>> raise UserError("optim.learning_rate: expected a number above 0, got -1.0")
    Traceback (most recent call last):
    lstm_jax.errors.UserError: optim.learning_rate: expected a number above 0, got -1.0
    """


@contextmanager
def refusing(expected: str) -> Iterator[None]:
    """Tell a user what the system refused: ``expected``, then why.

    >>> with refusing("--file: expected a file to read, got 'a.csv'"):
    ...     open("/no/such/a.csv")
    Traceback (most recent call last):
    lstm_jax.errors.UserError: --file: expected a file to read, got 'a.csv': No such ...
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{expected}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """Say why the system refused, without the path that messages name already."""
    return error.strerror or (os.strerror(error.errno) if error.errno else str(error))


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
