"""How many reviews of IMDB stand in it twice.

python benchmarks/copies.py results/copies.json [GROUPS]

GROUPS is a file as for ``data.validation_groups``.  Copies are told as
``lstm_jax.data.copies`` tells them, which leaves those of labelled reviews out of the
unlabelled ones.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from baselines import read_splits

from lstm_jax.data.config import DataConfig
from lstm_jax.data.copies import plain
from lstm_jax.data.imdb import load_unlabelled


def main(output: Path, groups: str = "") -> None:
    """Write one JSON object."""
    splits = read_splits(DataConfig(validation_groups=groups))
    train, val, test = ([plain(text) for text in split.texts] for split in splits)
    unlabelled = [plain(text) for text in load_unlabelled()]
    counts = {
        "unlabelled, of labelled ones": count(unlabelled, {*train, *val, *test}),
        "test, in unlabelled": count(test, unlabelled),
        "validation, in unlabelled": count(val, unlabelled),
        "test, in train or validation": count(test, {*train, *val}),
        "test, in any of them": count(test, {*train, *val, *unlabelled}),
    }
    output.write_text(json.dumps(counts, indent=1) + "\n")
    print(output.read_text(), end="")


def count(texts: Iterable[str], known: Iterable[str]) -> int:
    """How many of ``texts`` are known.

    >>> count(["a", "b", "a"], ["a", "c"])
    2
    """
    found = set(known)
    return sum(text in found for text in texts)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
