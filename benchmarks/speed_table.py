"""Write the tables of speed from the files in ``results/speed/``.

python benchmarks/speed_table.py

README has the short ones, ``docs/speed.md`` all.
"""

import json
import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pages

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results" / "speed"


def tables() -> dict[str, str]:
    """By the name of their marks, one a file that is there."""
    return {
        f"speed-{name}": make(json.loads((FOLDER / file).read_text()))
        for name, (file, make) in MAKE.items()
        if (FOLDER / file).exists()
    }


def make_short(cases: dict[str, Any]) -> str:
    """Ours, torch, and the best of the others, each by the start that suits it."""
    both = (("training", "train_ms"), ("forward", "infer_ms"))
    heads = [
        f"{what}: {who}" for what, _ in both for who in ("ours", "torch", "others")
    ]
    lines = [f"| ms | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name, case in cases.items():
        cells = [cell for _, key in both for cell in _best_of(case["rows"], key)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _best_of(rows: list[dict[str, Any]], key: str) -> list[str]:
    """Milliseconds of ours, of torch, and of the best of the others with its name."""
    slower_first = sorted(rows, key=lambda row: -row[key])
    ms = {row["library"]: row[key] for row in slower_first}
    others = {k: v for k, v in ms.items() if k != "torch" and "ours" not in k}
    name = min(others, key=others.__getitem__)
    shown = {"": ms["ours, fused"], " ": ms["torch"], f" {name}": others[name]}
    best = min(shown.values())
    cells = {end: f"{_sized(ms)}{end}".strip() for end, ms in shown.items()}
    return [f"**{cells[end]}**" if shown[end] == best else cells[end] for end in shown]


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


def make_gpu_training(cases: dict[str, Any]) -> str:
    """A row a case, a column a library."""
    return _by_case("training step, ms", "train_ms", cases)


def make_gpu_forward(cases: dict[str, Any]) -> str:
    """The same of a forward pass."""
    return _by_case("forward pass, ms", "infer_ms", cases)


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
    """Seconds from a command to an accuracy, of each start; a row an entrant."""
    targets = list(next(iter(entrants.values()))["seconds_to"])
    columns = [*targets, "of an epoch", "best of its epochs"]
    lines = [
        f"| seconds to | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, result in entrants.items():
        cells = [_reached(result["seconds_to"][target]) for target in targets]
        best = f"{100 * result['best_accuracy']:.1f} %"
        epoch = _epoch(result["turns"])
        lines.append(f"| {' | '.join([name, *cells, epoch, best])} |")
    return "\n".join(lines) + "\n"


def _epoch(turns: list[list[dict[str, float]]]) -> str:
    """From the end of one to the end of the next, validation included; a median."""
    ends = [[epoch["seconds"] for epoch in epochs] for epochs in turns]
    between = [b - a for turn in ends for a, b in pairwise(turn)]
    return f"{statistics.median(between):.1f}" if between else "one epoch only"


def _reached(seconds: list[float | None]) -> str:
    reached = [f"{value:.0f}" for value in seconds if value is not None]
    return ", ".join(reached) or "never"


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


# By the ends of their marks.
MAKE: dict[str, tuple[str, Callable[[Any], str]]] = {
    "short": ("step.json", make_short),
    "step": ("step.json", make_step),
    "job": ("job.json", make_job),
    "scaling": ("scaling.json", make_scaling),
    "flags": ("flags.json", make_flags),
    "gpu-training": ("gpu.json", make_gpu_training),
    "gpu-forward": ("gpu.json", make_gpu_forward),
}

if __name__ == "__main__":
    pages.write(tables())
