"""The commands of the ablation, and the table of what came out."""

import importlib
import json
import subprocess
from pathlib import Path

import pytest

from lstm_jax.training.config import from_dict

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


def test_runs_that_are_there_are_read_and_shown_in_order(
    ablation, tmp_path, monkeypatch
):
    asked = []

    def run(words, **how):
        asked.append(words)
        folder = Path(words[4].partition("=")[2])
        folder.mkdir(exist_ok=True)
        scores = {"accuracy": 0.9 + 0.01 * len(asked)}
        summary = {"val": scores, "test": scores, "best_epoch": 1, "seed": 0}
        if not (folder / "summary.json").exists():
            (folder / "summary.json").write_text(json.dumps(summary))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(ablation.rows.subprocess, "run", run)
    assert ablation.tables() == {}
    for name in ("the language model", "nothing", "nothing"):
        row = ablation.measure(name, tmp_path / name[:3], "lm", ["--config.seed=0"])
        ablation.rows.keep(ablation.OUTPUT, name, row)
    # A finished run is asked too: it is for it to say whose its folder is.
    assert len(asked) == 3 and asked[0][-1] == "--config.seed=0"
    assert ablation.tables()["ablation"].splitlines()[2:] == [
        "| nothing | 92.00% | 92.00% |",
        "| the language model | 91.00% | 91.00% |",
    ]
