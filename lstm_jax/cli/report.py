"""``lstm-jax report``: the page of a run, written again."""

import argparse
import re
from html import unescape
from pathlib import Path

from lstm_jax.errors import UserError
from lstm_jax.paths import expand
from lstm_jax.report import write_report
from lstm_jax.training.workdir import Workdir

_COMMAND = re.compile(r"<pre><code>(.*?)</code></pre>", re.DOTALL)


def run(options: argparse.Namespace) -> None:
    """Write ``report.html`` and say where it is."""
    folder = expand(options.workdir, "--workdir")
    try:
        page = write_report(folder, _command(Workdir(folder).report))
    except OSError as error:
        raise UserError(
            f"--workdir {folder}: expected a folder to write to, got: {error}"
        ) from error
    print(page)


def _command(report: Path) -> str:
    """The command of the run, which only its first report knows."""
    before = (
        report.read_text(encoding="utf-8", errors="replace") if report.exists() else ""
    )
    found = _COMMAND.search(before)
    return unescape(found[1]) if found else "python train.py  # settings: config.json"
