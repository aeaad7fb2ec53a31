"""Time training steps of the five published systems, ours and their peers'.

    python benchmarks/published_timing.py --steps 40 [--config.data....=... for both]

Each is timed in a process of its own, in turns, as its users start it, with nothing
else on the machine; of several turns the fastest counts.  Writes
``results/published/timing.json``, one entry a config, as it goes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rows import keep

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "published" / "timing.json"
WRITE_UPS = ROOT / "results" / "published" / "write_ups.json"


def main() -> None:
    """Time every config, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="names of configs; all by default")
    arguments, settings = parser.parse_known_args()
    names = arguments.only or list(json.loads(WRITE_UPS.read_text()))
    for name in names:
        result = time_config(name, arguments, settings)
        keep(OUTPUT, name, result)
        print(json.dumps({name: result}, indent=2), flush=True)


def time_config(
    name: str, arguments: argparse.Namespace, settings: list[str]
) -> dict[str, Any]:
    """Both in turns; the fastest turn of each."""
    what = (name, arguments.steps, settings)
    turns = [
        {"peer": _peer(*what), "ours": _ours(*what)} for _ in range(arguments.turns)
    ]
    return {
        who: min((turn[who] for turn in turns), key=lambda t: t["seconds_an_epoch"])
        for who in ("peer", "ours")
    }


def _ours(name: str, steps: int, settings: list[str]) -> dict[str, Any]:
    return json.loads(_run("time_training.py", name, steps, settings))


def _peer(name: str, steps: int, settings: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        _run("published.py", name, steps, [*settings, "--output", folder])
        (path,) = Path(folder).glob("*-timing.json")
        return json.loads(path.read_text())


def _run(script: str, name: str, steps: int, settings: list[str]) -> str:
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / script),
        *("--config", str(ROOT / "configs" / f"{name}.py")),
        *("--steps", str(steps)),
        *settings,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
