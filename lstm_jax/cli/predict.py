"""``lstm-jax predict``: what a model says of texts."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from lstm_jax.cli.marks import printable
from lstm_jax.cli.model import judge, load_predictors
from lstm_jax.data.encoding import check_lines, open_stdin
from lstm_jax.data.texts import read_lines, read_texts
from lstm_jax.data.tokenizer import valid_text
from lstm_jax.errors import UserError
from lstm_jax.measures import verdicts
from lstm_jax.output import print_as_file

_STDIN = "standard input"
_WIDTH = 60  # of a text in a line

_Judged = dict[str, Any]  # a text, and its verdict


def run(options: argparse.Namespace) -> None:
    """Print what is said of each text, in the order of the texts."""
    texts = _read(options)
    predictor = load_predictors(options)
    names = predictor.label_names
    # On a terminal the lines themselves tell how far it is; a bar would be among them.
    bar = not sys.stdout.isatty()
    # Closed before an error is told, which would stand in the bar.
    with closing(judge(predictor, texts, bar=bar)) as parts:
        judged = (
            {"text": text, **verdict}
            for part, logits in parts
            for text, verdict in zip(part, verdicts(logits, names), strict=True)
        )
        _WRITERS[options.format](judged, names)


def _read(options: argparse.Namespace) -> list[str]:
    """The texts of the command line, else of a file, else of standard input."""
    if options.texts and options.file is not None:
        raise UserError("predict: expected texts or --file, got both")
    if options.texts and options.texts != ["-"]:
        return [valid_text(text) for text in options.texts]
    if options.file is not None:
        return read_texts(options.file, options.text_column)
    stdin = open_stdin(sys.stdin)
    if stdin.isatty():
        print(
            "One text a line; an empty one is left out. Ctrl-D ends.", file=sys.stderr
        )
    return read_lines(list(check_lines(stdin, _STDIN)), _STDIN)


def _write_text(judged: Iterable[_Judged], names: tuple[str, ...]) -> None:
    """Label, probability and the beginning of the text, in columns."""
    width = max(map(len, names))
    for row in judged:
        label, begins = printable(row["label"]), printable(_begin(row["text"]))
        print(f"{label:<{width}}  {row['probability']:>6.1%}  {begins}")


def _begin(text: str) -> str:
    """What fits into a line, cut after a word where one ends."""
    text = " ".join(text.split())
    if len(text) <= _WIDTH:
        return text
    begins = text[: _WIDTH - 1]
    return f"{begins.rpartition(' ')[0] or begins} …"


def _write_json(judged: Iterable[_Judged], names: tuple[str, ...]) -> None:
    """An object a line."""
    del names
    for row in judged:
        print(json.dumps(row))


def _write_csv(judged: Iterable[_Judged], names: tuple[str, ...]) -> None:
    """A header, then a row for each text."""
    print_as_file()
    # Quotes around every text: some versions of Python leave a lone "\r" without.
    writer = csv.writer(sys.stdout, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    chances = [f"p({name})" for name in names]
    writer.writerow(["text", "label", "probability", *chances])
    for row in judged:
        *values, by_name = row.values()
        writer.writerow([*values, *by_name.values()])


_WRITERS = {"text": _write_text, "json": _write_json, "csv": _write_csv}
