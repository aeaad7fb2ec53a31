"""``lstm-jax evaluate``: how good a model is on labelled texts."""

import argparse
import json

import numpy as np

from lstm_jax.cli.marks import printable
from lstm_jax.cli.model import judge, load_predictors
from lstm_jax.data.files import read_table
from lstm_jax.data.labels import number_labels
from lstm_jax.evaluation import Evaluation, evaluate, to_json


def run(options: argparse.Namespace) -> None:
    """Print the numbers."""
    text, label = options.text_column, options.label_column
    columns = {"--text-column": text, "--label-column": label}
    table = read_table("--data", options.data, columns, label)
    predictor = load_predictors(options)
    names = predictor.label_names
    labels = number_labels(
        table.columns[label], names, where=options.data, lines=table.lines
    )
    parts = [logits for _, logits in judge(predictor, table.columns[text], bar=True)]
    found = evaluate(np.concatenate(parts), labels)
    if options.format == "json":
        print(json.dumps(to_json(found, names), indent=2))
    else:
        print(_describe(found, tuple(map(printable, names))))


def _describe(found: Evaluation, names: tuple[str, ...]) -> str:
    low, high = found.interval
    many, last = len(names) > 2, names[-1]
    auc = "not defined: a class is missing" if found.auc is None else f"{found.auc:.4f}"
    rows = {
        "texts": f"{found.count:,}",
        "loss": f"{found.loss:.4f}",
        "accuracy": f"{found.accuracy:.2%} (95 % interval {low:.2%} to {high:.2%})",
        "F1, macro" if many else f"F1 of {last}": f"{found.f1:.4f}",
        "AUC, one against the rest" if many else "AUC": auc,
        "calibration error": f"{found.calibration_error:.4f}",
        "Brier score": f"{found.brier:.4f}",
    }
    width = max(map(len, rows)) + 2
    lines = [f"{name:<{width}}{value}" for name, value in rows.items()]
    return "\n".join([*lines, "", *_confusion(found.confusion, names)])


def _confusion(counts: np.ndarray, names: tuple[str, ...]) -> list[str]:
    """A row for each true class."""
    cells = [[f"{count:,}" for count in row] for row in counts]
    first = max(len("true"), *map(len, names))
    width = 2 + max(len("said"), *map(len, names), *(len(c) for r in cells for c in r))
    head = "".join(f"{name:>{width}}" for name in names)
    lines = [f"{'true':<{first}}{'said':>{width}}", f"{'':<{first}}{head}"]
    for name, row in zip(names, cells, strict=True):
        lines.append(f"{name:<{first}}" + "".join(f"{c:>{width}}" for c in row))
    return lines
