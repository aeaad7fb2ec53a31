"""The page around what a report says: style, policy, sections and tables."""

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1b1b1b; --soft: #595959;
  --line: #d0d0d0; --panel: #f5f5f5; --alarm: #9a3b00; --alarm-panel: #fff1e6;
  --blue: 0 114 178; --orange: 230 140 0; --for: #00527f; --against: #a04a00; }
@media (prefers-color-scheme: dark) { :root { --page: #161616; --text: #ececec;
  --soft: #b0b0b0; --line: #444444; --panel: #232323; --alarm: #ffb27d;
  --alarm-panel: #3a2113; --blue: 86 180 233; --orange: 230 159 0;
  --for: #8fd0f5; --against: #ffc04d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 0.75rem; }
p { max-width: 44rem; }
.notice { border-left: 0.4rem solid var(--alarm); background: var(--alarm-panel);
  color: var(--alarm); font-weight: 600; padding: 0.75rem 1rem; max-width: none; }
.soft, figcaption { color: var(--soft); font-size: 0.9rem; }
figure { margin: 0 0 1.5rem; max-width: 50rem; }
figcaption { margin-top: 0.5rem; }
img { display: block; width: 100%; height: auto; background: #ffffff; }
.tables { columns: 24rem 2; column-gap: 2rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 1.5rem;
  table-layout: fixed; break-inside: avoid; }
caption { text-align: left; font-weight: 600; padding: 0.25rem 0; }
th, td { border-top: 1px solid var(--line); padding: 0.3rem 0.5rem 0.3rem 0;
  text-align: left; vertical-align: top; font-weight: 400; }
th { color: var(--soft); width: 60%; }
td { font-variant-numeric: tabular-nums; }
.review { white-space: pre-line; max-width: none; margin: 0.5rem 0 1rem; }
.p1, .p2, .p3, .n1, .n2, .n3 { border-radius: 0.15rem; text-underline-offset: 0.2em; }
.p1, .p2, .p3 { text-decoration: underline solid var(--for); }
.n1, .n2, .n3 { text-decoration: underline dashed var(--against); }
.p1 { background: rgb(var(--blue) / 0.12); text-decoration-thickness: 1px; }
.p2 { background: rgb(var(--blue) / 0.25); text-decoration-thickness: 2px; }
.p3 { background: rgb(var(--blue) / 0.42); text-decoration-thickness: 3px; }
.n1 { background: rgb(var(--orange) / 0.14); text-decoration-thickness: 1px; }
.n2 { background: rgb(var(--orange) / 0.28); text-decoration-thickness: 2px; }
.n3 { background: rgb(var(--orange) / 0.45); text-decoration-thickness: 3px; }
details { border-top: 1px solid var(--line); padding: 0.5rem 0; }
summary { cursor: pointer; font-weight: 600; }
pre { background: var(--panel); padding: 0.75rem 1rem; overflow-x: auto;
  overflow-wrap: normal; margin: 0 0 1.5rem; }
"""

# The page needs nothing from anywhere, and browsers are told to hold it to that.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, body: list[str]) -> str:
    """The whole page, from its title and the parts of its body."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{"".join(body)}</main>
</body>
</html>
"""


def section(heading: str, content: str) -> str:
    """A part of the page with a heading of its own; ``content`` is HTML."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{content}</section>\n"


def notice(text: str) -> str:
    """A banner; ``text`` is HTML."""
    return f'<p class="notice" role="note"><strong>Note:</strong> {text}.</p>\n'


def figure(png: bytes, alt: str, caption: str) -> str:
    """A picture inside the page, what stands for it, and what stands below it."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure>\n<img src="data:image/png;base64,{data}" alt="{escape(alt)}">\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>\n"
    )


def table(caption: str, rows: Mapping[str, Any]) -> str:
    """Rows of a name and a value; here alone are they escaped."""
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>\n'
        for name, value in rows.items()
    )
    return f"<table>\n<caption>{escape(caption)}</caption>\n{lines}</table>\n"


def in_columns(*tables: str) -> str:
    """Tables side by side, where there is room."""
    return f'<div class="tables">\n{"".join(tables)}</div>\n'
