"""The user's own reviews: CSV, TSV or JSON lines."""

import contextlib
import csv
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from lstm_jax.data.copies import without_copies
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.encoding import check_lines, open_text
from lstm_jax.data.groups import number_groups
from lstm_jax.data.tokenizer import valid_text
from lstm_jax.errors import UserError, quote, quote_all, refusing
from lstm_jax.paths import expand

logger = logging.getLogger(__name__)

# Bad lines that one message shows.
_SHOWN = 3
# So many labels are taken for classes, however few rows there are.
_SURELY_CLASSES = 20
# The largest that a C long holds on every system.
_HUGE_FIELD = 2**31 - 1
_DELIMITERS = ",;\t|"  # in the only column of a header, they tell of another format


class _Row(NamedTuple):
    """A row of a file: its columns, or what is wrong with it."""

    line: int
    columns: dict[str, Any]
    problem: str = ""


class Table(NamedTuple):
    """The columns that were asked for, row by row.

    Attributes:
      lines: the line of the file on which each row begins.
      columns: the values of each column by its name.
    """

    lines: list[int]
    columns: dict[str, list[str]]


def load_files(
    train_file: str,
    test_file: str = "",
    *,
    text_column: str = "text",
    label_column: str = "label",
    group_column: str = "",
) -> Corpus:
    """Load the user's own labelled texts.

    Args:
      train_file: path that ends in .csv, .tsv, .jsonl or .ndjson; CSV and TSV have
        a header line.
      test_file: likewise, or "" for no test split.
      text_column: column (or key) of the texts.
      label_column: column of the labels, two or more different ones in train.
      group_column: column of the groups of train, or "" for none.

    Returns:
      The corpus; label names are sorted, as numbers when all are integers.

    Raises:
      UserError: a file cannot be read, or rows are bad; the message names the file,
        the first few lines and what is expected.
    """
    columns = {"data.text_column": text_column, "data.label_column": label_column}
    grouped = {"data.group_column": group_column} if group_column else {}
    labels = label_column
    train = read_table("data.train_file", train_file, columns | grouped, labels)
    label_names = _label_names(train_file, train.columns[label_column])
    test = None
    if test_file:
        table = read_table("data.test_file", test_file, columns, labels)
        _refuse_unknown_labels(test_file, table, label_column, label_names)
        test = _reviews(table, text_column, label_column, label_names)
        _tell_copies(train_file, test_file, train.columns[text_column], test.texts)
    return Corpus(
        name=Path(train_file).name,
        label_names=label_names,
        train=_reviews(train, text_column, label_column, label_names)._replace(
            groups=_groups(train, group_column)
        ),
        test=test,
    )


def load_texts_alone(
    train_file: str, *, text_column: str = "text", group_column: str = ""
) -> Corpus:
    """``load_files`` for those who read no label: none is needed, and all are 0.

    Raises:
      UserError: likewise.
    """
    columns = {"data.text_column": text_column}
    grouped = {"data.group_column": group_column} if group_column else {}
    table = read_table("data.train_file", train_file, columns | grouped)
    texts = table.columns[text_column]
    labels = np.zeros(len(texts), np.int32)
    train = Reviews(texts, labels, _groups(table, group_column))
    return Corpus(name=Path(train_file).name, label_names=(), train=train, test=None)


def _groups(table: Table, group_column: str) -> np.ndarray | None:
    if not group_column:
        return None
    # A space more does not make another film, as in data.validation_groups.
    return number_groups(name.strip() for name in table.columns[group_column])


def _tell_copies(
    train_file: str, test_file: str, train: list[str], test: list[str]
) -> None:
    """Warn of test texts that are in train: their accuracy says nothing of others."""
    copies = len(test) - len(without_copies(test, of=train))
    if copies:
        logger.warning(
            "%s: %s of %s texts also stand in %s; a test on them says little of others",
            *(test_file, f"{copies:,}", f"{len(test):,}", train_file),
        )


def _reviews(
    table: Table, text_column: str, label_column: str, label_names: tuple[str, ...]
) -> Reviews:
    number = {name: i for i, name in enumerate(label_names)}
    labels = np.array([number[n] for n in table.columns[label_column]], np.int32)
    return Reviews(table.columns[text_column], labels)


def _label_names(path: str, labels: list[str]) -> tuple[str, ...]:
    names = sorted(set(labels))
    if len(names) < 2:
        raise UserError(
            f"{path}: expected two or more different labels, got only {quote(names[0])}"
        )
    if len(names) > max(_SURELY_CLASSES, len(labels) // 2):
        raise UserError(
            f"{path}: expected labels that many rows share, got {len(names):,} of "
            f"{len(labels):,} rows; is data.label_column the column of the labels?"
        )
    folded = Counter(name.casefold() for name in names)
    alike = [name for name in names if folded[name.casefold()] > 1]
    if alike:
        logger.warning(
            "%s: the labels %s differ by case alone; they are classes of their own",
            *(path, quote_all(alike)),
        )
    if all(re.fullmatch(r"[+-]?[0-9]{1,4000}", name) for name in names):
        names.sort(key=int)
    return tuple(names)


def _refuse_unknown_labels(
    path: str, table: Table, label_column: str, label_names: tuple[str, ...]
) -> None:
    known = set(label_names)
    problems = [
        (line, f"label {quote(label)}")
        for line, label in zip(table.lines, table.columns[label_column], strict=True)
        if label not in known
    ]
    _refuse(
        path, problems, f"labels that the train file has ({quote_all(label_names)})"
    )


def read_table(
    setting: str, path: str, columns: dict[str, str], label_column: str = ""
) -> Table:
    """Read some columns of a file.

    Args:
      setting: that names the file.
      path: ends in .csv, .tsv, .jsonl or .ndjson.
      columns: the name of each column, by the setting that gives it.
      label_column: the one whose values lose the space around them.

    Raises:
      UserError: it cannot be read, or rows are bad; the message names the first few.
    """
    rows = _read_rows(setting, path)
    if not rows:
        raise UserError(
            f"{path}: expected rows of {quote_all(columns.values())}, got none"
        )
    _refuse_missing_columns(path, rows, columns)
    wanted = list(dict.fromkeys(columns.values()))
    good: dict[str, list[str]] = {name: [] for name in wanted}
    problems = []
    for row in rows:
        problem = row.problem or _problem(row.columns, wanted)
        if problem:
            problems.append((row.line, problem))
            continue
        for name in wanted:
            good[name].append(_cell(row.columns[name]))
    _refuse(path, problems, f"a value for {quote_all(wanted)} in every row")
    if label_column:
        good[label_column] = [value.strip() for value in good[label_column]]
    return Table([row.line for row in rows], good)


def _problem(columns: dict[str, Any], wanted: list[str]) -> str:
    """Say what is wrong with the values of a row, or ""."""
    for name in wanted:
        value = columns.get(name)
        if value is None:
            return f"no {quote(name)}"
        if not isinstance(value, str | int):
            return f"{quote(name)} is neither a string nor an integer"
        if not _cell(value).strip():
            return f"empty {quote(name)}"
    return ""


def _cell(value: str | int) -> str:
    # JSON spells its booleans in lower case.
    return str(value).lower() if isinstance(value, bool) else valid_text(str(value))


def _refuse(path: str, problems: list[tuple[int, str]], expected: str) -> None:
    """Report bad rows in one line, if there are any."""
    if not problems:
        return
    shown = "; ".join(f"line {line}: {problem}" for line, problem in problems[:_SHOWN])
    more = len(problems) - _SHOWN
    raise UserError(
        f"{path}: expected {expected}, got {shown}"
        + (f"; and {more} more bad rows" if more > 0 else "")
    )


def _refuse_missing_columns(
    path: str, rows: list[_Row], columns: dict[str, str]
) -> None:
    found = dict.fromkeys(name for row in rows for name in row.columns)
    for setting, name in columns.items():
        # Without any column, every row is bad and says so itself.
        if found and name not in found:
            raise UserError(
                f"{path}: expected a column {quote(name)}, got the columns "
                f"{quote_all(found)}; name it with {setting}"
            )


def check_ending(setting: str, path: str, others: tuple[str, ...] = ()) -> str:
    """The ending of ``path``, in lower case.

    Args:
      setting: that names it.
      path: of the file.
      others: endings that the caller could read, beside those of tables.

    Raises:
      UserError: it is that of no format.
    """
    ending = Path(path).suffix.lower()
    if ending not in _READERS:
        *names, last = *_READERS, *others
        raise UserError(
            f"{setting}: expected a file that ends in {', '.join(names)} or {last}, "
            f"got {path!r}"
        )
    return ending


def _read_rows(setting: str, path: str) -> list[_Row]:
    ending = check_ending(setting, path)
    with (
        refusing(f"{setting}: expected a file to read, got {path!r}"),
        # Only the reader of a format knows where its lines and rows end.
        open_text(expand(path, setting), newline="") as file,
    ):
        return list(_READERS[ending](path, check_lines(file, path)))


def _json_rows(path: str, lines: Iterable[str]) -> Iterator[_Row]:
    del path
    # A lone carriage return ends no JSON line.
    for number, line in enumerate("".join(lines).split("\n"), start=1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> _Row:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return _Row(number, {}, f"not JSON ({error.msg} at column {error.colno})")
    except (ValueError, RecursionError) as error:
        return _Row(number, {}, f"not JSON ({error})")
    if not isinstance(value, dict):
        return _Row(number, {}, "not a JSON object")
    return _Row(number, value)


def _csv_rows(path: str, lines: Iterable[str]) -> Iterator[_Row]:
    return _delimited_rows(path, lines, ",", "commas")


def _tsv_rows(path: str, lines: Iterable[str]) -> Iterator[_Row]:
    lines = list(lines)
    quoting = csv.QUOTE_MINIMAL
    if _quotes_are_text(lines):
        logger.warning(
            "%s: its quotes do not pair up in each line, but its tabs do; they are "
            "read as characters of the texts",
            path,
        )
        quoting = csv.QUOTE_NONE
    return _delimited_rows(path, lines, "\t", "tabs", quoting)


def _quotes_are_text(lines: list[str]) -> bool:
    """Whether a TSV was written by somebody to whom quotes are nothing special.

    A quoted line break leaves lines without all the tabs, so where each line has them,
    a quote that stays open in one, or a row over several, is no quoting.
    """
    filled = [line for line in lines if line.strip("\r\n")]
    tabs = {line.count("\t") for line in filled}
    return len(tabs) == 1 and tabs != {0} and not all(map(_is_whole_row, filled))


def _is_whole_row(line: str) -> bool:
    if '"' not in line:
        return True
    with _huge_fields():
        try:
            return len(list(csv.reader([line], delimiter="\t", strict=True))) == 1
        except csv.Error:
            return False


def _delimited_rows(
    path: str,
    lines: Iterable[str],
    delimiter: str,
    called: str,
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL,
) -> Iterator[_Row]:
    with _huge_fields():
        rows = _numbered(
            csv.reader(lines, delimiter=delimiter, strict=True, quoting=quoting)
        )
        _, header, problem = next(rows, (1, [], "the file is empty"))
        if problem:
            raise UserError(f"{path}: expected a header line, but {problem}")
        _check_header(path, header, called)
        for line, fields, problem in rows:
            if not problem and len(fields) != len(header):
                problem = f"{len(fields)} fields instead of {len(header)}"
            yield _Row(line, dict(zip(header, fields, strict=False)), problem)


def _numbered(reader: Any) -> Iterator[tuple[int, list[str], str]]:
    """Yield (line on which the row starts, fields, problem), without blank lines."""
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, [], f"broken quoting ({error})"
            continue
        if fields:
            yield line, fields, ""


def _check_header(path: str, header: list[str], called: str) -> None:
    if len(header) == 1 and any(mark in header[0] for mark in _DELIMITERS):
        raise UserError(
            f"{path}: expected columns separated by {called}, got one column "
            f"{quote(header[0])}; is the delimiter another?"
        )
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise UserError(
            f"{path}: expected every column once, got {quote_all(twice)} twice"
        )


@contextlib.contextmanager
def _huge_fields() -> Iterator[None]:
    """Lift the limit of 128 KiB a field, which is the whole process's."""
    before = csv.field_size_limit(_HUGE_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


_READERS: dict[str, Callable[[str, Iterable[str]], Iterator[_Row]]] = {
    ".csv": _csv_rows,
    ".tsv": _tsv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
}
