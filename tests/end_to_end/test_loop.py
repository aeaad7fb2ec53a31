"""Whole runs: what they leave behind, and that being stopped changes nothing."""

import dataclasses
import errno
import itertools
import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from outcomes import (
    assert_same_bits,
    assert_same_run,
    checkpoint,
    saved_steps,
    timeless,
)

from lstm_jax.data.batches import make_batch
from lstm_jax.errors import UserError
from lstm_jax.trained import load_trained
from lstm_jax.training import classification, loop
from lstm_jax.training import summary as summary_module
from lstm_jax.training.lock import locked
from lstm_jax.training.loop import train_and_evaluate
from lstm_jax.training.predictions import load_predictions
from lstm_jax.training.progress import Tally
from lstm_jax.training.workdir import Workdir, claim, write_json

STEPS_PER_EPOCH, EPOCHS = 5, 3
NUM_STEPS = STEPS_PER_EPOCH * EPOCHS
MEASURED = {"split", "step", "epoch", "loss", "accuracy"}


def test_a_run_leaves_its_files(unbroken):
    workdir = Workdir(unbroken.folder)
    settings = json.loads(workdir.config.read_text())
    assert settings == dataclasses.asdict(unbroken.config)
    assert json.loads(workdir.tokenizer.read_text())["model"]["type"] == "WordLevel"
    (events,) = unbroken.folder.glob("events.out.tfevents.*")
    assert b"val/loss" in events.read_bytes()
    assert json.loads(workdir.summary.read_text()) == unbroken.summary
    assert saved_steps(unbroken.folder)[-1] == NUM_STEPS
    assert len(saved_steps(unbroken.folder)) == unbroken.config.train.keep_checkpoints


def test_the_summary_says_what_was_promised(unbroken):
    summary = unbroken.summary
    promised = (
        "config_name dataset counts vocab_size num_parameters epochs_run best_epoch "
        "val test seconds reviews_per_second input_wait_share seed device versions "
        "commit"
    )
    assert set(promised.split()) <= set(summary)
    assert summary["config_name"] == "tiny"
    assert summary["counts"] == {"train": 48, "val": 12, "test": 19}
    assert summary["epochs_run"] == EPOCHS
    assert set(summary["val"]) == {"loss", "accuracy"}
    assert set(summary["test"]) == {"loss", "accuracy", "count"}
    assert set(summary["seconds"]) == {"total", "compile", "train"}
    assert 0 < summary["seconds"]["train"] < summary["seconds"]["total"]
    assert {"python", "jax", "flax", "optax"} <= set(summary["versions"])
    size = sum(x.size for x in checkpoint(unbroken.folder, "best").values())
    assert summary["num_parameters"] == size
    assert summary["vocab_size"] == unbroken.run.data.text.tokenizer.get_vocab_size()


def test_the_commit_is_that_of_the_code_that_trained(
    unbroken, shared_programs, tmp_path, monkeypatch
):
    """The checkout moves on while a run trains."""
    said, real = ["before"], loop._count
    monkeypatch.setattr(summary_module, "_output", lambda command: said[-1])

    def count(*args, **kwargs):
        said.append("after")
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, "_count", count)
    assert train_and_evaluate(unbroken.config, tmp_path)["commit"] == "before"
    assert len(said) > 1


def test_metrics_have_a_line_for_every_measurement(unbroken):
    text = (unbroken.folder / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    steps = {
        split: [line["step"] for line in lines if line["split"] == split]
        for split in ("train", "val", "test")
    }
    assert steps["train"] == [2, 4, 5, 6, 8, 10, 12, 14, 15]
    assert steps["val"] == [5, 10, 15]
    assert steps["test"] == [15]
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    for line in lines:
        trained = line["split"] == "train"
        timed = {"tokens_per_second", "input_wait_share"}
        more = {"learning_rate"} | timed if trained else set()
        assert set(line) == MEASURED | more
        assert all(np.isfinite(v) for k, v in line.items() if k != "split")
        if line["split"] != "test":
            assert line["epoch"] == -(-line["step"] // STEPS_PER_EPOCH)
        if trained:
            rate = float(unbroken.run.learner.schedule(line["step"] - 1))
            assert line["learning_rate"] == pytest.approx(rate, rel=1e-6)
    assert lines[-1]["epoch"] == unbroken.summary["best_epoch"]


def test_training_lowers_the_loss(unbroken, measured):
    losses = [line["loss"] for line in measured(unbroken.folder)]
    assert losses[-3] < 0.8 * losses[0]
    assert unbroken.summary["test"]["accuracy"] > 0.6


def test_the_test_split_is_read_once_and_each_review_counts_once(unbroken):
    assert unbroken.num_tests == 1
    run = unbroken.run
    like = run.learner.first_state.params
    best = jax.tree.unflatten(
        jax.tree.structure(like), list(checkpoint(unbroken.folder, "best").values())
    )
    # All reviews at once, in the order of the file: no plan, no fillers.
    data = run.data.test
    rows = np.arange(len(data.labels))
    batch = make_batch(data, rows, 24, 48)
    inputs = (batch.token_ids, batch.lengths, batch.ngram_ids, batch.ngram_values)
    logits = np.asarray(jax.jit(run.learner.model.apply)({"params": best}, *inputs))
    margins = np.where(batch.labels == 1, logits[:, 0], -logits[:, 0])
    test = unbroken.summary["test"]
    assert test["count"] == len(rows)
    assert test["accuracy"] == pytest.approx((margins > 0).mean())
    loss = np.log1p(np.exp(-margins.astype(np.float64))).mean()
    assert test["loss"] == pytest.approx(loss, rel=1e-5)


def test_each_width_is_compiled_once(unbroken):
    learner, widths = unbroken.run.learner, unbroken.run.data.widths
    assert len(widths) == 2
    assert learner.train_step.func._cache_size() <= len(widths)


def test_a_finished_run_is_not_run_again(unbroken, monkeypatch):
    def set_up(*args):
        raise AssertionError("the run was set up again")

    monkeypatch.setattr(loop, "set_up", set_up)
    assert train_and_evaluate(unbroken.config, unbroken.folder) == unbroken.summary


def test_the_run_stops_when_its_patience_is_over(unbroken, measured):
    """What all the interrupted runs are compared with says how long it was in vain."""
    lines = measured(unbroken.folder)
    accuracies = [line["accuracy"] for line in lines if line["split"] == "val"]
    assert accuracies[0] >= max(accuracies[1:])
    assert unbroken.summary["best_epoch"] == 1
    assert unbroken.summary["epochs_run"] == EPOCHS < unbroken.config.train.epochs
    best, last = (checkpoint(unbroken.folder, part) for part in ("best", "state"))
    assert all(x.tobytes() != last["['params']" + k].tobytes() for k, x in best.items())


def test_files_get_their_names_when_they_are_whole(unbroken):
    """Whenever a run is killed: what stands under the name of a file is all of it."""
    whole = "config about tokenizer summary examples".split()
    names = {f"{name}.json" for name in whole} | {"ngrams.npz", "predictions.npz"}
    assert names <= unbroken.renamed
    # The other files grow by lines, of which the last may be torn.
    files = {path.name for path in unbroken.folder.iterdir() if path.is_file()}
    others = {name for name in files - names if "events" not in name}
    assert others == {"metrics.jsonl", "lock"}


def test_each_epoch_of_each_seed_has_its_own_batches(unbroken):
    def plan(seed, epoch):
        config = dataclasses.replace(unbroken.config, seed=seed)
        return classification._plan(config, unbroken.run.data, epoch).rows.tolist()

    plans = [plan(*which) for which in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert all(a != b for a, b in itertools.combinations(plans, 2))
    assert plan(1, 1) == plans[-1]


def test_the_same_seed_gives_the_same_run(unbroken, measured, tmp_path):
    summary = train_and_evaluate(unbroken.config, tmp_path)
    assert_same_run(tmp_path, summary, unbroken, measured)


def test_another_seed_gives_another_run(unbroken, measured, tmp_path):
    train_and_evaluate(dataclasses.replace(unbroken.config, seed=1), tmp_path)
    ours, theirs = measured(tmp_path), measured(unbroken.folder)
    assert all(a["loss"] != b["loss"] for a, b in zip(ours, theirs, strict=False))
    # The reviews that choices are made on stay the same.
    ours, theirs = (
        load_predictions(folder / "predictions.npz").val
        for folder in (tmp_path, unbroken.folder)
    )
    np.testing.assert_array_equal(ours.lengths, theirs.lengths)
    np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_other_words_are_not_learned_in_place_of_lost_ones(unbroken, tmp_path):
    folder = shutil.copytree(unbroken.folder, tmp_path / "run")
    (folder / "tokenizer.json").unlink()
    (folder / "summary.json").unlink()
    with pytest.raises(UserError, match="tokenizer.json: expected the words of the r"):
        train_and_evaluate(unbroken.config, folder)
    assert not (folder / "tokenizer.json").exists()


def stop_at(monkeypatch, name, *, before, when):
    """Press Ctrl-C before or after the loop calls ``name``, once ``when`` holds."""
    real = getattr(loop, name)

    def stopping(run, snapshot, *args, **kwargs):
        if before and when(snapshot.progress):
            raise KeyboardInterrupt
        result = real(run, snapshot, *args, **kwargs)
        if when((result or snapshot).progress):
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(loop, name, stopping)


STOPS = {
    "after a checkpoint": ("_report", False, lambda p: p.step == 8, 6),
    "before a validation": ("_validate", True, lambda p: p.step == 10, 9),
    "before an epoch is saved": ("_save", True, lambda p: p.epochs == 2, 9),
    "after an epoch is saved": ("_save", False, lambda p: p.epochs == 2, 10),
}


@pytest.mark.parametrize("moment", STOPS)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    moment, unbroken, shared_programs, measured, tmp_path, monkeypatch, capsys
):
    name, before, when, checkpointed = STOPS[moment]
    with monkeypatch.context() as patch:
        stop_at(patch, name, before=before, when=when)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(unbroken.config, tmp_path)
    assert max(saved_steps(tmp_path)) == checkpointed
    assert not (tmp_path / "summary.json").exists()
    capsys.readouterr()
    summary = train_and_evaluate(unbroken.config, tmp_path)
    assert f"Going on from step {checkpointed}." in capsys.readouterr().out
    assert_same_run(tmp_path, summary, unbroken, measured)


def test_a_run_stopped_after_its_test_has_one_test_line(
    unbroken, shared_programs, measured, tmp_path, monkeypatch
):
    def summarize(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "summarize", summarize)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(unbroken.config, tmp_path)
    summary = train_and_evaluate(unbroken.config, tmp_path)
    assert_same_run(tmp_path, summary, unbroken, measured)


def test_other_settings_in_the_same_folder_are_refused(unbroken, tiny_config):
    before = (unbroken.folder / "config.json").read_text()
    other = tiny_config({"seed": 5, "model.hidden_size": 3})
    with pytest.raises(UserError) as error:
        train_and_evaluate(other, unbroken.folder)
    message = str(error.value)
    assert "seed: 0 -> 5" in message and "model.hidden_size: 4 -> 3" in message
    assert "\n" not in message
    assert (unbroken.folder / "config.json").read_text() == before


def test_a_folder_in_which_another_process_runs_is_refused(unbroken):
    with locked(Workdir(unbroken.folder)), pytest.raises(UserError) as error:
        train_and_evaluate(unbroken.config, unbroken.folder)
    assert "expected a folder that no other process uses, got" in str(error.value)


def test_a_run_does_not_go_on_with_other_reviews(unbroken, tmp_path):
    """Also where the file has the same name, the same words and as many lines."""
    folder = shutil.copytree(unbroken.folder, tmp_path / "run")
    (folder / "summary.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    data = unbroken.config.data
    other = str(shutil.copy(data.train_file, tmp_path / "train.csv"))
    config = dataclasses.replace(
        unbroken.config, data=dataclasses.replace(data, train_file=other)
    )
    write_json(folder / "config.json", dataclasses.asdict(config))
    lines = Path(other).read_text().splitlines()
    Path(other).write_text("\n".join([lines[0], *reversed(lines[1:])]))
    with pytest.raises(UserError, match="^data: expected the reviews that this run"):
        train_and_evaluate(config, folder)
    kept = {path: path.stat().st_mtime_ns for path in before if path.name != "lock"}
    del before[folder / "config.json"], kept[folder / "config.json"]
    assert kept.items() <= before.items()


def test_a_run_that_could_not_start_does_not_occupy_its_folder(tiny_config, tmp_path):
    wrong = tiny_config({"data.train_file": str(tmp_path / "nothing.csv")})
    with pytest.raises(UserError, match="data.train_file"):
        train_and_evaluate(wrong, tmp_path)
    claim(Workdir(tmp_path), dataclasses.asdict(tiny_config()))


def impatient(unbroken):
    """Settings with the programs of ``unbroken``, that stop after an epoch in vain."""
    train = dataclasses.replace(unbroken.config.train, patience=1, monitor="loss")
    return dataclasses.replace(unbroken.config, train=train)


def test_patience_stops_a_run_and_the_best_epoch_is_tested(
    unbroken, tmp_path, monkeypatch, measured
):
    real, val_losses = classification.evaluate, iter([0.3, 0.4, 0.5])
    validated, tested = [], []

    def evaluate(run, params, data):
        scores, logits = real(run, params, data)
        # A copy: the memory of the parameters is given to the next step.
        copied = jax.tree.map(lambda x: np.array(x, copy=True), params)
        if data is run.data.test:
            tested.append((copied, scores))
            return classification.Evaluation(scores, logits)
        validated.append(copied)
        return classification.Evaluation({**scores, "loss": next(val_losses)}, logits)

    monkeypatch.setattr(classification, "evaluate", evaluate)
    summary = train_and_evaluate(impatient(unbroken), tmp_path)
    assert (summary["epochs_run"], summary["best_epoch"]) == (2, 1)
    assert summary["val"]["loss"] == 0.3
    ((params, scores),) = tested
    # The third time is for the predictions: with the best parameters again.
    for again in (params, validated[2]):
        jax.tree.map(np.testing.assert_array_equal, again, validated[0])
    assert summary["test"] == {**scores, "count": summary["counts"]["test"]}
    last = measured(tmp_path)[-1]
    assert (last["split"], last["step"], last["epoch"]) == ("test", 10, 1)


@pytest.mark.parametrize(
    "changes", [{}, {"data.ngram_order": 2, "model.dtype": "bfloat16"}]
)
def test_three_classes_are_learned_and_tested(tiny_config, small, tmp_path, changes):
    config = tiny_config({**small, "train.epochs": 1, **changes}, classes=3)
    summary = train_and_evaluate(config, tmp_path)
    assert summary["test"]["count"] == 19
    params = checkpoint(tmp_path, "best", STEPS_PER_EPOCH)
    last = [x for name, x in params.items() if "logits" in name or "ngrams" in name]
    assert {x.shape[-1] for x in last} == {3}
    assert len(last) == (4 if changes else 2)
    assert {x.dtype for x in params.values()} == {np.dtype("float32")}


def test_one_logit_for_three_classes_is_refused(tiny_config, tmp_path):
    with pytest.raises(UserError, match="model.num_logits: .*3 classes, got 1"):
        train_and_evaluate(tiny_config({"model.num_logits": 1}, classes=3), tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run_and_spoils_no_checkpoint(
    unbroken, shared_programs, measured, tmp_path, monkeypatch
):
    real, calls = classification.put_batch, []

    def put_batch(mesh, batch):
        calls.append(batch)
        if len(calls) == 4:
            batch = batch._replace(weights=batch.weights * np.float32("nan"))
        return real(mesh, batch)

    with monkeypatch.context() as patch:
        patch.setattr(classification, "put_batch", put_batch)
        with pytest.raises(UserError) as error:
            train_and_evaluate(unbroken.config, tmp_path)
    message = str(error.value)
    assert message.startswith("step 4: expected a finite loss, got nan; try a lower")
    assert "\n" not in message
    assert saved_steps(tmp_path) == [3]
    assert all(np.isfinite(x).all() for x in checkpoint(tmp_path, "state", 3).values())
    # What came before is as good as ever.
    summary = train_and_evaluate(unbroken.config, tmp_path)
    assert_same_run(tmp_path, summary, unbroken, measured)


def test_a_validation_loss_that_is_not_finite_stops_the_run(
    unbroken, tmp_path, monkeypatch
):
    real = classification.evaluate

    def evaluate(run, params, data):
        scores, logits = real(run, params, data)
        return classification.Evaluation({**scores, "loss": float("nan")}, logits)

    monkeypatch.setattr(classification, "evaluate", evaluate)
    with pytest.raises(UserError, match="expected a finite .*loss, got nan"):
        train_and_evaluate(impatient(unbroken), tmp_path)
    assert saved_steps(tmp_path) == [3]


def spoil(monkeypatch, *calls):
    """Make batches whose loss is not finite, of those numbers."""
    real, made = classification.put_batch, []

    def put_batch(mesh, batch):
        made.append(batch)
        if len(made) in calls:
            batch = batch._replace(weights=batch.weights * np.float32("nan"))
        return real(mesh, batch)

    monkeypatch.setattr(classification, "put_batch", put_batch)


def test_a_step_that_is_not_finite_is_skipped_and_counted_if_asked(
    tiny_config, small, tmp_path, monkeypatch, measured, caplog
):
    config = tiny_config({**small, "train.epochs": 2, "train.on_nonfinite": "skip"})
    # Two in a row would be too many; these have a step between them.
    monkeypatch.setattr(loop, "_MOST_SKIPPED", 2)
    with monkeypatch.context() as patch, caplog.at_level("WARNING"):
        spoil(patch, 2, 4)
        summary = train_and_evaluate(config, tmp_path / "whole")
    assert summary["skipped_steps"] == 2
    assert "step 2 was skipped" in caplog.text and "step 4 was skipped" in caplog.text
    steps = [x["step"] for x in measured(tmp_path / "whole") if x["split"] == "train"]
    assert steps == [2, 4, 5, 6, 8, 10]
    state = checkpoint(tmp_path / "whole", "state", 10)
    assert all(np.isfinite(x).all() for x in state.values())
    # Stopped after the skip: what was skipped is counted over both starts.
    with monkeypatch.context() as patch:
        spoil(patch, 2, 4)
        stop_at(patch, "_save", before=False, when=lambda p: p.step == 6)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(config, tmp_path / "stopped")
    again = train_and_evaluate(config, tmp_path / "stopped")
    assert timeless(again) == timeless(summary)
    assert measured(tmp_path / "stopped") == measured(tmp_path / "whole")
    assert_same_bits(checkpoint(tmp_path / "stopped", "state", 10), state)


def test_waiting_beside_a_skipped_step_is_no_share_of_the_others(
    tiny_config, small, tmp_path, monkeypatch
):
    """The seconds of such a step are not counted either."""
    changes = {"train.epochs": 2, "train.on_nonfinite": "skip"}
    next_batch, report, seen = loop._next_batch, loop._report, []

    def reported(run, snapshot, *, last):
        seen.append(snapshot.progress.wait_seconds)
        return report(run, snapshot, last=last)

    monkeypatch.setattr(loop, "_next_batch", lambda *a: (*next_batch(*a)[:2], 1.0))
    monkeypatch.setattr(loop, "_report", reported)
    spoil(monkeypatch, 2, 4)
    train_and_evaluate(tiny_config({**small, **changes}), tmp_path)
    # After the last step of an epoch no batch is waited for.
    assert seen == [1, 1, 2, 2, 2, 3, 4, 5, 6, 6]


def test_steps_without_a_loss_are_not_logged_as_one_of_zero(
    tiny_config, small, tmp_path, monkeypatch, measured
):
    changes = {"train.epochs": 1, "train.log_every_steps": 1}
    config = tiny_config({**small, **changes, "train.on_nonfinite": "skip"})
    spoil(monkeypatch, 3)
    train_and_evaluate(config, tmp_path)
    lines = [line for line in measured(tmp_path) if line["split"] == "train"]
    assert [line["step"] for line in lines] == [1, 2, 4, 5]
    assert all(line["loss"] > 0 for line in lines)
    assert loop._in_words(Tally(tokens=9, seconds=3.0)) == {
        "loss": "-",
        "accuracy": "-",
        "tokens/s": "3",
    }


def test_a_run_in_which_no_step_is_finite_stops(
    tiny_config, small, tmp_path, monkeypatch
):
    changes = {"train.epochs": 2, "train.on_nonfinite": "skip"}
    config = tiny_config({**small, **changes})
    monkeypatch.setattr(loop, "_MOST_SKIPPED", 4)
    # Steps 2 and 3, which are counted on when the run goes on with steps 4 and 5.
    with monkeypatch.context() as patch:
        spoil(patch, 2, 3)
        stop_at(patch, "_save", before=False, when=lambda p: p.step == 3)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(config, tmp_path)
    spoil(monkeypatch, 1, 2)
    with pytest.raises(UserError, match="^4 steps up to step 5: expected a finite"):
        train_and_evaluate(config, tmp_path)


@pytest.mark.parametrize("choice", ["stop", "continue"])
def test_a_run_whose_saves_fail_stops_or_goes_on_and_loses_nothing(
    choice, tiny_config, small, tmp_path, monkeypatch, measured, caplog
):
    config = tiny_config({**small, "train.on_save_error": choice})
    whole = train_and_evaluate(config, tmp_path / "whole")
    real = ocp.CheckpointManager.save

    def save(self, step, **kwargs):
        if step >= 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, step, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(UserError) as error:
        patch.setattr(ocp.CheckpointManager, "save", save)
        train_and_evaluate(config, tmp_path / "full")
    message = str(error.value)
    assert "\n" not in message and "make room" in message
    steps = [x["step"] for x in measured(tmp_path / "full") if x["split"] == "train"]
    if choice == "stop":
        assert "expected to save step 6, got: No space left on device" in message
        assert "step 5 is saved" in message and max(steps) == 6
    else:
        assert "expected to save step 6, got: No space left on device" in caplog.text
        # It is trained to the end, but not called finished: nothing of it is on disk.
        assert "expected step 15, the last one, to be saved" in message
        assert max(steps) == 15
    assert saved_steps(tmp_path / "full") == [3, 5]
    again = train_and_evaluate(config, tmp_path / "full")
    assert timeless(again) == timeless(whole)
    assert measured(tmp_path / "full") == measured(tmp_path / "whole")


def test_a_run_that_is_not_finished_knows_its_classes(unbroken, tmp_path):
    folder = shutil.copytree(unbroken.folder, tmp_path / "run")
    (folder / "summary.json").unlink()
    about = load_trained(folder).about
    assert list(about.label_names) == unbroken.summary["label_names"]
    assert about.dataset == unbroken.summary["dataset"]
