"""Put tables where README and the pages it links to mark their places."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lstm_jax.drafts import draft_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "docs/accuracy.md", "docs/speed.md")]


def write(tables: Mapping[str, str]) -> None:
    """Put each table between the marks of its name."""
    for page, text in filled(tables).items():
        with draft_of(page) as draft:
            draft.write_text(text, encoding="utf-8")


def filled(tables: Mapping[str, str]) -> dict[Path, str]:
    """The pages with their tables, as they would be written.

    Raises:
      SystemExit: a table has no place, or several.
    """
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    for name, table in tables.items():
        begin = f"<!-- {name}:begin -->\n"
        places = [page for page, text in texts.items() if begin in text]
        if len(places) != 1:
            named = ", ".join(page.name for page in PAGES)
            raise SystemExit(f"{named}: expected one {begin.strip()} in all of them")
        texts[places[0]] = insert(texts[places[0]], name, table)
    return texts


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown.

    >>> print(table(["ms", "ours"], [["H64", "1.5"]]), end="")
    | ms | ours |
    |---|---|
    | H64 | 1.5 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    lines.insert(1, "|---" * len(heads) + "|")
    return "\n".join(lines) + "\n"


def insert(text: str, name: str, table: str) -> str:
    r"""``text`` with a new table.

    Raises:
      SystemExit: it has no place for it, or several.

    >>> print(insert("a<!-- t:begin -->\nold\n<!-- t:end -->b", "t", "new\n"))
    a<!-- t:begin -->
    new
    <!-- t:end -->b
    """
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"expected one {begin}{end} for the table")
    before, rest = text.split(begin)
    return before + begin + table + end + rest.split(end)[1]
