"""``lstm-jax explain``: what each word of a text does to the verdict."""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import numpy as np

from lstm_jax.cli.marks import mark, printable
from lstm_jax.cli.model import load_predictor
from lstm_jax.data.encoding import check_lines, open_stdin
from lstm_jax.drafts import draft_of
from lstm_jax.errors import refusing
from lstm_jax.explain import explain_text
from lstm_jax.explanations import Explanation
from lstm_jax.inference import Predictor
from lstm_jax.measures import probabilities, verdicts
from lstm_jax.paths import expand
from lstm_jax.shorten import shorten

# Words of a text that are listed with their numbers: all, or the strongest.
_MOST_LISTED = 24


def run(options: argparse.Namespace) -> None:
    """Print what each word does; write a page where one is asked for."""
    text = _stdin() if options.text == "-" else options.text
    predictor = load_predictor(options)
    found = explain_text(predictor, text)
    if options.html is not None:
        _write_page(found, predictor, expand(options.html, "--html"))
    if options.format == "json":
        print(json.dumps(found.to_json(predictor.label_names), indent=2))
        return
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    names = tuple(map(printable, predictor.label_names))
    print(_describe(found, names, coloured))


def _stdin() -> str:
    """All of it, but for the line break that ``echo`` adds at the end."""
    text = "".join(check_lines(open_stdin(sys.stdin), "standard input"))
    return re.sub(r"\r?\n\Z", "", text)


def _write_page(found: Explanation, predictor: Predictor, path: Path) -> None:
    # matplotlib is imported where a page is asked for.
    from lstm_jax.report.explained import explanation_page

    page = explanation_page(found, predictor.loaded.about)
    what = f"--html: expected a file to write, got {str(path)!r}"
    with refusing(what), draft_of(path) as draft:
        draft.write_bytes(page.encode("utf-8", errors="replace"))
    print(f"{path} shows it as a page.", file=sys.stderr)


def _describe(found: Explanation, names: tuple[str, ...], coloured: bool) -> str:
    said = verdicts(found.logits[None], names)[0]
    one, other = names[found.one], names[found.other]
    gradients = found.gradients
    legend = (
        mark(f"for {one}", 3.0, 3.0, coloured),
        mark(f"for {other}", -3.0, 3.0, coloured),
    )
    parts = [
        f"{said['label']}, {said['probability']:.1%}",
        _paragraph(found, coloured),
        f"Marked by what the verdict loses without a word: {legend[0]}, {legend[1]}.",
        _table(found, one),
        f"Integrated gradients add up to {gradients.effects.sum():+.4f}; the log-odds "
        f"of {one} change by {gradients.total:+.4f} from a text of unknown words "
        f"(gap {gradients.gap:+.4f}).",
    ]
    return "\n\n".join(part for part in parts if part)


def _paragraph(found: Explanation, coloured: bool) -> str:
    """The text with its words marked."""
    lost = found.lost()
    highest = float(np.nanmax(np.abs(lost), initial=0.0))
    parts, end = [], 0
    for (start, stop), effect in zip(found.gradients.spans.tolist(), lost, strict=True):
        parts.append(printable(found.text[end:start]))
        word = printable(found.text[start:stop])
        parts.append(
            word if np.isnan(effect) else mark(word, effect, highest, coloured)
        )
        end = stop
    return "".join([*parts, printable(found.text[end:])]).strip()


def _table(found: Explanation, one: str) -> str:
    """The numbers of words, in reading order."""
    if not len(found.positions):
        return ""
    lost, chances = found.lost(), probabilities(found.reading.logits)[:, found.one]
    strength = np.abs(lost[found.positions])
    kept = np.sort(np.argsort(-strength, kind="stable")[:_MOST_LISTED])
    words = {n: shorten(printable(found.words[found.positions[n]])) for n in kept}
    width = max(len("word"), *map(len, words.values()))
    lines = [f"{'word':<{width}}  {'without':>8}  {'gradient':>8}  {one} so far"]
    for n, word in words.items():
        place = found.positions[n]
        numbers = f"{lost[place]:+8.3f}  {found.gradients.effects[place]:+8.3f}"
        lines.append(f"{word:<{width}}  {numbers}  {chances[n]:>{len(one) + 7}.1%}")
    left_out = len(found.words) - len(words)
    if left_out:
        lines.append(f"({left_out:,} weaker or unread words are left out)")
    if any(word.startswith("(") and len(word) > 1 for word in words.values()):
        lines.append("A word in parentheses is one that the model does not know.")
    return "\n".join(lines)
