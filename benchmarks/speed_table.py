"""Write the tables of speed from the files in ``results/speed/``.

python benchmarks/speed_table.py

README has the short ones, ``docs/speed.md`` all.
"""

import json
import statistics
from collections.abc import Callable
from functools import partial
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
    rows = [
        [name, *(cell for _, key in both for cell in _best_of(case["rows"], key))]
        for name, case in cases.items()
    ]
    return pages.table(["ms", *heads], rows)


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
    entries = max((case["rows"] for case in cases.values()), key=len)
    tuned = dict.fromkeys(x["library"] for x in entries if x["start"] == "tuned")
    rows = [[x, *(_share(case, x) for case in cases.values())] for x in tuned]
    largest = [f"{_largest(case):.0f}" for case in cases.values()]
    rows.append(["the product, 10⁹ operations a second", *largest])
    heads = ["training, of the rate of XLA's largest product", *cases]
    return pages.table(heads, rows)


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
    found: dict[tuple[str, ...], list[list[str]]] = {}
    for name, points in measured.items():
        field, comma, rest = name.partition(",")
        heads = field, *(f"{point[field]:,}" for point in points)
        found.setdefault(heads, []).extend(
            [f"{unit}{comma}{rest}", *(_sized(point[key]) for point in points)]
            for unit, key in (("ms", "milliseconds"), ("MB", "temporary_megabytes"))
        )
    return "\n".join(pages.table(heads, rows) for heads, rows in found.items())


def _sized(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _by_case(title: str, key: str, cases: dict[str, Any]) -> str:
    rows = max((case["rows"] for case in cases.values()), key=len)
    libraries = [row["library"] for row in rows]
    shown = []
    for name, case in cases.items():
        ms = {row["library"]: row[key] for row in case["rows"] if key in row}
        cells = {x: f"{t:.2f}" if t < 10 else f"{t:.1f}" for x, t in ms.items()}
        cells |= {x: f"**{cells[x]}**" for x in ms if ms[x] == min(ms.values())}
        shown.append([name, *(cells.get(x, "") for x in libraries)])
    return pages.table([title, *libraries], shown)


def make_job(entrants: dict[str, Any]) -> str:
    """Seconds from a command to an accuracy, of each start; a row an entrant."""
    targets = list(next(iter(entrants.values()))["seconds_to"])
    columns = [*targets, "of an epoch", "best of its epochs"]
    rows = [
        [
            name,
            *(_reached(result["seconds_to"][target]) for target in targets),
            _epoch(result["turns"]),
            f"{100 * result['best_accuracy']:.1f} %",
        ]
        for name, result in entrants.items()
    ]
    return pages.table(["seconds to", *columns], rows)


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
    rows = [
        [
            f"{library}, {start}",
            *(_cell(case["rows"], library, start, key) for case in cases.values()),
        ]
        for library, start in dict.fromkeys(entrants)
    ]
    return pages.table([title, *cases], rows)


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
    "flags": ("flags.json", partial(_table, "training step, ms", "train_ms")),
    "gpu-training": ("gpu.json", partial(_by_case, "training step, ms", "train_ms")),
    "gpu-forward": ("gpu.json", partial(_by_case, "forward pass, ms", "infer_ms")),
}

if __name__ == "__main__":
    pages.write(tables())
