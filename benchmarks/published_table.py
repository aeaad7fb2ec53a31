"""Write README's table of published systems from the files in ``results/published/``.

    python benchmarks/published_table.py

``write_ups.json`` has what each write-up reports, ``ours/`` the ``summary.json`` of
our runs of its config, ``peers/`` what ``benchmarks/published.py`` wrote, and
``timing.json`` what ``benchmarks/published_timing.py`` measured of both.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import pages

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results" / "published"
HEADS = (
    *("config", "its write-up reports", "peer, run here"),
    *("test accuracy: peer", "ours"),
    *("seconds an epoch: peer", "ours"),
    *("seconds to the best epoch: peer", "ours"),
)
UNKNOWN = "not run"


def tables() -> dict[str, str]:
    """By the name of their marks."""
    return {"published": make_table()}


def make_table() -> str:
    """The table, a row a write-up."""
    write_ups, timing = _read("write_ups.json"), _read("timing.json")
    rows = [
        _row(name, facts, timing.get(name, {})) for name, facts in write_ups.items()
    ]
    return pages.table(HEADS, rows)


def _row(name: str, facts: dict[str, str], timing: dict[str, Any]) -> list[str]:
    peers, ours = _runs("peers", name), _runs("ours", name)
    times = timing.get("peer", {}), timing.get("ours", {})
    return [
        f"`configs/{name}.py`",
        facts["reports"],
        peers[0]["peer"] if peers else UNKNOWN,
        *(_accuracy(runs) for runs in (peers, ours)),
        *(_seconds(time.get("seconds_an_epoch")) for time in times),
        *(_to_best(*pair) for pair in zip((peers, ours), times, strict=True)),
    ]


def _accuracy(runs: list[dict[str, Any]]) -> str:
    """Mean and deviation over seeds; a run that was cut short says so."""
    if not runs:
        return UNKNOWN
    values = [100 * run["test"]["accuracy"] for run in runs]
    if len(values) > 1:
        spread = f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} %"
        return f"{spread} ({len(values)} seeds)"
    return f"{values[0]:.2f} % ({_extent(runs[0])})"


def _extent(run: dict[str, Any]) -> str:
    epochs = run.get("epochs")
    planned = run.get("epochs_planned")
    if planned and epochs and len(epochs) < planned:
        return f"one seed, {len(epochs)} of {planned} epochs"
    return "one seed"


def _to_best(runs: list[dict[str, Any]], time: dict[str, Any]) -> str:
    """Compilation and the training steps up to the best epoch, evaluation left out."""
    if not (runs and time):
        return UNKNOWN
    epochs = statistics.mean(run["best_epoch"] for run in runs)
    return _seconds(time["seconds_compiling"] + epochs * time["seconds_an_epoch"])


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def _runs(part: str, name: str) -> list[dict[str, Any]]:
    paths = sorted((FOLDER / part).glob(f"{name}-*.json"))
    return [json.loads(path.read_text()) for path in paths]


def _read(name: str) -> dict[str, Any]:
    path = FOLDER / name
    return json.loads(path.read_text()) if path.exists() else {}


if __name__ == "__main__":
    pages.write(tables())
