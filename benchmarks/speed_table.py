"""Write README's tables of speed from the files in ``results/speed/``.

python benchmarks/speed_table.py
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import readme_tables

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results" / "speed"


def tables() -> dict[str, str]:
    """By the name of their marks, one a file."""
    return {
        f"speed-{name}": make(json.loads((FOLDER / f"{name}.json").read_text()))
        for name, make in MAKE.items()
    }


def make_step(cases: dict[str, Any]) -> str:
    """A training step, then a forward pass; a row a library, a column a case."""
    return (
        _table("training step, ms", "train_ms", cases)
        + "\n"
        + _table("forward pass, ms", "infer_ms", cases)
    )


def make_job(entrants: dict[str, Any]) -> str:
    """Seconds from a command to a validation accuracy; a row an entrant."""
    targets = list(next(iter(entrants.values()))["seconds_to"])
    lines = [
        f"| seconds to | {' | '.join(targets)} | best of its epochs |",
        "|---" * (len(targets) + 2) + "|",
    ]
    for name, result in entrants.items():
        cells = [_fastest(result["seconds_to"][target]) for target in targets]
        best = f"{100 * result['best_accuracy']:.1f} %"
        lines.append(f"| {' | '.join([name, *cells, best])} |")
    return "\n".join(lines) + "\n"


def _fastest(seconds: list[float | None]) -> str:
    reached = [value for value in seconds if value is not None]
    return f"{min(reached):.0f}" if reached else "never"


def _table(title: str, key: str, cases: dict[str, Any]) -> str:
    entrants = [
        (row["library"], row["start"])
        for row in max((case["rows"] for case in cases.values()), key=len)
    ]
    lines = [
        f"| {title} | {' | '.join(cases)} |",
        "|---" * (len(cases) + 1) + "|",
    ]
    for library, start in dict.fromkeys(entrants):
        cells = [_cell(case["rows"], library, start, key) for case in cases.values()]
        lines.append(f"| {library}, {start} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(rows: list[dict[str, Any]], library: str, start: str, key: str) -> str:
    """Milliseconds; the best of a case is bold."""
    best = min(row[key] for row in rows)
    for row in rows:
        if (row["library"], row["start"]) == (library, start):
            shown = f"{row[key]:,.0f}" if row[key] >= 100 else f"{row[key]:.1f}"
            return f"**{shown}**" if row[key] == best else shown
    return "not run"


MAKE: dict[str, Callable[[Any], str]] = {
    "step": make_step,
    "job": make_job,
}

if __name__ == "__main__":
    readme_tables.write(tables())
