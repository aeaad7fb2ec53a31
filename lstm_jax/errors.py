"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake that the person at the keyboard can mend.

    The message is one line: what was expected, what was got, what to do.
    ``train.py`` prints it without a traceback and exits with status 2.

    >>> raise UserError("optim.learning_rate: expected a number above 0, got -1.0")
    Traceback (most recent call last):
    lstm_jax.errors.UserError: optim.learning_rate: expected a number above 0, got -1.0
    """
