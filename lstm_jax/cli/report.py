"""``lstm-jax report``: the page of a run, written again."""

import argparse
import re
from html import unescape
from pathlib import Path

from lstm_jax.paths import expand
from lstm_jax.report import write_report
from lstm_jax.training.workdir import Workdir

_COMMAND = re.compile(r"<pre><code>(.*?)</code></pre>", re.DOTALL)


def run(options: argparse.Namespace) -> None:
    """Write ``report.html`` and say where it is."""
    folder = expand(options.workdir, "--workdir")
    print(write_report(folder, _command(Workdir(folder).report)))


def _command(report: Path) -> str:
    """The command of the run, which only its first report knows."""
    before = report.read_text(encoding="utf-8") if report.exists() else ""
    found = _COMMAND.search(before)
    return unescape(found[1]) if found else "python train.py  # settings: config.json"
