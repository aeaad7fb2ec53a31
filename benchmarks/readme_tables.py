"""Put tables where README marks their places."""

from collections.abc import Mapping
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def write(tables: Mapping[str, str]) -> None:
    """Put each table between the marks of its name."""
    text = insert(README.read_text(encoding="utf-8"), tables)
    README.write_text(text, encoding="utf-8")


def insert(text: str, tables: Mapping[str, str]) -> str:
    r"""``text`` with new tables.

    Raises:
      SystemExit: it has no place for one.

    >>> print(insert("a<!-- t:begin -->\nold\n<!-- t:end -->b", {"t": "new\n"}))
    a<!-- t:begin -->
    new
    <!-- t:end -->b
    """
    for name, table in tables.items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise SystemExit(f"README.md: expected one {begin}{end} for the table")
        before, rest = text.split(begin)
        text = before + begin + table + end + rest.split(end)[1]
    return text
