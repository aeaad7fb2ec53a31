"""Compare finished runs: on test, on parts of it, averaged, and with a baseline.

    python benchmarks/subsets.py results/subsets.json results/baselines.npz \
        runs/lstm runs/finetune runs/finetune,runs/finetune_backward

Folders with a comma between them are averaged: the means of their probabilities.  Runs
are called by their configs and seeds, unless a name stands before (``large=runs/a``).
They have read the test split by then; nothing is chosen here.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from lstm_jax.data.config import DataConfig
from lstm_jax.data.copies import plain
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.imdb import load_unlabelled
from lstm_jax.data.sources import load_corpus
from lstm_jax.errors import UserError
from lstm_jax.measures import probabilities
from lstm_jax.training.predictions import Split, load_predictions
from lstm_jax.training.workdir import Workdir, read_json

# A mark such as 7/10, 7.5 out of ten, or ***1/2.
_NUMBER = r"(?:\d{1,2}(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten)"
_BASELINE = "NB-weighted trigrams, logistic regression"
_MARK = (
    rf"\b{_NUMBER} ?(?:/|out of) ?(?:4|5|10|four|five|ten)\b"
    rf"|\b{_NUMBER}(?: and a half)? stars?\b|(?<![\w*])\*{{2,5}}(?![\w*])"
)


def main(output: Path, baselines: Path, names: list[str]) -> None:
    """Add a row for each name to a JSON object."""
    corpus = load_reviews()
    assert corpus.test is not None
    parts = parts_of(corpus, corpus.test)
    baseline, records = np.load(baselines)[_BASELINE], {}
    for name in names:
        title, folders = read_name(name)
        val, test = judge(folders, corpus.test.labels)
        if title in records:
            raise UserError(f"{name}: expected another config or seed, got {title}")
        records[title] = {
            "val": round(float(val.mean()), 6),
            "test": {
                part: share(test[some]) for part, some in parts.items() if some.any()
            },
            "against_baseline": mcnemar(test, baseline),
        }
    known = json.loads(output.read_text()) if output.exists() else {}
    output.write_text(json.dumps(known | records, indent=2) + "\n")
    print(json.dumps(records, indent=2))


def load_reviews() -> Corpus:
    """The labelled reviews, and all without labels, copies of labelled ones too."""
    return load_corpus(DataConfig())._replace(unlabelled=load_unlabelled())


def judge(folders: list[str], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which validation and which test reviews the mean of the runs gets right."""
    found = [load_predictions(Workdir(Path(f)).predictions) for f in folders]
    tests = [one.test for one in found if one.test is not None]
    if len(tests) < len(folders) or not all(
        np.array_equal(test.labels, labels) for test in tests
    ):
        raise UserError(f"{folders}: expected runs on the test split of IMDB")
    return right_by_mean([one.val for one in found]), right_by_mean(tests)


def right_by_mean(splits: list[Split]) -> np.ndarray:
    """Where the mean of the probabilities is highest at the label."""
    if not all(np.array_equal(split.labels, splits[0].labels) for split in splits):
        raise UserError("expected runs with the same validation reviews")
    mean = sum(probabilities(split.logits) for split in splits) / len(splits)
    return np.asarray(mean).argmax(axis=1) == splits[0].labels


def parts_of(corpus: Corpus, test: Reviews) -> dict[str, np.ndarray]:
    """Rows of the test split by what they have in common."""
    length = np.array([len(text.split()) for text in test.texts])
    known = {plain(text) for text in (*corpus.train.texts, *corpus.unlabelled)}
    marked = rows_where(test.texts, lambda text: bool(re.search(_MARK, text.lower())))
    again = rows_where(test.texts, lambda text: plain(text) in known)
    return {
        "all": np.ones(len(length), bool),
        "not also in train or unlabelled": ~again,
        "up to 128 words": length <= 128,
        "129 to 256 words": (length > 128) & (length <= 256),
        "257 to 512 words": (length > 256) & (length <= 512),
        "more than 512 words": length > 512,
        "with a mark or stars": marked,
        "without": ~marked,
    }


def rows_where(texts: list[str], holds: Callable[[str], bool]) -> np.ndarray:
    """Bool ``[N]``."""
    return np.array([holds(text) for text in texts])


def share(right: np.ndarray) -> dict[str, Any]:
    """Accuracy, and of how many."""
    return {"accuracy": round(float(right.mean()), 6), "count": len(right)}


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Reviews that one of two gets right alone, and the exact test of it (McNemar)."""
    alone = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    chance = binomtest(alone[0], max(sum(alone), 1)).pvalue if sum(alone) else 1.0
    return {"only_ours": alone[0], "only_theirs": alone[1], "p": float(f"{chance:.2g}")}


def read_name(name: str) -> tuple[str, list[str]]:
    """Title and folders of ``a/b,c/d`` or ``title=a/b,c/d``."""
    title, _, listed = name.rpartition("=")
    folders = listed.split(",")
    return title or " + ".join(map(label, folders)), folders


def label(folder: str) -> str:
    """The name of the config of a run, and its seed."""
    summary = read_json(Workdir(Path(folder)).summary)
    return f"{summary['config_name']}-seed{summary['seed']}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
