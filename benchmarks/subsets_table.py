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
    """A row a run, a column a part."""
    parts = next(iter(records.values()))["test"]
    counted = [f"{part} ({found['count']:,})" for part, found in parts.items()]
    lines = [
        f"| test reviews | {' | '.join(counted)} | {_AGAINST} |",
        "|---" * (len(parts) + 2) + "|",
    ]
    for title, record in records.items():
        cells = [f"{found['accuracy']:.2%}" for found in record["test"].values()]
        cells.append(against(record["against_baseline"]))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def against(found: dict[str, Any]) -> str:
    """McNemar's test."""
    counts = f"{found['only_ours']:,}, {found['only_theirs']:,}"
    return f"{counts} (p = {found['p']:.1g})"


if __name__ == "__main__":
    readme_tables.write(tables())
