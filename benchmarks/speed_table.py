"""Write README's tables of speed from the files in ``results/speed/``.

python benchmarks/speed_table.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results" / "speed"
BEGIN, END = "<!-- speed:begin -->\n", "<!-- speed:end -->"


def write_table() -> None:
    """Put the tables where README marks their place."""
    readme = ROOT / "README.md"
    readme.write_text(insert(readme.read_text(encoding="utf-8")), encoding="utf-8")


def insert(text: str) -> str:
    """``text`` with new tables between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + make_tables() + END + rest.split(END)[1]


def make_tables() -> str:
    """A training step, then a forward pass; a row a library, a column a case."""
    cases = json.loads((FOLDER / "step.json").read_text())
    return (
        _table("training step, ms", "train_ms", cases)
        + "\n"
        + _table("forward pass, ms", "infer_ms", cases)
    )


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
    return "none"


if __name__ == "__main__":
    write_table()
