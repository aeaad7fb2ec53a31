"""``lstm-jax report``: the page of a run, written again."""

import argparse
import re
from html import unescape
from pathlib import Path

from lstm_jax.errors import UserError
from lstm_jax.paths import expand, is_there
from lstm_jax.report import write_report
from lstm_jax.training.lock import locked
from lstm_jax.training.workdir import Workdir, read_json

_COMMAND = re.compile(r"<pre><code>(.*?)</code></pre>", re.DOTALL)


def run(options: argparse.Namespace) -> None:
    """Write ``report.html`` and say where it is."""
    workdir = Workdir(expand(options.workdir, "--workdir"))
    _check_has_report(workdir)
    try:
        with locked(workdir):
            page = write_report(workdir.path, _command(workdir.report))
    except OSError as error:
        raise UserError(
            f"--workdir {workdir.path}: expected a folder to write to, got: {error}"
        ) from error
    print(page)


def _check_has_report(workdir: Workdir) -> None:
    """Before the folder is locked, which would make it."""
    if not is_there(workdir.summary):
        raise UserError(
            f"{workdir.path}: expected a finished run, got no summary.json in it"
        )
    if read_json(workdir.config).get("task") == "language_model":
        raise UserError(
            f"{workdir.path}: expected the run of a classifier, got one of a language "
            "model, which has no report"
        )


def _command(report: Path) -> str:
    """The command of the run, which only its first report knows."""
    before = (
        report.read_text(encoding="utf-8", errors="replace") if report.exists() else ""
    )
    found = _COMMAND.search(before)
    return unescape(found[1]) if found else "python train.py  # settings: config.json"
