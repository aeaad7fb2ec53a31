"""Runs against each other, against counts by hand."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.errors import UserError
from lstm_jax.training.predictions import Predictions, Split, save_predictions

LABELS = np.array([1, 0, 1, 1, 0, 1], np.int32)
LOGITS = {
    "a": [2.0, -1.0, -1.0, 1.0, 1.0, 1.0],  # right: 0 1 3 5
    "b": [-1.0, -1.0, 3.0, 1.0, 2.0, -0.5],  # right: 1 2 3; averaged with a: all but 4
}


@pytest.fixture
def compare(monkeypatch):
    benchmarks = Path(__file__).resolve().parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(benchmarks))
    return importlib.import_module("compare")


@pytest.fixture
def runs(tmp_path):
    """Folders of finished runs by their names, which are those of their configs."""
    return {
        name: leave(tmp_path / name, logits, LABELS) for name, logits in LOGITS.items()
    }


def leave(folder, logits, labels):
    folder.mkdir()
    split = Split(
        np.array(logits, np.float32)[:, None], labels, np.ones(len(labels), np.int32)
    )
    predictions = Predictions(split, split, np.ones(3, np.int64))
    save_predictions(predictions, folder / "predictions.npz")
    summary = {"config_name": folder.name, "seed": 1}
    (folder / "summary.json").write_text(json.dumps(summary))
    return str(folder)


def test_each_side_is_right_alone_where_counted_by_hand(compare, runs, tmp_path):
    output = tmp_path / "new" / "out.json"
    pairs = [f"{runs['a']}:{runs['b']}", f"both={runs['a']},{runs['b']}:{runs['b']}"]
    compare.main(output, pairs)
    assert json.loads(output.read_text()) == {
        "a-seed1 : b-seed1": {"only_ours": 2, "only_theirs": 1, "p": 1.0},
        "both : b-seed1": {"only_ours": 2, "only_theirs": 0, "p": 0.5},
    }


def test_runs_on_other_reviews_are_refused(compare, runs, tmp_path):
    other = leave(tmp_path / "other", LOGITS["a"], 1 - LABELS)
    with pytest.raises(UserError, match="runs with the same test reviews"):
        compare.compare(f"{runs['a']}:{other}")


def test_a_pair_has_two_sides(compare, runs):
    with pytest.raises(UserError, match="two sides with a colon between, got"):
        compare.compare(runs["a"])
