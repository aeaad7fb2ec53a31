r"""McNemar's exact test of finished runs against each other, review by review.

    python benchmarks/compare.py results/comparisons.json \
        runs/finetune_ngram:runs/finetune runs/a,runs/b:runs/a

Folders with a comma between them are averaged, and may have a name, as for
``benchmarks/subsets.py``.  This tells two networks apart, not two recipes: another seed
is another network.
"""

import json
import sys
from pathlib import Path
from typing import Any

import rows
from subsets import mcnemar, read_name, right_by_mean

from lstm_jax.errors import UserError
from lstm_jax.training.predictions import Split, load_predictions
from lstm_jax.training.workdir import Workdir


def main(output: Path, pairs: list[str]) -> None:
    """Add a row for each pair to a JSON object."""
    for pair in pairs:
        title, row = compare(pair)
        rows.keep(output, title, row)
        print(json.dumps({title: row}))


def compare(pair: str) -> tuple[str, dict[str, Any]]:
    """Test reviews that one side gets right alone, and the chance of that."""
    sides = pair.split(":")
    if len(sides) != 2:
        raise UserError(f"expected two sides with a colon between, got {pair!r}")
    (ours, first), (theirs, second) = map(read_name, sides)
    splits = [read_test(folder) for folder in first + second]
    if any(list(split.labels) != list(splits[0].labels) for split in splits):
        raise UserError(f"{pair}: expected runs with the same test reviews")
    right = right_by_mean(splits[: len(first)]), right_by_mean(splits[len(first) :])
    return f"{ours} : {theirs}", mcnemar(*right)


def read_test(folder: str) -> Split:
    """What a run said of its test reviews."""
    test = load_predictions(Workdir(Path(folder)).predictions).test
    if test is None:
        raise UserError(f"{folder}: expected a run on test reviews, got one without")
    return test


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
