"""Runs that are made once, and a file of what came out of each.

For benchmarks of many runs: the same command goes on after it was stopped.
"""

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from lstm_jax.drafts import draft_of

ROOT = Path(__file__).resolve().parent.parent


def train_once(command: list[str], folder: Path) -> dict[str, Any]:
    """Train, go on, or leave it as it is; the summary.

    Raises:
      SystemExit: the run failed, or the folder is of other settings; it said why.
    """
    # Asked of a finished run too: it returns at once where the settings are the same.
    if code := subprocess.run(command, cwd=ROOT).returncode:
        raise SystemExit(code)
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def name_cpu() -> str:
    """The processor, as the system names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if "model name" in line]
    return names[0].strip() if names else platform.processor() or platform.machine()


def keep(path: Path, name: str, row: dict[str, Any]) -> None:
    """Write a row beside the others."""
    rows = read(path) | {name: row}
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path) as draft:  # hours of runs: whole, whenever this is stopped
        draft.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """The rows so far, by their names."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
