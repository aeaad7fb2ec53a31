import asyncio
import contextlib
import dataclasses
import gc
import logging
import random
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
import tensorstore

from lstm_jax.errors import UserError
from lstm_jax.training import checkpoints as checkpoints_module
from lstm_jax.training.checkpoints import (
    Checkpoints,
    Snapshot,
    _pass_over_closed_loops,
    read_best,
)
from lstm_jax.training.progress import Progress, Tally
from lstm_jax.training.state import create_state

OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))


def random_params(seed):
    keys = jax.random.split(jax.random.key(seed))
    return {
        "embedding": {"table": jax.random.normal(keys[0], (5, 3))},
        "layers": {"layer_0": {"w": jax.random.normal(keys[1], (3, 8))}},
    }


def random_snapshot(step, seed=0, average=True):
    """A snapshot in which no two arrays are equal."""
    state = create_state(random_params(seed), OPTIMIZER, average=average)
    moved = jax.tree.map(
        lambda x: x + jnp.asarray(step + 0.5 * (x.dtype == jnp.float32), x.dtype), state
    )
    progress = Progress(
        step=step,
        epochs=2,
        best_epoch=1,
        best_val={"loss": 1 / 3, "accuracy": 0.9},
        stale_epochs=1,
        train_seconds=0.1 + 0.2,
        tally=Tally(loss=2 / 3, count=3.0, tokens=17),
    )
    best = jax.device_get(random_params(seed + 100))
    return Snapshot(moved._replace(step=jnp.asarray(step)), best, progress)


def fresh_snapshot(average=True):
    state = create_state(random_params(55), OPTIMIZER, average=average)
    return Snapshot(state, jax.device_get(random_params(56)), Progress())


def saved(folder, *snapshots, keep=2):
    checkpoints = Checkpoints(folder, keep=keep)
    for snapshot in snapshots:
        checkpoints.save(snapshot)
    checkpoints.close()


def restored(folder, like=None):
    checkpoints = Checkpoints(folder, keep=2)
    snapshot = checkpoints.restore(like or fresh_snapshot())
    checkpoints.close()
    return snapshot


def assert_same(snapshot, expected):
    assert jax.tree.structure(snapshot.state) == jax.tree.structure(expected.state)
    for part in ("state", "best"):
        jax.tree.map(
            np.testing.assert_array_equal,
            getattr(snapshot, part),
            getattr(expected, part),
        )
        dtypes = [
            [leaf.dtype for leaf in jax.tree.leaves(getattr(s, part))]
            for s in (snapshot, expected)
        ]
        assert dtypes[0] == dtypes[1]
    assert snapshot.progress == expected.progress


@pytest.mark.parametrize("average", [True, False])
def test_state_best_and_progress_come_back_with_every_bit(tmp_path, average):
    snapshot = random_snapshot(7, average=average)
    saved(tmp_path / "checkpoints", snapshot)
    assert_same(
        restored(tmp_path / "checkpoints", fresh_snapshot(average=average)), snapshot
    )


def test_without_a_checkpoint_a_run_starts_where_it_is(tmp_path):
    fresh = fresh_snapshot()
    assert restored(tmp_path / "checkpoints", fresh) is fresh


def test_the_newest_wins_and_no_more_than_the_limit_stay(tmp_path):
    snapshots = [random_snapshot(step, seed=step) for step in (3, 6, 9, 12)]
    saved(tmp_path, *snapshots, keep=2)
    assert_same(restored(tmp_path), snapshots[-1])
    steps = {path.name for path in tmp_path.iterdir() if path.name.isdigit()}
    assert steps == {"9", "12"}


def test_a_step_is_saved_once(tmp_path):
    first, second = random_snapshot(3, seed=1), random_snapshot(3, seed=2)
    saved(tmp_path, first, second)
    assert_same(restored(tmp_path), first)


def test_a_save_that_was_cut_off_is_passed_over(tmp_path):
    snapshot = random_snapshot(4)
    saved(tmp_path, snapshot)
    torn = tmp_path / "8.orbax-checkpoint-tmp-1700000000"
    (torn / "state").mkdir(parents=True)
    (torn / "state" / "half").write_bytes(b"\x00")
    assert_same(restored(tmp_path), snapshot)


def test_what_is_saved_is_the_state_of_the_call_not_of_later_steps(tmp_path):
    snapshot = random_snapshot(5)
    # Not np.asarray: that may be a view of the memory that is given away below.
    expected = snapshot._replace(
        state=jax.tree.map(lambda x: np.array(x, copy=True), snapshot.state)
    )
    step = jax.jit(lambda s: jax.tree.map(lambda x: x * 3 + 1, s), donate_argnums=0)
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(snapshot)
    state = snapshot.state
    for _ in range(20):
        state = step(state)
    jax.block_until_ready(state)
    checkpoints.close()
    assert_same(restored(tmp_path), expected)


def test_a_restored_run_can_go_on_and_be_saved_again(tmp_path):
    saved(tmp_path, random_snapshot(3))
    checkpoints = Checkpoints(tmp_path, keep=2)
    snapshot = checkpoints.restore(fresh_snapshot())
    further = snapshot._replace(progress=dataclasses.replace(snapshot.progress, step=4))
    checkpoints.save(further)
    checkpoints.close()
    assert_same(restored(tmp_path), further)


def files_of(folder, name):
    return [path for path in sorted((folder / name).rglob("*")) if path.is_file()]


def assert_falls_back(folder, snapshots, caplog):
    """The newest is noticed, named, set aside, and the one before is used."""
    caplog.clear()
    with caplog.at_level("WARNING", logger="lstm_jax"):
        assert_same(restored(folder), snapshots[0])
    assert f"{folder / '6'}: expected a whole checkpoint, got" in caplog.text
    assert "going on from step 3" in caplog.text
    assert sorted(p.name for p in folder.iterdir()) == ["3", "6.damaged"]


@pytest.fixture(scope="module")
def two_saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    snapshots = [random_snapshot(step, seed=step) for step in (3, 6)]
    saved(folder, *snapshots)
    return folder, snapshots


@pytest.fixture
def two(two_saved, tmp_path):
    """Two checkpoints, 3 and 6, in a folder to spoil."""
    folder, snapshots = two_saved
    shutil.copytree(folder, tmp_path / "checkpoints")
    return tmp_path / "checkpoints", snapshots


@pytest.mark.parametrize("part", ["state", "best", "progress", "digests"])
@pytest.mark.parametrize("harm", ["cut", "emptied", "gone"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(
    part, harm, two, caplog
):
    folder, snapshots = two
    path = max(files_of(folder / "6", part), key=lambda p: p.stat().st_size)
    if harm == "gone":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2 * (harm == "cut")])
    assert_falls_back(folder, snapshots, caplog)


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_is_noticed_or_changes_nothing(seed, two, caplog):
    folder, snapshots = two
    rng = random.Random(seed)
    # What is below this folder was copied to the one above and is not read again.
    spare = "ocdbt.process_0"
    paths = [path for path in files_of(folder, "6") if path.stat().st_size]
    path = rng.choice([path for path in paths if spare not in path.parts])
    flip(path, rng.randrange(8 * path.stat().st_size))
    with caplog.at_level("WARNING", logger="lstm_jax"):
        found = restored(folder)
    noticed = "expected a whole checkpoint" in caplog.text
    noticed = noticed or "as the settings say" in caplog.text
    assert_same(found, snapshots[0 if noticed else 1])
    with caplog.at_level("WARNING", logger="lstm_jax"):
        best = read_best(folder)
    expected = snapshots[0 if noticed else 1].best
    jax.tree.map(np.testing.assert_array_equal, best, expected)


def test_the_best_of_a_run_that_saves_and_deletes_meanwhile(two, monkeypatch, caplog):
    folder, snapshots = two
    read = checkpoints_module._read

    def read_late(path, parts):
        if path.name == "6":  # what was listed is gone, and a newer one is there
            shutil.copytree(path, folder / "9")
            for listed in ("3", "6"):
                shutil.rmtree(folder / listed)
        return read(path, parts)

    monkeypatch.setattr(checkpoints_module, "_read", read_late)
    with caplog.at_level("WARNING", logger="lstm_jax"):
        best = read_best(folder)
    assert caplog.text == ""
    jax.tree.map(np.testing.assert_array_equal, best, snapshots[1].best)


def test_a_value_that_no_format_guards_is_noticed(two, caplog):
    """The digest alone: the files are whole, but hold another number."""
    folder, snapshots = two
    path = next((folder / "6" / "progress").glob("metadata"))
    text = path.read_text()
    path.write_text(text.replace('"tokens": 17', '"tokens": 18'))
    assert path.read_text() != text
    assert_falls_back(folder, snapshots, caplog)


def test_a_checkpoint_set_aside_may_be_written_again(two):
    folder, _ = two
    flip(folder / "6" / "progress" / "metadata", 0)
    checkpoints = Checkpoints(folder, keep=2)
    snapshot = checkpoints.restore(fresh_snapshot())
    assert snapshot.progress.step == 3
    again = random_snapshot(6, seed=9)
    checkpoints.save(again)
    checkpoints.close()
    assert_same(restored(folder), again)


def test_without_any_whole_checkpoint_nothing_is_thrown_away(two):
    folder, _ = two
    for step in (3, 6):
        (folder / str(step) / "progress" / "metadata").write_text("{")
    with pytest.raises(UserError, match="6: expected a whole checkpoint, got") as error:
        restored(folder)
    assert "\n" not in str(error.value)
    assert sorted(p.name for p in folder.iterdir()) == ["3", "6"]


OTHERS = {
    "params/embedding/table": (
        lambda s: s["embedding"].update(table=jnp.ones((7, 3))),
        "to be float32[7,3], as the settings say, got float32[5,3]",
    ),
    "params/more": (
        lambda s: s.update(more=jnp.ones(2)),
        "to be float32[2], as the settings say, got none",
    ),
    "params/layers/layer_0/w": (
        lambda s: s["layers"].clear(),
        "to be absent, as the settings say, got float32[3,8]",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_another_model_is_told_in_a_line_with_the_field(name, two):
    folder, _ = two
    change, said = OTHERS[name]
    like = fresh_snapshot()
    change(like.state.params)
    with pytest.raises(UserError) as error:
        restored(folder, like)
    message = str(error.value)
    assert message.startswith(f"{folder / '6'}: expected state/{name} {said}")
    assert "\n" not in message
    assert sorted(p.name for p in folder.iterdir()) == ["3", "6"]


def test_a_checkpoint_from_before_digests_is_read_as_it_is(two):
    folder, snapshots = two
    shutil.rmtree(folder / "6" / "digests")
    assert_same(restored(folder), snapshots[1])


def fill(folder):
    with (folder / "filler").open("wb", 0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_asyncio_does_not_report_a_failed_save_with_a_traceback(tmp_path, caplog):
    Checkpoints(tmp_path / "checkpoints", keep=1).close()
    for fail in (
        lambda: ocp.CheckpointManager(tmp_path / "missing").restore(7),
        lambda: int("not of a save"),
    ):
        try:
            fail()
        except Exception as error:
            message = "Future exception was never retrieved"
            logging.getLogger("asyncio").error(message, exc_info=error)
    (report,) = [record for record in caplog.records if record.name == "asyncio"]
    assert "not of a save" in str(report.exc_info[1])


def test_threads_of_a_failed_save_that_come_too_late_show_no_traceback(
    tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    _pass_over_closed_loops.cache_clear()
    Checkpoints(tmp_path / "checkpoints", keep=1).close()
    loop = asyncio.new_event_loop()
    loop.close()
    # As from a thread of C++, which has no frames; and as from a program.
    for fail in (
        loop.call_soon_threadsafe,
        lambda call: loop.call_soon_threadsafe(call),
    ):
        with pytest.raises(RuntimeError) as error:
            fail(print)
        tail = error.value.with_traceback(error.tb.tb_next)
        sys.unraisablehook(SimpleNamespace(exc_value=tail))
    assert len(shown) == 1 and shown[0].exc_value is tail
    _pass_over_closed_loops.cache_clear()  # the hook goes with this test


@pytest.mark.parametrize("on_save_error", ["stop", "continue"])
def test_on_a_full_disk_the_older_checkpoints_stay_whole(
    small_disk, on_save_error, caplog
):
    folder = small_disk / "checkpoints"
    snapshots = [random_snapshot(step, seed=step) for step in (3, 6, 9, 12)]
    saved(folder, *snapshots[:2])
    fill(small_disk)
    checkpoints = Checkpoints(folder, keep=2, on_save_error=on_save_error)

    def try_to_save():
        checkpoints.save(snapshots[2])
        checkpoints.wait()

    said = f"{folder}: expected to save step 9, got: "
    if on_save_error == "stop":
        with pytest.raises(UserError) as error:
            try_to_save()
        message = str(error.value)
        assert message.startswith(f"{said}No space left") and "\n" not in message
        assert "step 6 is saved; make room there" in message
    else:
        with caplog.at_level("WARNING", logger="lstm_jax"):
            try_to_save()
        assert said in caplog.text
        assert "step 6 is saved; training goes on" in caplog.text
    assert not checkpoints.holds(9)
    assert not any(record.exc_info for record in caplog.records)
    # With room again, the same run can save, and keeps no more than it should.
    (small_disk / "filler").unlink()
    checkpoints.save(snapshots[3])
    checkpoints.close()
    assert_same(restored(folder), snapshots[3])
    assert {p.name for p in folder.iterdir()} == {"6", "12"}
    (folder / "12" / "progress" / "metadata").write_text("{")
    assert_same(restored(folder), snapshots[1])


def test_the_line_of_a_full_disk_stands_alone_however_its_threads_race(
    small_disk, caplog
):
    """TensorStore's threads leave errors behind that nobody awaits, now and then."""
    fill(small_disk)
    for number in range(5):
        folder = small_disk / f"checkpoints{number}"
        with contextlib.closing(Checkpoints(folder, keep=2)) as ours:
            with pytest.raises(UserError, match="nothing is saved; make room there"):
                ours.save(random_snapshot(3))
                ours.wait()
        gc.collect()
    assert caplog.text == ""


async def _leave_behind(error):
    asyncio.get_running_loop().create_future().set_exception(error)
    gc.collect()


def unawaited(folder):
    """An error as TensorStore leaves them; there is a file in its folder's place."""
    folder.touch()
    place = {"driver": "file", "path": f"{folder}/"}
    error = tensorstore.open({"driver": "zarr", "kvstore": place}).exception()
    assert error is not None and error.__traceback__ is None
    return error


def test_errors_that_nobody_awaited_are_shown_unless_they_are_of_a_save(
    tmp_path, caplog
):
    with contextlib.closing(Checkpoints(tmp_path / "checkpoints", keep=1)):
        asyncio.run(_leave_behind(unawaited(tmp_path / "3.orbax-checkpoint-tmp")))
        assert caplog.text == ""
        for error in (
            unawaited(tmp_path / "a_users_own"),
            OSError("in a_users_own/3.orbax-checkpoint-tmp"),
        ):
            caplog.clear()
            asyncio.run(_leave_behind(error))
            assert "a_users_own" in caplog.text


def test_a_disk_without_room_for_a_folder_keeps_no_thread_waiting(small_disk):
    """Orbax' threads would wait five minutes for a folder that nobody can make."""
    checkpoints = Checkpoints(small_disk / "checkpoints", keep=2)
    subprocess.run(["mount", "-o", "remount,nr_inodes=8", small_disk], check=True)
    with pytest.raises(OSError, match="No space left"):
        for number in range(9):
            (small_disk / str(number)).touch()
    before = set(threading.enumerate())
    with pytest.raises(UserError, match="No space left on device; nothing is saved"):
        checkpoints.save(random_snapshot(3))
        checkpoints.wait()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive(), thread
