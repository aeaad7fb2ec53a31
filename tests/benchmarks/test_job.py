"""What ``benchmarks/job.py`` makes of what the programs print."""

import doctest
import importlib
import json
from pathlib import Path

import pytest

from lstm_jax.training import loop

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def job(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("job")


@pytest.fixture
def record(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("published_record").Record(tmp_path, {}, "loss")


def test_its_examples_hold(job):
    assert doctest.testmod(job).attempted == 2
    assert doctest.testmod(job).failed == 0


def test_it_reads_what_peers_print(job, record, capsys):
    record.add(1.5, 0.5, {"loss": 0.4, "accuracy": 0.8125})
    found = job.read_epoch(capsys.readouterr().out)
    assert found == {"epoch": 1, "accuracy": 0.8125}


def test_it_reads_what_train_prints(job, monkeypatch):
    said = []

    class Anything:
        """Stands for the parts of a run that do not matter here."""

        def __getattr__(self, name):
            return Anything()

        def __call__(self, *args, **kwargs):
            return {"loss": 0.5, "accuracy": 0.8437}

    run = Anything()
    run.logbook = Anything()
    run.logbook.say = said.append
    run.config = Anything()
    run.config.train = Anything()
    run.config.train.monitor, run.config.train.epochs = "loss", 3
    monkeypatch.setattr(loop, "evaluation_params", lambda state: {})
    snapshot = loop.Snapshot(None, {}, loop.Progress(step=7))
    loop._validate(run, snapshot)
    assert [job.read_epoch(line) for line in said] == [{"epoch": 1, "accuracy": 0.8437}]


def test_it_knows_the_first_epoch_that_was_good_enough(job):
    epochs = [
        {"epoch": n, "accuracy": a, "seconds": 10.0 * n}
        for n, a in enumerate([0.80, 0.86, 0.84, 0.875], start=1)
    ]
    found = job.summarize([epochs, epochs[:2]])
    assert found["seconds_to"] == {"85%": [20.0, 20.0], "87%": [40.0, None]}
    assert found["best_accuracy"] == 0.875


def test_entrants_stand_in_the_order_of_the_list(job, monkeypatch, tmp_path):
    monkeypatch.setattr(job, "OUTPUT", tmp_path / "speed" / "job.json")
    names = list(job.ENTRANTS)
    job.save({names[2]: 3, names[0]: 1})
    assert list(json.loads(job.OUTPUT.read_text())) == [names[0], names[2]]
