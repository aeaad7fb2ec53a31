"""Add a linear model to the learning curve: ``benchmarks/learning_curve.py`` draws it.

    python benchmarks/linear_curve.py [GROUPS]

The NB-weighted trigrams of ``benchmarks/baselines.py``, on the same samples of labelled
reviews as the networks.  GROUPS is a file as for ``data.validation_groups``.
"""

import sys
import time

import baselines
import rows
from learning_curve import EPOCHS, OUTPUT, Point

from lstm_jax.data.config import DataConfig

_NAME = "NB-weighted trigrams, logistic regression"


def main(groups: str = "") -> None:
    """Write a row for each number of labels."""
    config = DataConfig(validation_groups=groups)
    for count in EPOCHS["finetune"]:
        splits = baselines.read_splits(config, count)
        started = time.perf_counter()
        val, test = baselines.judge(_NAME, *splits)
        point = Point("linear", count, 0)
        row = point._asdict() | {
            "num_labelled": len(splits[0].texts),
            "val_accuracy": float(val.mean()),
            "test_accuracy": float(test.mean()),
            "train_seconds": round(time.perf_counter() - started, 1),
        }
        print(row, flush=True)
        rows.keep(OUTPUT, point.name, row)


if __name__ == "__main__":
    main(*sys.argv[1:])
