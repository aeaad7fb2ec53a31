"""What the command lines of these benchmarks have in common."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from lstm_jax.errors import UserError
from lstm_jax.training.config import Config, from_dict

ROOT = Path(__file__).resolve().parent.parent


def read_config(holder: flags.FlagHolder[Any], argv: list[str]) -> Config:
    """Parse the command line.

    Args:
      holder: the flag that names a config file.
      argv: the command line.

    Returns:
      The settings, ``--config.a.b=value`` and all.

    Raises:
      UserError: a flag, the file or a setting is not as expected.
    """
    sys.path.insert(0, str(ROOT))  # config files import one another
    try:
        flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, OSError, SyntaxError) as error:
        message = " ".join(str(error).split())
        raise UserError(f"command line: {message}") from error
    if holder.value is None:
        raise UserError("--config: expected a file under configs/, got none")
    return from_dict(holder.value.to_dict())


def report_mistakes(main: Callable[[list[str]], None], argv: list[str]) -> int:
    """Run ``main``; a user's mistake is one line and status 2."""
    try:
        main(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
