"""Write README's tables of speed from the files in ``results/speed/``.

python benchmarks/speed_table.py
"""

import json
import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import readme_tables

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results" / "speed"


def tables() -> dict[str, str]:
    """By the name of their marks, one a file that is there."""
    files = {name: FOLDER / f"{name}.json" for name in MAKE}
    return {
        f"speed-{name}": MAKE[name](json.loads(file.read_text()))
        for name, file in files.items()
        if file.exists()
    }


def make_step(cases: dict[str, Any]) -> str:
    """A training step, a forward pass, the other cases; a row a library."""
    plain = {name: case for name, case in cases.items() if len(name.split()) == 4}
    others = {name: case for name, case in cases.items() if name not in plain}
    tables = []
    for some in (plain, others):
        if some:
            tables.append(_table("training step, ms", "train_ms", some))
            tables.append(_table("forward pass, ms", "infer_ms", some))
    if known := {name: case for name, case in plain.items() if _largest(case)}:
        tables.append(make_shares(known))
    return "\n".join(tables)


def make_shares(cases: dict[str, Any]) -> str:
    """How near the tuned ones come in training to a large product of XLA."""
    lines = [
        f"| training, of the rate of XLA's largest product | {' | '.join(cases)} |",
        "|---" * (len(cases) + 1) + "|",
    ]
    rows = max((case["rows"] for case in cases.values()), key=len)
    for library in dict.fromkeys(x["library"] for x in rows if x["start"] == "tuned"):
        cells = [_share(case, library) for case in cases.values()]
        lines.append(f"| {library} | {' | '.join(cells)} |")
    largest = [f"{_largest(case):.0f}" for case in cases.values()]
    lines.append(f"| the product, 10⁹ operations a second | {' | '.join(largest)} |")
    return "\n".join(lines) + "\n"


def _share(case: dict[str, Any], library: str) -> str:
    for row in case["rows"]:
        if (row["library"], row["start"]) == (library, "tuned"):
            return f"{row['gigaflops_per_second'] / _largest(case):.0%}"
    return "not run"


def _largest(case: dict[str, Any]) -> float:
    """0 where it was not measured with the case."""
    return float(case["machine"].get("largest_product_gigaflops_per_second", 0))


def make_scaling(measured: dict[str, Any]) -> str:
    """What grows, in columns; time and memory of a gradient, in rows."""
    tables: dict[str, list[str]] = {}
    for name, points in measured.items():
        field, comma, rest = name.partition(",")
        sizes = " | ".join(f"{point[field]:,}" for point in points)
        head = f"| {field} | {sizes} |\n" + "|---" * (len(points) + 1) + "|"
        tables.setdefault(head, []).extend(
            f"| {unit}{comma}{rest} | {' | '.join(_sized(p[key]) for p in points)} |"
            for unit, key in (("ms", "milliseconds"), ("MB", "temporary_megabytes"))
        )
    return "\n\n".join("\n".join([head, *rows]) for head, rows in tables.items()) + "\n"


def _sized(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def make_flags(cases: dict[str, Any]) -> str:
    """A training step of ours with each of a few flags of XLA."""
    return _table("training step, ms", "train_ms", cases)


def make_gpu(cases: dict[str, Any]) -> str:
    """A training step and a forward pass; a row a case, a column a library."""
    both = (("training step, ms", "train_ms"), ("forward pass, ms", "infer_ms"))
    return "\n".join(_by_case(title, key, cases) for title, key in both)


def _by_case(title: str, key: str, cases: dict[str, Any]) -> str:
    rows = max((case["rows"] for case in cases.values()), key=len)
    libraries = [row["library"] for row in rows]
    lines = [
        f"| {title} | {' | '.join(libraries)} |",
        "|---" * (len(libraries) + 1) + "|",
    ]
    for name, case in cases.items():
        ms = {row["library"]: row[key] for row in case["rows"] if key in row}
        shown = {x: f"{t:.2f}" if t < 10 else f"{t:.1f}" for x, t in ms.items()}
        shown = {
            x: f"**{s}**" if ms[x] == min(ms.values()) else s for x, s in shown.items()
        }
        lines.append(f"| {name} | {' | '.join(shown.get(x, '') for x in libraries)} |")
    return "\n".join(lines) + "\n"


def make_job(entrants: dict[str, Any]) -> str:
    """Seconds from a command to a validation accuracy; a row an entrant."""
    targets = list(next(iter(entrants.values()))["seconds_to"])
    columns = [*targets, "of an epoch", "best of its epochs"]
    lines = [
        f"| seconds to | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, result in entrants.items():
        cells = [_fastest(result["seconds_to"][target]) for target in targets]
        best = f"{100 * result['best_accuracy']:.1f} %"
        epoch = _epoch(result["turns"])
        lines.append(f"| {' | '.join([name, *cells, epoch, best])} |")
    return "\n".join(lines) + "\n"


def _epoch(turns: list[list[dict[str, float]]]) -> str:
    """From the end of one to the end of the next, validation included; a median."""
    ends = [[epoch["seconds"] for epoch in epochs] for epochs in turns]
    between = [b - a for turn in ends for a, b in pairwise(turn)]
    return f"{statistics.median(between):.1f}" if between else "one epoch only"


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
            shown = _sized(row[key])
            return f"**{shown}**" if row[key] == best else shown
    return "not run"


MAKE: dict[str, Callable[[Any], str]] = {
    "step": make_step,
    "job": make_job,
    "scaling": make_scaling,
    "flags": make_flags,
    "gpu": make_gpu,
}

if __name__ == "__main__":
    readme_tables.write(tables())
