"""Shared by the tests of whole runs: small files of made-up reviews, small models.

Compiling is most of what a tiny run does, so programs are kept between the runs of
a session: the second run of the same model starts at once.
"""

import csv
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import pytest

from lstm_jax.training import classification, loop
from lstm_jax.training.classification import Work
from lstm_jax.training.config import Config, default_config, from_dict
from lstm_jax.training.logbook import read_metrics

ROOT = Path(__file__).parents[2]
HIT = Path(__file__).with_name("hit.py")
NEUTRAL = "the a film plot scene it's was actor of and don't know when they".split()
CLASSES = {
    "bad": ["awful", "boring", "dull", "worst"],
    "good": ["great", "lovely", "superb", "best"],
    "mixed": ["uneven", "average", "passable", "decent"],
}
NUM_TEST = 19


def made_up_review(rng: random.Random, label: str) -> str:
    words = rng.choices(NEUTRAL, k=rng.randint(1, 16))
    for word in rng.sample(CLASSES[label], 2):
        words.insert(rng.randint(0, len(words)), word)
    if rng.random() < 0.3:
        words.insert(rng.randint(0, len(words)), "<br /><br />")
    return " ".join(words) + rng.choice(".!?")


def write_reviews(path: Path, labels: list[str], count: int, seed: int) -> str:
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "film"])
        for i in range(count):
            label = labels[i % len(labels)]
            # Films of three reviews: whole groups are held out for validation.
            writer.writerow([made_up_review(rng, label), label, f"film {i // 3}"])
    return str(path)


@pytest.fixture(scope="session")
def review_files(tmp_path_factory) -> dict[int, dict[str, str]]:
    """Settings that name a train and a test file, by number of classes."""
    folder = tmp_path_factory.mktemp("reviews")
    files = {}
    for count in (2, 3):
        labels = list(CLASSES)[:count]
        files[count] = {
            "data.source": "files",
            "data.train_file": write_reviews(
                folder / f"train{count}.csv", labels, 60, seed=count
            ),
            "data.test_file": write_reviews(
                folder / f"test{count}.csv", labels, NUM_TEST, seed=10 + count
            ),
            "data.group_column": "film",
        }
    return files


# Every part that could break a resumed run is on.  Batches of 10 and 8 rows are
# split over two of the simulated devices.
TINY = {
    "name": "tiny",
    "data.validation_fraction": 0.2,
    "data.max_length": 24,
    "data.num_buckets": 2,
    "data.ngram_order": 2,
    "model.embedding_size": 6,
    "model.hidden_size": 4,
    "model.word_dropout_rate": 0.05,
    "model.embedding_dropout_rate": 0.1,
    "model.head_dropout_rate": 0.1,
    "optim.learning_rate": 0.03,
    "optim.ema_decay": 0.9,
    "optim.schedule": "one_cycle",
    "train.epochs": 3,
    "train.batch_size": 10,
    "train.eval_batch_size": 8,
    "train.log_every_steps": 2,
    "train.checkpoint_every_steps": 3,
}


# Compiles in a third of the time, for runs in processes of their own.
SMALL = {
    "data.num_buckets": 1,
    "data.ngram_order": 0,
    "model.cell": "rnn",
    "model.bidirectional": False,
    "train.eval_batch_size": 10,
}


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """Changes to a tiny config that make it compile fast."""
    return SMALL


@pytest.fixture(scope="session")
def tiny_config(review_files) -> Callable[..., Config]:
    """Make a config of a tiny run: ``tiny_config({"train.epochs": 2}, classes=3)``."""

    def make(changes: dict[str, Any] | None = None, classes: int = 2) -> Config:
        config = default_config()
        settings = {**TINY, **review_files[classes], **(changes or {})}
        if classes > 2:
            settings.setdefault("model.num_logits", 0)
        config.update_from_flattened_dict(settings)
        return from_dict(config.to_dict())

    return make


class Finished(NamedTuple):
    """A run that nothing interrupted."""

    folder: Path
    config: Config
    summary: dict[str, Any]
    run: Work
    num_tests: int  # how often the test split was read
    renamed: set[str]  # the files that got their names when they were whole


# The first epoch has the best accuracy, so the run stops after the third of four: one
# that goes on in between has to know what was best, and how long it was in vain.
PATIENT = {
    "optim.learning_rate": 0.05,
    "train.epochs": 4,
    "train.patience": 2,
    "train.monitor": "accuracy",
}


@pytest.fixture(scope="session")
def unbroken(tiny_config, tmp_path_factory) -> Finished:
    """The run that others are compared with."""
    folder, config = tmp_path_factory.mktemp("unbroken"), tiny_config(PATIENT)
    runs, tested, renamed = [], [], set()
    real, real_replace = classification.evaluate, os.replace

    def evaluate(run, params, data):
        runs.append(run)
        tested.append(data is run.data.test)
        return real(run, params, data)

    def replace(draft, path):
        renamed.add(Path(path).name)
        real_replace(draft, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification, "evaluate", evaluate)
        patch.setattr(os, "replace", replace)
        summary = loop.train_and_evaluate(config, folder)
    return Finished(folder, config, summary, runs[0], sum(tested), renamed)


@pytest.fixture
def shared_programs(unbroken, monkeypatch):
    """Runs like ``unbroken`` trace nothing again, which is half of their time."""
    learner, config = unbroken.run.learner, unbroken.config
    real, first_states = classification.make_learner, []

    def make_learner(settings, data, given):
        if settings != config or data.digest() != unbroken.run.data.digest():
            return real(settings, data, given)
        if not first_states:
            first_states.append(real(settings, data, given).first_state)
        # A copy: its memory is given to the first step.
        first = jax.tree.map(lambda x: x.copy(), first_states[0])
        return learner._replace(first_state=first)

    monkeypatch.setattr(classification, "make_learner", make_learner)


@pytest.fixture(scope="session")
def measured() -> Callable[[Path], list[dict[str, Any]]]:
    """The lines of a run's ``metrics.jsonl``, without what a clock says."""

    def lines(folder: Path) -> list[dict[str, Any]]:
        timed = {"tokens_per_second", "input_wait_share"}
        kept = read_metrics(folder / "metrics.jsonl")
        return [{k: v for k, v in line.items() if k not in timed} for line in kept]

    return lines


@pytest.fixture(scope="session")
def process_environment() -> Callable[..., dict[str, str]]:
    """The environment of a process of its own, on one CPU device."""

    def make(**variables: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        return {
            **kept,
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
            "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            **variables,
        }

    return make


@pytest.fixture(scope="session")
def train_command(process_environment) -> Callable[..., subprocess.Popen]:
    """Start ``python train.py`` with the given arguments and variables."""

    def start(*arguments: str, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *arguments],
            cwd=ROOT,
            env=process_environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="session")
def small_flags(review_files, tmp_path_factory) -> list[str]:
    """The settings of ``tiny_config(small)`` as a command line."""
    settings = {**TINY, **review_files[2], **SMALL}
    path = tmp_path_factory.mktemp("configs") / "defaults.py"
    imported = "from lstm_jax.training.config import default_config as get_config"
    path.write_text(imported + "\n")
    config = ["--config", str(path)]
    return config + [f"--config.{name}={value}" for name, value in settings.items()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def two_hosts(process_environment, small_flags) -> Callable[..., tuple]:
    """Run ``train.py`` on two hosts, each hit at its place, "" for nowhere.

    Gives their exit codes, what they printed, and what they printed as errors.
    """

    def start(host: int, place: str, address: str, folder: Path) -> subprocess.Popen:
        flags = ["--noprepare_host", "--distributed", f"--workdir={folder}"]
        flags += [f"--coordinator_address={address}", "--num_processes=2"]
        return subprocess.Popen(
            [sys.executable, HIT, *small_flags, *flags, f"--process_id={host}"],
            env=process_environment(HIT=place),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(folder: Path, *places: str) -> tuple:
        address = f"localhost:{free_port()}"
        hosts = [start(host, places[host], address, folder) for host in range(2)]
        try:
            outputs = [host.communicate(timeout=240) for host in hosts]
        finally:
            for host in hosts:
                host.kill()
        return [host.returncode for host in hosts], *zip(*outputs, strict=True)

    return run


@pytest.fixture(scope="session", autouse=True)
def _programs_are_kept(tmp_path_factory):
    values = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("programs")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in values}
    for name, value in values.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
