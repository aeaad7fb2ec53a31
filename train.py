"""Train a model: ``python train.py --config configs/lstm.py``.

Single settings are changed by ``--config.optim.learning_rate=1e-3``.  Running the
same command again goes on where a stopped run stood.
"""

import re
import runpy
import signal
import sys
from pathlib import Path

if __name__ == "__main__":  # until main() can stop in good order: without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Flags are parsed later: a process must be prepared before the rest is imported.
_AS_IT_IS = re.compile(r"--?(noprepare_host|prepare_host=(0|f|false))", re.IGNORECASE)
if __name__ == "__main__" and not any(map(_AS_IT_IS.fullmatch, sys.argv)):
    # By its path: the package would bring JAX with it, for a process about to end.
    _HOST = runpy.run_path(str(Path(__file__).with_name("lstm_jax") / "host.py"))
    _HOST["prepare_host"]()

import difflib
import itertools
import logging
import shlex
import traceback
from collections.abc import Collection
from typing import Any

import jax
from absl import app, flags
from ml_collections import ConfigDict, config_flags

from lstm_jax.cache import keep_programs
from lstm_jax.errors import UserError
from lstm_jax.output import go_on_unread, lacks_room, print_what_can_be
from lstm_jax.paths import expand, is_there
from lstm_jax.platforms import check_platforms
from lstm_jax.training.config import Config, default_config, from_dict, names
from lstm_jax.training.interruption import Interrupted, Interruption, handle_signals
from lstm_jax.training.lock import locked
from lstm_jax.training.loop import train_and_evaluate
from lstm_jax.training.workdir import Workdir

# Errors that the flags raise when one of them is wrong.
_REFUSED = (
    flags.Error,
    AttributeError,
    KeyError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
)
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file of settings, such as configs/lstm.py."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run's files go; by default runs/<config name>."
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Join the other hosts of a TPU pod or Slurm job."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator_address", None, "With --distributed elsewhere: host:port of host 0."
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Hosts in all.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "This host's number, from 0.")
flags.DEFINE_bool(
    "prepare_host", True, "On CPU: restart with one device a core and a fit allocator."
)


def main(argv: list[str]) -> int:
    """Run the program.

    Returns:
      0 on success, 2 after a user's mistake, 143 and 130 after SIGTERM and SIGINT.
    """
    print_what_can_be()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("lstm_jax").setLevel(logging.INFO)
    try:
        config = read_flags(argv)
        if config is None:
            return 0
        keep_programs()
        if _DISTRIBUTED.value:
            join_hosts()
        # After initialize(), which would take SIGTERM for itself.
        with handle_signals() as interruption:
            check_platforms()
            run(config, f"python {shlex.join(argv)}", interruption)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, MemoryError, jax.errors.JaxRuntimeError) as error:
        if not (lack := lacking(error)):
            raise
        print(f"error: {lack}", file=sys.stderr)
        return 2
    except Interrupted as stopped:
        print(f"{stopped}. To go on: python {shlex.join(argv)}", file=sys.stderr)
        return stopped.exit_code
    return 0


def join_hosts() -> None:
    """Find the other hosts.

    Raises:
      UserError: it is not known where they are.
    """
    where = _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
    try:
        jax.distributed.initialize(*where)
    except (ValueError, IndexError) as error:
        raise UserError(
            "--distributed: expected a TPU pod, a Slurm job, or --coordinator_address="
            "host:port with --num_processes and --process_id, "
            f"got {where}: {' '.join(str(error).split())}"
        ) from error


def lacking(error: Exception) -> str:
    """What the machine has too little of, in a line; "" when it is something else."""
    if isinstance(error, OSError):
        if not lacks_room(error):
            return ""
        place = error.filename or "standard output"  # of a file, the name is known
        return (
            f"{place}: expected room to write, got: {error.strerror}; make some; the "
            "same command goes on"
        )
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return (
            "expected the model and a batch to fit into memory, got too little of it; "
            "try a smaller train.batch_size, or data.max_length (of a language model: "
            "language_model.window), in another --workdir"
        )
    return ""


def run(config: Config, command: str, interruption: Interruption) -> None:
    """Train, and let the first host write the report."""
    if _WORKDIR.value == "":
        raise UserError("--workdir: expected a folder, got ''")
    workdir = expand(_WORKDIR.value or f"runs/{config.name}", "--workdir")
    finished = is_there(workdir / "summary.json")
    summary = train_and_evaluate(config, workdir, interruption)
    if jax.process_index() > 0:
        return
    if finished:
        print(f"{workdir} holds a finished run; nothing was trained again.")
    # Only now: matplotlib would make the first step wait a second for it.
    from lstm_jax.plots import write_plots
    from lstm_jax.report import write_report

    with locked(Workdir(workdir)):
        if config.task == "language_model":
            write_plots(workdir)
            show_language_model(summary, workdir)
            return
        if not finished:
            print("Drawing pictures and explaining mistakes ...", flush=True)
        report = write_report(workdir, command)
    show(summary, report)


def read_flags(argv: list[str]) -> Config | None:
    """Parse the command line; None when it asked for help and has got it.

    Raises:
      UserError: a flag, a config file or a setting is not as expected.
    """
    app.define_help_flags()
    file = config_file(argv)
    absl = logging.getLogger("absl")
    absl.disabled, before = True, absl.disabled  # it would tell a mistake twice
    try:
        rest = flags.FLAGS(argv)
        settings = to_dict(file, _CONFIG.value)
    except (Exception, SystemExit) as error:
        if failure := failure_of(file, error):
            raise UserError(failure) from error
        if isinstance(error, SystemExit):  # after --help, with status 1
            return None
        if not isinstance(error, _REFUSED):
            raise
        raise UserError(explain(argv, error)) from error
    finally:
        absl.disabled = before
    if len(rest) > 1:
        raise UserError(f"expected flags only, got {rest[1]!r}; see --help")
    for flag in (_COORDINATOR, _NUM_PROCESSES, _PROCESS_ID):
        if flag.value is not None and not _DISTRIBUTED.value:
            raise UserError(
                f"--{flag.name}: expected it with --distributed, got it alone; without "
                "that each host would train by itself"
            )
    return from_dict(settings)


def config_file(argv: list[str]) -> str:
    """What ``--config`` names, "" when it is not there."""
    for argument, value in itertools.pairwise([*argv, ""]):
        named = re.fullmatch(r"--?config(=(.*))?", argument, re.DOTALL)
        if named:
            path = value if named[1] is None else named[2]
            return re.sub(r"(?<=\.py):.*", "", path)  # what get_config() is called with
    return ""


def to_dict(file: str, config: Any) -> dict[str, Any]:
    """The settings that a config file gave.

    Raises:
      UserError: there was none, or it gave something else.
    """
    if isinstance(config, ConfigDict):
        return config.to_dict()
    if not file:
        raise UserError("--config: expected a file (configs/offline.py), got none")
    raise UserError(
        not_a_config(file)
        or f"{file}: expected get_config() to return a changed default_config(), got "
        f"{type(config).__name__}; configs/offline.py is an example"
    )


def failure_of(file: str, error: BaseException | None) -> str:
    """Say in one line where and why a config file failed; "" when it did not."""
    if not file.endswith(".py"):
        return ""  # which is said in other words
    while error is not None and not isinstance(error, UserError):
        places = [
            (frame.filename, frame.lineno)
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        if isinstance(error, SyntaxError):
            places.append((error.filename or "", error.lineno))
        lines = [line for name, line in places if _is_same(name, file)]
        if lines:
            return failed(f"{file}, line {lines[-1]}", error)
        error = error.__context__  # the library wraps some errors
    return ""


def _is_same(name: str, file: str) -> bool:
    return bool(file) and Path(name).absolute() == Path(file).absolute()


def failed(where: str, error: BaseException) -> str:
    """The line for a config file that ends in an error."""
    why = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{where}: expected a config file that runs, got {why:.300}"


def not_a_config(file: str) -> str:
    """Say what a file is that cannot be a config; "" when it can."""
    if not Path(file).is_file():
        return f"--config: expected a file (configs/offline.py), got no {file!r}"
    if not file.endswith(".py"):
        return f"--config: expected a file of Python (.py), got {file!r}"
    return ""


def explain(argv: list[str], error: BaseException) -> str:
    """Say in one line which flag is wrong."""
    file = config_file(argv)
    if file and (wrong := not_a_config(file)):
        return wrong
    known = names(default_config().to_dict())
    for argument in argv[1:]:
        name = argument.lstrip("-").split("=")[0].removeprefix("config.")
        if argument.startswith("--config.") and name not in known:
            close = nearest(name, known)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            return f"--config.{name}: no such setting{hint}"
    of_another = isinstance(error, flags.Error) and "flag --config=" not in str(error)
    if file and flags.FLAGS["config"].value is None and not of_another:
        while error.__context__ is not None:
            error = error.__context__
        return failed(file, error)
    return f"command line: {' '.join(str(error).split())}"


def nearest(name: str, known: Collection[str]) -> list[str]:
    """Settings that may be meant: those of that name elsewhere, else like names."""
    last = name.split(".")[-1]
    elsewhere = [one for one in known if one.split(".")[-1] == last]
    return elsewhere or difflib.get_close_matches(name, known, n=3, cutoff=0.4)


def show_language_model(summary: dict, workdir: Path) -> None:
    """Print what came out and where it is."""
    print(
        f"validation: perplexity {summary['perplexity']:.1f}, next word right "
        f"{summary['val']['accuracy']:.1%}"
    )
    show_time(summary)
    print(f"Results are in {workdir}, pictures in {workdir / 'plots'}.")


def show(summary: dict, report: Path) -> None:
    """Print what came out and where it is."""
    val, test = summary["val"], summary["test"]
    print(f"validation: accuracy {val['accuracy']:.2%}, loss {val['loss']:.4f}")
    if test:
        print(
            f"test:       accuracy {test['accuracy']:.2%}, loss {test['loss']:.4f} "
            f"({test['count']:,} reviews)"
        )
    show_time(summary)
    print(f"Results are in {report.parent}; {report} shows them on one page.")


def show_time(summary: dict) -> None:
    """Print how long it took, and what is to be said of the data."""
    seconds = summary["seconds"]
    print(
        f"best epoch {summary['best_epoch']} of {summary['epochs_run']}, "
        f"{seconds['total']:.0f} s in all ({seconds['compile']:.0f} s compiling)"
    )
    if summary["notice"]:
        print(f"NOTE: {summary['notice']}.")


if __name__ == "__main__":
    go_on_unread()
    sys.exit(main(sys.argv))
