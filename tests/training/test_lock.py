"""One process to a folder."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from lstm_jax.errors import UserError
from lstm_jax.training.lock import locked
from lstm_jax.training.workdir import Workdir

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from lstm_jax.errors import UserError
from lstm_jax.training.lock import locked
from lstm_jax.training.workdir import Workdir
try:
    with locked(Workdir(Path(sys.argv[1]))):
        print("locked", flush=True)
        sys.stdin.read()
except UserError as error:
    print(f"refused: {error}", flush=True)
"""


def other_process(folder):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_second_process_is_refused_and_told_who_is_there(tmp_path):
    other = other_process(tmp_path / "run")
    try:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(UserError) as error, locked(Workdir(tmp_path / "run")):
            pytest.fail("two processes in one folder")
        message = str(error.value)
        assert "expected a folder that no other process uses" in message
        assert f"process {other.pid} on " in message and "\n" not in message
        # A process that was killed had no time to clean up, and blocks nobody.
        other.send_signal(signal.SIGKILL)
        other.wait()
        with locked(Workdir(tmp_path / "run")):
            text = (tmp_path / "run" / "lock").read_text()
            assert text.startswith(f"process {os.getpid()} on ")
    finally:
        other.kill()
        other.communicate()


def test_the_lock_is_let_go_in_the_end(tmp_path):
    for _ in range(3):
        with locked(Workdir(tmp_path)):
            pass


@contextmanager
def not_root():
    """Root may write everywhere: be somebody else for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_cannot_be_written_is_refused_at_once():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with not_root(), pytest.raises(UserError) as error, locked(Workdir(folder)):
            pytest.fail("a folder of others was taken")
        folder.chmod(0o755)
    message = str(error.value)
    expected = f"--workdir {folder}: expected a folder to write to, got: Permission"
    assert message.startswith(expected) and "\n" not in message
