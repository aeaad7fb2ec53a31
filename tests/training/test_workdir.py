import dataclasses
import json
import os
from pathlib import Path

import pytest

from lstm_jax.errors import UserError
from lstm_jax.training.config import Config
from lstm_jax.training.workdir import Workdir, claim, read_json, write_json

SETTINGS = dataclasses.asdict(Config())


def test_the_files_of_a_run_have_the_promised_names(tmp_path):
    workdir = Workdir(tmp_path)
    paths = (
        workdir.config,
        workdir.tokenizer,
        workdir.checkpoints,
        workdir.metrics,
        workdir.summary,
        workdir.plots,
        workdir.report,
    )
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "config.json",
        "tokenizer.json",
        "checkpoints",
        "metrics.jsonl",
        "summary.json",
        "plots",
        "report.html",
    ]
    assert list(tmp_path.iterdir()) == []


def test_claiming_makes_the_folder_and_writes_the_settings(tmp_path):
    workdir = Workdir(tmp_path / "some" / "run")
    claim(workdir, SETTINGS)
    assert json.loads(workdir.config.read_text()) == SETTINGS


@pytest.fixture(params=["a checkpoint", "an outcome"])
def started(request, tmp_path):
    """The folder of a run that has something to lose."""
    workdir = Workdir(tmp_path)
    claim(workdir, SETTINGS)
    if request.param == "a checkpoint":
        (workdir.checkpoints / "12").mkdir(parents=True)
    else:
        write_json(workdir.summary, {})
    workdir.tokenizer.write_text("{}")
    return workdir


def test_the_same_settings_may_claim_a_folder_again(started):
    workdir = started
    before = workdir.config.read_text()
    claim(workdir, json.loads(json.dumps(SETTINGS)))
    assert workdir.config.read_text() == before
    assert workdir.tokenizer.exists()


def test_a_run_that_never_got_started_gives_its_folder_up(tmp_path):
    workdir = Workdir(tmp_path)
    claim(workdir, SETTINGS)
    names = ["about.json", "tokenizer.json", "ngrams.npz", "metrics.jsonl"]
    names += ["predictions.npz", "examples.json", "explanations.npz"]
    for name in names:
        (tmp_path / name).write_text("of the other settings")
    others = {**SETTINGS, "seed": 3}
    claim(workdir, others)
    assert read_json(workdir.config) == others
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_other_settings_are_refused_and_each_is_named(started):
    workdir = started
    others = json.loads(json.dumps(SETTINGS))
    others["seed"], others["optim"]["learning_rate"] = 3, 0.5
    with pytest.raises(UserError) as error:
        claim(workdir, others)
    message = str(error.value)
    assert str(workdir.path) in message and "\n" not in message
    assert "seed: 0 -> 3" in message
    assert f"{SETTINGS['optim']['learning_rate']} -> 0.5" in message
    assert json.loads(workdir.config.read_text()) == SETTINGS


def test_a_folder_that_cannot_be_written_is_a_users_mistake(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="expected a folder to write to") as error:
        claim(Workdir(tmp_path / "file" / "run"), SETTINGS)
    assert "\n" not in str(error.value)


def test_what_was_written_is_read_again(tmp_path):
    values = {"text": "é\n", "number": 0.1 + 0.2, "nested": {"list": [1, None]}}
    write_json(tmp_path / "values.json", values)
    assert read_json(tmp_path / "values.json") == values
    assert [path.name for path in tmp_path.iterdir()] == ["values.json"]


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "values.json"
    write_json(path, {"old": 1})

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}


@pytest.mark.parametrize("content", ["", "{", '{"a": 1'])
def test_a_file_that_is_not_json_is_a_users_mistake(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(UserError, match="expected JSON, got") as error:
        read_json(path)
    assert str(path) in str(error.value)


def test_a_checkpoint_that_was_being_written_is_none(tmp_path):
    workdir = Workdir(tmp_path)
    claim(workdir, SETTINGS)
    (workdir.checkpoints / "8.orbax-checkpoint-tmp-17").mkdir(parents=True)
    assert not workdir.is_started()
    (workdir.checkpoints / "4").mkdir()
    assert workdir.is_started()


def test_a_setting_that_an_earlier_version_did_not_have_has_its_default(started):
    saved = json.loads(started.config.read_text())
    del saved["train"]["on_nonfinite"], saved["model"]["unroll"]
    write_json(started.config, saved)
    claim(started, SETTINGS)
    others = json.loads(json.dumps(SETTINGS))
    others["train"]["on_nonfinite"] = "skip"
    with pytest.raises(UserError, match="train.on_nonfinite: 'stop' -> 'skip'"):
        claim(started, others)


def test_a_setting_that_only_a_later_version_has_is_said_to_be_in_the_file(started):
    settings = json.loads(started.config.read_text())
    settings["model"]["from_later"] = 1
    started.config.write_text(json.dumps(settings))
    with pytest.raises(UserError) as error:
        claim(started, SETTINGS)
    expected = f"{started.config}: model.from_later: no such setting"
    assert str(error.value).startswith(expected)


def test_the_files_of_others_are_left_alone(tmp_path):
    files = {
        "config.json": '{"theirs": 1}',
        "tokenizer.json": "theirs",
        "metrics.jsonl": "theirs",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="expected a new folder or that of a run"):
        claim(Workdir(tmp_path), SETTINGS)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == files


def test_checkpoints_without_their_settings_are_not_gone_on_from(tmp_path):
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    with pytest.raises(UserError, match="got 5 beside: no config.json"):
        claim(Workdir(tmp_path), SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoints"]
