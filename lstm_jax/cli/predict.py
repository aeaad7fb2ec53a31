"""``lstm-jax predict``: what a model says of texts."""

import argparse
import csv
import json
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstm_jax.cli.marks import printable
from lstm_jax.cli.model import judge, load_predictors
from lstm_jax.data.encoding import check_lines, open_stdin
from lstm_jax.data.texts import read_lines, read_texts
from lstm_jax.data.tokenizer import valid_text
from lstm_jax.errors import UserError
from lstm_jax.measures import probabilities
from lstm_jax.output import print_as_file

_STDIN = "standard input"
_WIDTH = 60  # of a text in a line


class Judged(NamedTuple):
    """One text, and the probability of each class by its name."""

    text: str
    chances: dict[str, float]

    @property
    def label(self) -> str:
        """The likeliest class."""
        return max(self.chances, key=lambda name: self.chances[name])


def run(options: argparse.Namespace) -> None:
    """Print what is said of each text, in the order of the texts."""
    texts = _read(options)
    predictor = load_predictors(options)
    write = _WRITERS[options.format](predictor.label_names)
    # On a terminal the lines themselves tell how far it is; a bar would be among them.
    for part, logits in judge(predictor, texts, bar=not sys.stdout.isatty()):
        for text, chances in zip(part, probabilities(logits), strict=True):
            write(Judged(text, _by_name(predictor.label_names, chances)))


def _by_name(names: tuple[str, ...], chances: np.ndarray) -> dict[str, float]:
    return dict(zip(names, map(float, chances), strict=True))


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


def _text_writer(names: tuple[str, ...]) -> Callable[[Judged], None]:
    """Label, probability and the beginning of the text, in columns."""
    width = max(map(len, names))

    def write(judged: Judged) -> None:
        """One line."""
        chance = f"{judged.chances[judged.label]:.1%}"
        begins = _begin(judged.text)
        label = printable(judged.label)
        print(f"{label:<{width}}  {chance:>6}  {printable(begins)}")

    return write


def _begin(text: str) -> str:
    """What fits into a line, cut after a word where one ends."""
    text = " ".join(text.split())
    if len(text) <= _WIDTH:
        return text
    begins = text[: _WIDTH - 1]
    return f"{begins.rpartition(' ')[0] or begins} …"


def _json_writer(names: tuple[str, ...]) -> Callable[[Judged], None]:
    """An object a line."""
    del names

    def write(judged: Judged) -> None:
        """One line."""
        values = {
            "text": judged.text,
            "label": judged.label,
            "probability": judged.chances[judged.label],
            "probabilities": judged.chances,
        }
        print(json.dumps(values))

    return write


def _csv_writer(names: tuple[str, ...]) -> Callable[[Judged], None]:
    """A header, then a row for each text."""
    print_as_file()
    # Quotes around every text: some versions of Python leave a lone "\r" without.
    writer = csv.writer(sys.stdout, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    chances = [f"p({name})" for name in names]
    writer.writerow(["text", "label", "probability", *chances])

    def write(judged: Judged) -> None:
        """One row."""
        best = judged.chances[judged.label]
        writer.writerow([judged.text, judged.label, best, *judged.chances.values()])

    return write


_WRITERS = {"text": _text_writer, "json": _json_writer, "csv": _csv_writer}
