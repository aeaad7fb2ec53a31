"""Where ``lstm-jax`` begins and ends: flags, errors, exit status.

Nothing heavy is imported before it is known what to do.
"""

import importlib
import sys

from lstm_jax.cache import keep_programs
from lstm_jax.cli.parser import make_parser
from lstm_jax.errors import UserError
from lstm_jax.host import prepare_host
from lstm_jax.output import lacks_room, lead_nowhere, print_what_can_be

_INTERRUPTED, _BROKEN_PIPE = 130, 141  # as a shell reports the two signals


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 on success, 2 after a user's mistake.

    Args:
      argv: the flags; None takes those of the process, and prepares it first.
    """
    print_what_can_be()
    try:
        if sys.stdout is None:  # as after ">&-"
            raise UserError("expected a standard output to write to, got a closed one")
        options = make_parser().parse_args(argv)
        if argv is None and options.prepare_host:
            prepare_host()
            keep_programs()
        command = importlib.import_module(f"lstm_jax.cli.{options.command}")
        command.run(options)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        _print_nothing_more()  # whoever reads has enough
        return _BROKEN_PIPE
    except OSError as error:
        if not lacks_room(error):
            raise
        _print_nothing_more()
        place = error.filename or "standard output"
        print(
            f"error: {place}: expected room to write, got: {error.strerror}",
            file=sys.stderr,
        )
        return 2
    return 0


def _print_nothing_more() -> None:
    """What is still to be flushed goes nowhere."""
    lead_nowhere(sys.stdout.fileno())
