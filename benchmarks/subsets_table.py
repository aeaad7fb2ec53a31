"""Write the table of parts of the test split from ``results/subsets.json``.

python benchmarks/subsets_table.py

A row for each config, or average of several: means over the seeds.
"""

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

import pages

FILE = Path(__file__).resolve().parent.parent / "results" / "subsets.json"
_AGAINST = "right where the best linear baseline is wrong, and the other way round"


def tables() -> dict[str, str]:
    """By the name of their marks."""
    return {"subsets": make_table(json.loads(FILE.read_text()))}


def make_table(records: dict[str, Any]) -> str:
    """A row a config, a column a part."""
    parts = next(iter(records.values()))["test"]
    counted = [f"{part} ({found['count']:,})" for part, found in parts.items()]
    rows = []
    for title, runs in by_config(records).items():
        seeds = "one seed" if len(runs) == 1 else f"{len(runs)} seeds"
        cells = [f"{title}, {seeds}", *(accuracy(runs, part) for part in parts)]
        rows.append([*cells, against(runs)])
    return pages.table(["test reviews", *counted, _AGAINST], rows)


def by_config(records: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The runs of each config, in the order of the first of them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for title, record in records.items():
        found.setdefault(re.sub(r"-seed\d+", "", title), []).append(record)
    return found


def accuracy(runs: list[dict[str, Any]], part: str) -> str:
    """The mean."""
    return f"{mean(run['test'][part]['accuracy'] for run in runs):.2%}"


def against(runs: list[dict[str, Any]]) -> str:
    """The means of the counts, and the greatest chance of McNemar's tests."""
    found = [run["against_baseline"] for run in runs]
    counts = [mean(one[side] for one in found) for side in ("only_ours", "only_theirs")]
    sign, chance = "=" if len(runs) == 1 else "≤", max(one["p"] for one in found)
    return f"{counts[0]:,.0f}, {counts[1]:,.0f} (p {sign} {chance:.1g})"


if __name__ == "__main__":
    pages.write(tables())
