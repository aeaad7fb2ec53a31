"""Write README's table of parts of the test split from ``results/subsets.json``.

python benchmarks/subsets_table.py
"""

import json
from pathlib import Path
from typing import Any

import readme_tables

FILE = Path(__file__).resolve().parent.parent / "results" / "subsets.json"
_AGAINST = "right where the best linear baseline is wrong, and the other way round"


def tables() -> dict[str, str]:
    """By the name of their marks."""
    return {"subsets": make_table(json.loads(FILE.read_text()))}


def make_table(records: dict[str, Any]) -> str:
    """A row a part, a column a run."""
    first = next(iter(records.values()))
    lines = [
        f"| test reviews | how many | {' | '.join(records)} |",
        "|---" * (len(records) + 2) + "|",
    ]
    for part, found in first["test"].items():
        cells = [f"{r['test'][part]['accuracy']:.2%}" for r in records.values()]
        lines.append(f"| {part} | {found['count']:,} | {' | '.join(cells)} |")
    against = [_against(record["against_baseline"]) for record in records.values()]
    lines.append(f"| {_AGAINST} | | {' | '.join(against)} |")
    return "\n".join(lines) + "\n"


def _against(found: dict[str, Any]) -> str:
    """McNemar's test."""
    counts = f"{found['only_ours']:,}, {found['only_theirs']:,}"
    return f"{counts} (p = {found['p']:.1g})"


if __name__ == "__main__":
    readme_tables.write(tables())
