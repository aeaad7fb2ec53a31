"""Comparisons of finished runs, against counts by hand."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import subsets
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.errors import UserError
from lstm_jax.training.predictions import Predictions, Split, save_predictions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TRAIN = ["A fine film.", "Dull,<br /><br />very  dull."]
TEST = [
    "Great: 9/10!",
    "dull, very dull.",  # stands in train, but for its line break and capital
    "word " * 200,
    "I give it *** of all",
    "word " * 600,
    "ten out of ten",
]
LABELS = np.array([1, 0, 1, 1, 0, 1], np.int32)


@pytest.fixture
def corpus():
    train = Reviews(TRAIN, np.array([1, 0], np.int32))
    return Corpus("made_up", ("neg", "pos"), train, Reviews(TEST, LABELS))


def leave_run(folder, name, test_logits, val_logits=(1.0, -1.0)):
    """What a finished run leaves that is read here; one logit a review."""
    folder.mkdir()
    splits = [
        Split(
            np.array(logits, np.float32)[:, None],
            labels,
            np.ones(len(labels), np.int32),
        )
        for logits, labels in ((val_logits, LABELS[:2]), (test_logits, LABELS))
    ]
    predictions = Predictions(splits[0], splits[1], np.ones(3, np.int64))
    save_predictions(predictions, folder / "predictions.npz")
    summary = {"config_name": name, "seed": 3}
    (folder / "summary.json").write_text(json.dumps(summary))
    return str(folder)


def test_the_parts_of_the_test_split(corpus):
    parts = subsets.parts_of(corpus, corpus.test)
    rows = {name: np.flatnonzero(part).tolist() for name, part in parts.items()}
    assert rows == {
        "all": [0, 1, 2, 3, 4, 5],
        "not also in train or unlabelled": [0, 2, 3, 4, 5],
        "up to 128 words": [0, 1, 3, 5],
        "129 to 256 words": [2],
        "257 to 512 words": [],
        "more than 512 words": [4],
        "with a mark or stars": [0, 3, 5],
        "without": [1, 2, 4],
    }


@pytest.mark.parametrize(
    "text", ["2001 was 1/100 of it", "at 10 they left", "the stars f**k ***up***"]
)
def test_other_numbers_are_no_marks(text):
    corpus = Corpus("x", ("a", "b"), Reviews([], LABELS[:0]), None)
    parts = subsets.parts_of(corpus, Reviews([text], LABELS[:1]))
    assert not parts["with a mark or stars"].any()


def test_runs_alone_and_averaged(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subsets, "load_reviews", lambda: corpus)
    first = leave_run(tmp_path / "a", "one", [2.0, -1.0, -1.0, 1.0, 1.0, 1.0])
    second = leave_run(tmp_path / "b", "two", [-1.0, -1.0, 3.0, 1.0, 2.0, -0.5])
    baseline = np.array([True, False, False, True, True, False])
    np.savez(tmp_path / "base.npz", **{subsets._BASELINE: baseline})
    output = tmp_path / "subsets.json"
    both = f"{first},{second}"
    output.write_text(json.dumps({"another-seed1": {}}))
    subsets.main(output, tmp_path / "base.npz", [first, second, both])
    found = json.loads(output.read_text())
    assert found.pop("another-seed1") == {}  # of an earlier time
    assert list(found) == ["one-seed3", "two-seed3", "one-seed3 + two-seed3"]
    counted = {name: run["test"]["all"]["accuracy"] for name, run in found.items()}
    # Right: 0 1 3 5; then 1 2 3; the means of the probabilities: all but the fifth.
    assert counted == pytest.approx(
        {"one-seed3": 4 / 6, "two-seed3": 3 / 6, "one-seed3 + two-seed3": 5 / 6},
        abs=1e-6,
    )
    assert found["one-seed3"]["val"] == 1.0
    assert found["one-seed3"]["test"]["not also in train or unlabelled"] == {
        "accuracy": 0.6,
        "count": 5,
    }
    # Against the baseline: 1 and 5 alone, 4 of the baseline alone.
    against = found["one-seed3"]["against_baseline"]
    assert against == {"only_ours": 2, "only_theirs": 1, "p": 1.0}
    assert json.loads(capsys.readouterr().out) == found


def test_mcnemar_is_the_exact_test():
    ours = np.array([True] * 9 + [False])
    found = subsets.mcnemar(ours, ~ours)
    # Nine of ten by chance, or as unlikely, on both sides: 22 of 1,024.
    assert found == {"only_ours": 9, "only_theirs": 1, "p": 0.021}
    assert subsets.mcnemar(ours, ours)["p"] == 1.0


def test_a_run_twice_is_refused(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(subsets, "load_reviews", lambda: corpus)
    run = leave_run(tmp_path / "a", "one", np.ones(6))
    np.savez(tmp_path / "base.npz", **{subsets._BASELINE: LABELS > 0})
    with pytest.raises(UserError, match="another config or seed, got one-seed3"):
        subsets.main(tmp_path / "out.json", tmp_path / "base.npz", [run, run])


def test_the_table_has_means_over_seeds(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    make_table = importlib.import_module("subsets_table").make_table

    def record(accuracy, ours, theirs, chance):
        return {
            "test": {
                "all": {"accuracy": accuracy, "count": 2_000},
                "long": {"accuracy": 1 - accuracy, "count": 30},
            },
            "against_baseline": {"only_ours": ours, "only_theirs": theirs, "p": chance},
        }

    records = {
        "a-seed0": record(0.91, 1_100, 9, 0.25),
        "a-seed0 + b-seed0": record(0.5, 1, 2, 1.0),
        "a-seed12": record(0.94, 1_300, 12, 0.003),
    }
    assert make_table(records).splitlines()[2:] == [
        "| a, 2 seeds | 92.50% | 7.50% | 1,200, 10 (p ≤ 0.2) |",
        "| a + b, one seed | 50.00% | 50.00% | 1, 2 (p = 1) |",
    ]


def test_a_name_may_stand_before_a_run(tmp_path):
    run = leave_run(tmp_path / "a", "one", np.ones(6))
    assert subsets.read_name(f"large=x/y,{run}") == ("large", ["x/y", run])
    assert subsets.read_name(run) == ("one-seed3", [run])


def test_runs_on_other_reviews_are_refused(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(subsets, "load_reviews", lambda: corpus)
    run = leave_run(tmp_path / "a", "one", np.ones(6))
    with pytest.raises(UserError, match="expected runs on the test split"):
        subsets.judge([run], 1 - LABELS)
    with pytest.raises(UserError, match="expected runs on the test split"):
        subsets.judge([run], LABELS[:5])
