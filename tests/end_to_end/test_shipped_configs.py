"""The shipped configs, run by the command that the README gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lstm_jax.data import prepared
from lstm_jax.data.imdb import ImdbReviews

ROOT = Path(__file__).parents[2]
NOT_IMDB = "synthetic reviews, not IMDB"


def train(config, workdir, *flags, cache):
    """Run ``train.py`` as a user does; its own number of devices, not the tests'."""
    environ = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "train.py", f"--config=configs/{config}.py", *flags]
        + [f"--workdir={workdir}"],
        cwd=ROOT,
        env=environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def offline(tmp_path):
    """A run of configs/offline.py, the one that is named or anew; what it printed."""
    if folder := os.environ.get("OFFLINE_RUN"):
        return Path(folder), Path(f"{folder}.txt").read_text()
    workdir = tmp_path / "offline"
    return workdir, train("offline", workdir, cache=tmp_path)


def test_the_network_reads_what_a_bag_of_words_cannot(offline):
    """Bags of words stay under 70 % on these reviews: test_synthetic_reviews.py."""
    workdir, printed = offline
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["test"]["accuracy"] > 0.95
    assert summary["test"]["count"] == 1000
    assert printed.count(NOT_IMDB) == 2
    assert summary["notice"] == NOT_IMDB
    assert NOT_IMDB in (workdir / "report.html").read_text()
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert lines and all(NOT_IMDB in line for line in lines)


def real_reviews_are_prepared():
    folder = os.environ.get("TFDS_DATA_DIR")
    return (
        bool(folder) and prepared.open_prepared(ImdbReviews, Path(folder)) is not None
    )


@pytest.mark.real_data
def test_a_small_model_learns_from_the_real_reviews(tmp_path):
    if not real_reviews_are_prepared():
        pytest.skip("TFDS_DATA_DIR holds no prepared imdb_reviews")
    small = {
        "data.vocab_size": 5000,
        "data.max_length": 64,
        "data.ngram_order": 1,
        "data.num_buckets": 1,
        "model.hidden_size": 8,
        "train.epochs": 1,
        "train.batch_size": 128,
    }
    flags = [f"--config.{name}={value}" for name, value in small.items()]
    train("lstm", tmp_path / "lstm", *flags, cache=tmp_path)
    summary = json.loads((tmp_path / "lstm" / "summary.json").read_text())
    assert summary["counts"]["train"] + summary["counts"]["val"] == 25_000
    assert summary["test"]["count"] == 25_000
    assert summary["test"]["accuracy"] > 0.8
    assert summary["notice"] == ""
