"""A thousand steps, with validation and a checkpoint every fifty: nothing piles up."""

import gc
import os
import threading

import jax
import pytest
from tqdm import TMonitor

from lstm_jax.training import loop
from lstm_jax.training.interruption import handle_signals
from lstm_jax.training.loop import train_and_evaluate

if not os.path.exists("/proc/self/statm"):
    pytest.skip("memory is read from /proc", allow_module_level=True)


def resident():
    """Megabytes of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_memory_descriptors_and_threads_stay_as_they_are(
    tiny_config, small, tmp_path, monkeypatch
):
    # 48 reviews to train on, one a step: 21 epochs are 1,008 steps.
    sizes = {"train.batch_size": 1, "train.eval_batch_size": 4, "train.epochs": 21}
    changes = {**small, **sizes, "train.checkpoint_every_steps": 0}
    config, real, samples = tiny_config(changes), loop._save, []

    def save(run, snapshot):
        real(run, snapshot)
        run.checkpoints.wait()
        gc.collect()
        descriptors, arrays = len(os.listdir("/proc/self/fd")), len(jax.live_arrays())
        samples.append((resident(), descriptors, arrays, threading.active_count()))

    monkeypatch.setattr(loop, "_save", save)
    gc.collect()
    before = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    with handle_signals() as interruption:
        summary = train_and_evaluate(config, tmp_path, interruption)
    assert summary["epochs_run"] == 21 and len(samples) == 21
    memory, descriptors, arrays, threads = zip(*samples[5:], strict=True)
    print(f"{memory[0]:.0f} to {memory[-1]:.0f} MB")
    assert memory[-1] - memory[0] < 8
    assert len({*descriptors}) == 1
    assert len({*arrays}) == 1
    assert len({*threads}) == 1
    gc.collect()
    left = [t for t in threading.enumerate() if t not in before[0]]
    # One thread of tqdm watches all progress bars of a process, and ends with it.
    assert [t for t in left if not isinstance(t, TMonitor)] == []
    assert len(os.listdir("/proc/self/fd")) == before[1]
