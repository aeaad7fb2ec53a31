"""Pairs of runs in slices: the order, what stops them, and that they go on."""

import importlib
import re
import sys
import textwrap
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# In place of train.py: leaves its arguments, and goes on from what it had saved.
TRAIN = """
    import os, pathlib, signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = dict(x.removeprefix("--").split("=") for x in sys.argv[3:])
    folder = pathlib.Path(settings["workdir"])
    folder.mkdir(exist_ok=True)
    steps = folder / "steps"
    with open(folder.parent / "order", "a") as order:
        order.write(f"{folder.name} {os.environ['XLA_PYTHON_CLIENT_MEM_FRACTION']}\\n")
    if "config.fail" in settings and settings["config.fail"] in folder.name:
        sys.exit(3)
    while not steps.exists() or steps.stat().st_size < int(settings["config.steps"]):
        time.sleep(0.2)
        with open(steps, "a") as file:
            file.write(".")
    """


@pytest.fixture
def pairs(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("pairs")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "_LOOK", 0.01)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    (tmp_path / "train.py").write_text(textwrap.dedent(TRAIN))
    return module


@pytest.fixture
def start(pairs, monkeypatch, tmp_path):
    def run(*words):
        argv = ["pairs.py", f"--workdir={tmp_path / 'runs'}", "--seeds", "0", "7"]
        monkeypatch.setattr(sys, "argv", [*argv, *words])
        return pairs.main()

    return run


def order(tmp_path):
    return (tmp_path / "runs" / "order").read_text().splitlines()


def test_language_models_come_first_then_both_of_a_pair(start, tmp_path):
    assert start("--config.steps=1") == 0
    names = ["lm", "lm_backward", "finetune-seed0", "finetune_backward-seed0"]
    names += ["finetune-seed7", "finetune_backward-seed7"]
    assert order(tmp_path) == [f"{name} 0.900" for name in names]


def test_some_at_once_share_the_memory(start, tmp_path, capsys):
    assert start("--config.steps=1", "--at_once=3", "--classifier=large") == 0
    models = ["lm", "lm_backward"]
    classifiers = ["large-seed0", "large_backward-seed0"]
    classifiers += ["large-seed7", "large_backward-seed7"]
    said = capsys.readouterr().out
    assert re.findall(r"--workdir=\S+/(\S+)", said) == models + classifiers
    # Those of a stage are overtaken by one another.
    shares = [f"{x} 0.450" for x in models] + [f"{x} 0.300" for x in classifiers]
    assert {*order(tmp_path)} == {*shares}


def test_language_models_alone(start, tmp_path):
    """Where no classifier is asked for."""
    assert start("--config.steps=1", "--seeds") == 0
    assert order(tmp_path) == ["lm 0.900", "lm_backward 0.900"]


def test_what_time_has_stopped_goes_on(start, tmp_path, capsys):
    code, slices, seen = 75, 0, []
    while code == 75:
        code = start("--config.steps=6", "--at_once=2", "--seconds=1.2")
        slices += 1
        steps = tmp_path / "runs" / "lm" / "steps"
        seen.append(steps.stat().st_size if steps.exists() else 0)
    assert code == 0 and slices > 2
    assert seen == sorted(seen) and seen[0] < seen[-1] == 6
    assert capsys.readouterr().out.count("the same command goes on") == slices - 1


def test_a_run_that_fails_is_named_and_ends_the_rest(start, tmp_path, capsys):
    code = start("--config.steps=99999", "--config.fail=backward", "--at_once=2")
    assert code == 1
    log = tmp_path / "runs" / "lm_backward.log"
    assert capsys.readouterr().out.splitlines()[-1] == f"{log}: exit status 3"
    # The other may not have got as far as its first line.
    assert {line.split()[0] for line in order(tmp_path)} <= {"lm", "lm_backward"}
