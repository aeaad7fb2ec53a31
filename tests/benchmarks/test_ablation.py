"""The commands of the ablations, and the tables of what came out."""

import importlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.training.config import from_dict
from lstm_jax.training.predictions import Predictions, Split, save_predictions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MOVED = "the moving average of the weights"


@pytest.fixture
def ablation(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("ablation")
    monkeypatch.setattr(module, "OUTPUT", tmp_path / "new" / "ablation.json")
    return module


@pytest.mark.parametrize("name", ["lstm", "lstm_words", "finetune", "lstm_best"])
def test_each_variant_changes_a_setting_of_the_config(ablation, name):
    config = importlib.import_module(f"configs.{name}").get_config()
    made = {}
    for left_out, settings in ablation.VARIANTS[name].items():
        changed = config.copy_and_resolve_references()
        for setting in settings:
            path, _, value = setting.partition("=")
            group, field = path.split(".")
            kind = type(changed[group][field])
            changed[group][field] = value == "True" if kind is bool else kind(value)
        made[left_out] = from_dict(changed.to_dict())
    assert made["nothing"] == from_dict(config.to_dict())
    assert len({repr(one) for one in made.values()}) == len(made) > 5
    assert len(ablation.VARIANTS) == 4


def test_a_command_is_that_of_a_user_with_one_thing_off(ablation):
    point = ablation.Point("finetune", "shifted words", 3)
    words = ablation.command(point, Path("/a"), "/runs/lm")
    assert words[1:] == [
        *("train.py", "--config", "configs/finetune.py", "--workdir=/a"),
        "--config.seed=3",
        "--config.model.pretrained=/runs/lm",
        "--config.train.adversarial_norm=0.0",
    ]
    words = ablation.command(ablation.Point("lstm", MOVED, 0), Path("/a"), None)
    assert words[5:] == ["--config.seed=0", "--config.optim.ema_decay=0.0"]


def leave(folder, right):
    """What a finished run leaves that is read here, of four test reviews."""
    labels = np.array([0, 1, 0, 1], np.int32)
    logits = np.where(right, labels, 1 - labels)[:, None] - np.float32(0.5)
    split = Split(logits, labels, np.ones(4, np.int32))
    save_predictions(
        Predictions(split, split, np.ones(3, np.int64)), folder / "predictions.npz"
    )
    val, test = {"accuracy": np.mean(right)}, {"accuracy": np.mean(right), "count": 4}
    summary = {"val": val, "test": test, "best_epoch": 1, "device": "1 x cpu"}
    summary |= {"versions": {"jax": "1"}, "commit": "c"}
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.fixture
def asked(ablation, tmp_path, monkeypatch):
    """Commands that were run: each seed gets one more review wrong, each run but the
    whole one more than that."""
    commands = []

    def run(words, **how):
        commands.append(words)
        folder = Path(words[4].partition("=")[2])
        folder.mkdir(parents=True, exist_ok=True)
        seed = int(words[5].partition("=")[2])
        if not (folder / "summary.json").exists():
            wrong = seed if "nothing" in folder.name else 1 + seed
            leave(folder, [number >= wrong for number in range(4)])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(ablation.rows.subprocess, "run", run)
    monkeypatch.setattr(ablation.pages, "write", lambda tables: None)
    return commands


def start(ablation, monkeypatch, tmp_path, *words):
    workdir = ["--workdir", str(tmp_path / "runs")]
    argv = ["ablation.py", *words, *workdir, "--config.train.log_every_steps=9"]
    monkeypatch.setattr(ablation.sys, "argv", argv)
    ablation.main()


def test_seeds_are_compared_with_the_whole_of_the_same_seed(
    ablation, asked, tmp_path, monkeypatch
):
    assert ablation.tables() == {}
    words = ["lstm", "--seeds", "0", "1", "2", "--only", MOVED]
    start(ablation, monkeypatch, tmp_path, *words)
    assert len(asked) == 6
    assert all(words[-1] == "--config.train.log_every_steps=9" for words in asked)
    assert list(ablation.tables()) == ["ablation-lstm"]
    assert ablation.tables()["ablation-lstm"].splitlines()[2:] == [
        "| nothing | 75.00 ± 25.00% | 75.00 ± 25.00% |  |",
        f"| {MOVED} | 50.00 ± 25.00% | 50.00 ± 25.00% | "
        "−25.00 (p = 1), −25.00 (p = 1), −25.00 (p = 1) |",
    ]


def test_a_seed_alone_has_no_deviation_and_is_asked_again_where_it_is_done(
    ablation, asked, tmp_path, monkeypatch
):
    for _ in range(2):
        words = ["finetune", "--seeds", "1", "--only", "shifted words"]
        start(ablation, monkeypatch, tmp_path, *words)
    assert len(asked) == 4  # a finished run says whose its folder is
    assert ablation.tables()["ablation-finetune"].splitlines()[2:] == [
        "| nothing | 75.00% | 75.00% |  |",
        "| shifted words | 50.00% | 50.00% | −25.00 (p = 1) |",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (300, 100, "+0.80 (p = 1e-05)"),
        (100, 300, "−0.80 (p = 1e-05)"),
        (15, 16, "+0.00 (p = 1e-05)"),
    ],
)
def test_a_minus_is_that_of_the_points(ablation, ours, theirs, said):
    alone = {"only_ours": ours, "only_theirs": theirs, "p": 1e-5}
    assert ablation.gain({"against_whole": alone, "test": {"count": 25_000}}) == said
