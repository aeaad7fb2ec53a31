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
    """A training step, a forward pass, the other cases; a row a library."""
    plain = {name: case for name, case in cases.items() if len(name.split()) == 4}
    others = {name: case for name, case in cases.items() if name not in plain}
    tables = [
        _table("training step, ms", "train_ms", plain),
        _table("forward pass, ms", "infer_ms", plain),
        make_limits(plain),
        _table("training step, ms", "train_ms", others),
        _table("forward pass, ms", "infer_ms", others),
    ]
    return "\n".join(tables)


def make_limits(cases: dict[str, Any]) -> str:
    """The share of the largest product that the tuned ones reach in training."""
    lines = [
        f"| share of the product limit, training | {' | '.join(cases)} |",
        "|---" * (len(cases) + 1) + "|",
    ]
    rows = [
        [row for row in c["rows"] if row["start"] == "tuned"] for c in cases.values()
    ]
    for library in dict.fromkeys(row["library"] for row in max(rows, key=len)):
        cells = [_share(case, library) for case in cases.values()]
        lines.append(f"| {library} | {' | '.join(cells)} |")
    limits = [
        c["machine"]["matrix_product_gigaflops_per_second"] for c in cases.values()
    ]
    lines.append(f"| limit, 10⁹ operations a second | {' | '.join(map(str, limits))} |")
    return "\n".join(lines) + "\n"


def _share(case: dict[str, Any], library: str) -> str:
    limit = case["machine"]["matrix_product_gigaflops_per_second"]
    for row in case["rows"]:
        if (row["library"], row["start"]) == (library, "tuned"):
            return f"{row['gigaflops_per_second'] / limit:.0%}"
    return "not run"


def make_scaling(measured: dict[str, Any]) -> str:
    """A row a point: what grows, and time and memory of a gradient."""
    lines = ["| what grows | it is | ms | temporary MB |", "|---|---|---|---|"]
    for name, points in measured.items():
        field = name.partition(",")[0]
        for point in points:
            memory = f"{point['temporary_megabytes']:,.0f}"
            shown = f"{point[field]:,} | {point['milliseconds']:,.1f} | {memory}"
            lines.append(f"| {name} | {shown} |")
    return "\n".join(lines) + "\n"


def make_flags(cases: dict[str, Any]) -> str:
    """A training step of ours with each of a few flags of XLA."""
    return _table("training step, ms", "train_ms", cases)


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
    "scaling": make_scaling,
    "flags": make_flags,
}

if __name__ == "__main__":
    readme_tables.write(tables())
