"""Runs that are killed with no warning, and go on as if they had not been.

``kill -9`` at random moments: of the start, of steps, of saves, of validation, of the
end.  What is left in the end is what an unbroken run leaves, to the bit.
"""

import dataclasses
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from outcomes import assert_same_bits, checkpoint, timeless

PROGRAM = Path(__file__).with_name("go_on.py")
NUM_STEPS = 60  # 12 epochs of 5
# Moments that last too short for a blow from outside.
PLACES = {
    "before a checkpoint gets its name": (
        "orbax.checkpoint._src.path.async_path:rename:{n}",
        6,
    ),
    "in an evaluation": ("lstm_jax.training.classification:evaluate:{n}", 12),
    "between the epochs": ("lstm_jax.training.loop:_train_epoch:{n}", 12),
    "before the last file": ("lstm_jax.training.loop:write_json:1", 1),
}


@pytest.fixture(scope="module")
def config(tiny_config, small):
    """Dropout, averaging, a schedule, early stopping and two lengths of batches."""
    changes = {
        "data.num_buckets": 2,
        "model.recurrent_dropout_rate": 0.1,
        "optim.learning_rate": 0.02,
        "train.epochs": 12,
        "train.patience": 11,
        "train.checkpoint_every_steps": 2,
    }
    return tiny_config({**small, **changes})


@pytest.fixture(scope="module")
def start(config, process_environment, tmp_path_factory):
    """Start the program in a folder."""
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))

    def run(folder, *arguments):
        return subprocess.Popen(
            [sys.executable, PROGRAM, path, folder, *arguments],
            env=process_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


class Whole:
    """A run that nothing interrupted, and how long it takes from its first step on."""

    def __init__(self, folder, start):
        self.folder, begun = folder, time.monotonic()
        process = start(folder)
        wait_until(process, lambda: (folder / "metrics.jsonl").exists())
        self.before = time.monotonic() - begun
        _, err = process.communicate(timeout=1000)
        assert process.returncode == 0, err
        self.training = time.monotonic() - begun - self.before


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    return Whole(tmp_path_factory.mktemp("whole"), start)


def saving(folder):
    return any(folder.glob("checkpoints/*orbax-checkpoint-tmp*"))


def strike(rng, folder, start, whole):
    """Start a run and kill it; what was aimed at, and whether it was hit."""
    aim = rng.choice(["start", "training", "training", "save", "save", *PLACES])
    arguments = []
    if aim in PLACES:
        place, most = PLACES[aim]
        arguments = [f"--die-at={place.format(n=rng.randint(1, most))}"]
    process = start(folder, *arguments)
    try:
        if aim in PLACES:
            process.wait(timeout=1000)
        elif aim == "start":
            wait(process, rng.uniform(0, whole.before))
        else:
            stamp = modified(folder)
            wait_until(process, lambda: modified(folder) != stamp)
            if aim == "training":
                wait(process, rng.uniform(0, whole.training))
            else:
                for _ in range(rng.randint(1, 8)):
                    wait_until(process, lambda: not saving(folder))
                    wait_until(process, lambda: saving(folder))
    finally:
        process.kill()
        _, err = process.communicate()
    assert process.returncode in (-9, 0), err
    return aim, process.returncode == -9


def modified(folder):
    path = folder / "metrics.jsonl"
    return path.stat().st_mtime_ns if path.exists() else 0


def wait(process, seconds):
    deadline = time.monotonic() + seconds
    wait_until(process, lambda: time.monotonic() > deadline)


def wait_until(process, holds):
    """Busily: what is waited for lasts a few milliseconds."""
    while process.poll() is None and not holds():
        time.sleep(0.0005)


def assert_same_as_whole(folder, whole, measured):
    assert measured(folder) == measured(whole.folder)
    ours, theirs = (
        json.loads((f / "summary.json").read_text()) for f in (folder, whole.folder)
    )
    assert timeless(ours) == timeless(theirs)
    for part in ("state", "best"):
        ours, theirs = (checkpoint(f, part, NUM_STEPS) for f in (folder, whole.folder))
        assert_same_bits(ours, theirs)
    ours, theirs = (progress(f) for f in (folder, whole.folder))
    assert ours == theirs
    files = ["config.json", "tokenizer.json", "examples.json", "predictions.npz"]
    for name in files:
        assert (folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def progress(folder):
    """What is counted, without seconds."""
    path = folder / "checkpoints" / str(NUM_STEPS) / "progress" / "metadata"
    values = json.loads(path.read_text())
    values["tally"].pop("seconds")
    return {k: v for k, v in values.items() if not k.endswith("_seconds")}


def break_runs(kills, in_a_row, seed, folder, start, whole, measured):
    """Kill runs until that many kills have hit; finish each run after some.

    Of a program that could not be killed in time, the next run is tried.
    """
    rng, hits, number = random.Random(seed), [], 0
    while len(hits) < kills:
        number += 1
        run = folder / str(number)
        for _ in range(min(rng.choice(in_a_row), kills - len(hits))):
            aim, hit = strike(rng, run, start, whole)
            hits += [aim] * hit
            print(f"run {number}: {aim}{'' if hit else ', not hit'}", flush=True)
            if not hit:  # it was through before
                break
        process = start(run)
        _, err = process.communicate(timeout=1000)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        assert_same_as_whole(run, whole, measured)
    return hits


def test_killed_runs_end_as_one_that_was_not(start, whole, measured, tmp_path):
    assert len(break_runs(2, [2], 0, tmp_path, start, whole, measured)) == 2


@pytest.mark.slow
def test_fifty_kills_change_nothing(start, whole, measured, tmp_path):
    hits = break_runs(50, [1, 1, 2, 5], 1, tmp_path, start, whole, measured)
    print({aim: hits.count(aim) for aim in set(hits)})
    assert len(hits) == 50
    assert {"start", "training", "save", *PLACES} <= set(hits)
