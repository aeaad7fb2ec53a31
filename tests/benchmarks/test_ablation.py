"""The commands of the ablation, and the table of what came out."""

import importlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.training.config import from_dict
from lstm_jax.training.predictions import Predictions, Split, save_predictions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def ablation(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("ablation")
    monkeypatch.setattr(module, "OUTPUT", tmp_path / "new" / "ablation.json")
    return module


def test_each_variant_changes_a_setting_of_the_config(ablation):
    config = importlib.import_module("configs.finetune").get_config()
    whole = from_dict(config.to_dict())
    for name, settings in ablation.VARIANTS.items():
        changed = config.copy_and_resolve_references()
        for setting in settings:
            path, _, value = setting.partition("=")
            group, field = path.split(".")
            kind = type(changed[group][field])
            changed[group][field] = kind(value)
        assert (from_dict(changed.to_dict()) == whole) == (name == "nothing")


def test_a_command_is_that_of_a_user_with_one_thing_off(ablation):
    words = ablation.command("shifted words", Path("/a"), "/runs/lm")
    assert words[1:] == [
        *("train.py", "--config", "configs/finetune.py", "--workdir=/a"),
        "--config.model.pretrained=/runs/lm",
        "--config.train.adversarial_norm=0.0",
    ]


def leave(folder, right):
    """What a finished run leaves that is read here, of four test reviews."""
    labels = np.array([0, 1, 0, 1], np.int32)
    logits = np.where(right, labels, 1 - labels)[:, None] - np.float32(0.5)
    split = Split(logits, labels, np.ones(4))
    save_predictions(
        Predictions(split, split, np.ones(3, np.int64)), folder / "predictions.npz"
    )
    scores = {"accuracy": np.mean(right)}
    summary = {"val": scores, "test": scores, "best_epoch": 1, "seed": 0}
    (folder / "summary.json").write_text(json.dumps(summary))


def test_runs_that_are_there_are_read_and_shown_in_order(
    ablation, tmp_path, monkeypatch
):
    asked = []

    def run(words, **how):
        asked.append(words)
        folder = Path(words[4].partition("=")[2])
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "summary.json").exists():
            leave(folder, [[1, 1, 1, 0], [1, 0, 0, 1]][len(asked) - 1])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(ablation.rows.subprocess, "run", run)
    monkeypatch.setattr(ablation.readme_tables, "write", lambda tables: None)
    words = ["ablation.py", "--workdir", str(tmp_path / "runs"), "--config.seed=0"]
    assert ablation.tables() == {}
    for only in ("the language model and shifted words", "nothing"):
        monkeypatch.setattr(ablation.sys, "argv", [*words, "--only", only])
        ablation.main()
    # "nothing" before the other, and again; a finished run says whose its folder is.
    assert len(asked) == 3 and all(words[-1] == "--config.seed=0" for words in asked)
    assert ablation.tables()["ablation"].splitlines()[2:] == [
        "| nothing | 75.00% | 75.00% |  |",
        "| the language model and shifted words | 50.00% | 50.00% | 1, 2 (p = 1) |",
    ]
