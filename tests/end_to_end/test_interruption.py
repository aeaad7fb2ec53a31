"""Signals: the first one ends a run in good order, the second at once."""

import gc
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from outcomes import assert_same_run, saved_steps

from lstm_jax.training import classification, loop
from lstm_jax.training.checkpoints import Snapshot
from lstm_jax.training.interruption import Interrupted, handle_signals
from lstm_jax.training.loop import train_and_evaluate
from lstm_jax.training.progress import Progress

# (where, call, signal) and the step that is then saved, None for nothing.
MOMENTS = {
    "in set-up": ((classification, "load_datasets", 1, signal.SIGTERM), None),
    "before the first step": ((classification, "put_batch", 1, signal.SIGINT), 1),
    "in a step": ((loop, "_count", 7, signal.SIGTERM), 7),
    "in validation": ((classification, "evaluate", 2, signal.SIGTERM), 10),
    "in a save": ((loop, "_save", 3, signal.SIGINT), 6),
    "before the test": ((classification, "evaluate", 5, signal.SIGINT), 15),
}


def hit(monkeypatch, place):
    """Send this process a signal before the n-th call of a function."""
    module, name, count, number = place
    real, calls = getattr(module, name), []

    def hitting(*args, **kwargs):
        calls.append(name)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, hitting)


def interrupted(config, folder, monkeypatch, *place):
    """Start a run that is hit; what it says when it stops."""
    with monkeypatch.context() as patch:
        hit(patch, place)
        with handle_signals() as interruption, pytest.raises(Interrupted) as stopped:
            train_and_evaluate(config, folder, interruption)
    assert stopped.value.exit_code == 128 + place[-1]
    return str(stopped.value)


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_run_saves_and_goes_on_as_if_it_had_not_been(
    moment, unbroken, shared_programs, measured, tmp_path, monkeypatch, capfd
):
    place, step = MOMENTS[moment]
    said = interrupted(unbroken.config, tmp_path, monkeypatch, *place)
    name = place[-1].name
    assert said.startswith(f"Stopped by {name}")
    in_training = step and not saved_steps(tmp_path)[-1:] == [15]
    assert said.endswith(f"; step {step} is saved") or not in_training
    assert f"{name}: stopping as soon as all is saved" in capfd.readouterr().err
    assert (saved_steps(tmp_path)[-1:] or [None]) == [step]
    assert not (tmp_path / "summary.json").exists()
    summary = train_and_evaluate(unbroken.config, tmp_path)
    assert_same_run(tmp_path, summary, unbroken, measured)


def test_five_interruptions_in_a_row_change_nothing(
    unbroken, shared_programs, measured, tmp_path, monkeypatch
):
    steps = []
    for n, call in enumerate((2, 2, 4, 1, 3)):
        place = (loop, "_count", call, (signal.SIGTERM, signal.SIGINT)[n % 2])
        interrupted(unbroken.config, tmp_path, monkeypatch, *place)
        steps.append(saved_steps(tmp_path)[-1])
    assert steps == [2, 4, 8, 9, 12]
    summary = train_and_evaluate(unbroken.config, tmp_path)
    assert_same_run(tmp_path, summary, unbroken, measured)


def test_the_handlers_of_before_come_back_and_no_thread_stays():
    before = {number: signal.getsignal(number) for number in signal.Signals}
    gc.collect()  # what earlier runs left goes now, not in between
    threads, descriptors = set(threading.enumerate()), set(os.listdir("/proc/self/fd"))
    with handle_signals():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) != before[signal.SIGINT]
    assert {number: signal.getsignal(number) for number in signal.Signals} == before
    assert signal.set_wakeup_fd(-1) == -1
    assert set(threading.enumerate()) <= threads
    assert set(os.listdir("/proc/self/fd")) <= descriptors


def test_the_import_installs_nothing(process_environment):
    code = "import signal; b = [signal.getsignal(s) for s in signal.Signals]; "
    code += "import lstm_jax, lstm_jax.training.interruption; "
    code += "assert [signal.getsignal(s) for s in signal.Signals] == b; "
    code += "assert signal.set_wakeup_fd(-1) == -1"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=process_environment(), capture_output=True)
    assert done.returncode == 0, done.stderr


BUSY = """
import hashlib
from lstm_jax.training.interruption import handle_signals
with handle_signals() as interruption, interruption.deferred():
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_a_second_signal_ends_the_program_at_once(process_environment):
    """Also while the main thread is in C for minutes, where no handler can run."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY],
        env=process_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline().startswith("SIGTERM: stopping as soon as")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.communicate()


def test_all_hosts_stop_at_the_same_step(two_hosts, tmp_path):
    """One of two hosts gets the signal; both save and leave."""
    hit = "lstm_jax.training.loop:_count:6:SIGTERM"
    codes, _, said = two_hosts(tmp_path, "", hit)
    assert codes == [143, 143], said
    assert all("Stopped by SIGTERM; step 8 is saved" in err for err in said)
    assert saved_steps(tmp_path)[-1] == 8


def test_a_mistake_that_one_host_sees_is_told_by_all(two_hosts, tmp_path):
    """Only the first host looks at the folder; the other would wait for it."""
    (tmp_path / "file").write_text("not a folder")
    codes, _, said = two_hosts(tmp_path / "file", "", "")
    assert codes == [2, 2], said
    assert all("expected a folder to write to" in err for err in said)


@pytest.mark.parametrize(("held", "said"), [(True, "is"), (False, "could not be")])
def test_what_could_not_be_saved_is_not_called_saved(held, said):
    checkpoints = SimpleNamespace(
        save=lambda snapshot: None, wait=lambda: None, holds=lambda step: held
    )
    run = SimpleNamespace(
        checkpoints=checkpoints,
        clock=SimpleNamespace(stamp=lambda progress: progress),
        interruption=SimpleNamespace(agreed=lambda: 15),
    )
    with pytest.raises(Interrupted, match=f"SIGTERM; step 7 {said} saved"):
        loop._stop_if_asked(run, Snapshot(None, None, Progress(step=7)))
