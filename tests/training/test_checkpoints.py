import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.training.checkpoints import Checkpoints, Snapshot
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
