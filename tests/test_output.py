"""Programs whose output nobody reads any more."""

import os
import pty
import signal
import subprocess
import sys

import pytest

LINES = """
import os, sys, time, warnings
from lstm_jax.output import go_on_unread
go_on_unread()
print("first")
print("first", file=sys.stderr)
if sys.argv[1:] == ["wait"]:
    os.kill(os.getpid(), 9)
sys.stdout.flush(), sys.stderr.flush()
sys.stdin.readline()
for _ in range(3):
    print("more", flush=True)
    print("more", file=sys.stderr, flush=True)
"""
CODE = [sys.executable, "-c", LINES]


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_a_closed_pipe_ends_nothing(closed):
    running = subprocess.Popen(
        CODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    kept = {"stdout": running.stdout, "stderr": running.stderr}
    for name in (closed,) if closed in kept else tuple(kept):
        assert kept[name].readline() == b"first\n"
        kept.pop(name).close()
    running.stdin.write(b"\n")
    running.stdin.close()
    for stream in kept.values():
        assert stream.read() == b"first\nmore\nmore\nmore\n"
    assert running.wait(60) == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_a_closed_terminal_ends_nothing():
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        CODE, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    assert os.read(ours, 5) == b"first"
    os.close(ours)
    running.stdin.write(b"\n")
    running.stdin.close()
    assert running.wait(60) == 0


def test_what_is_not_kept_back_still_is_not():
    """As containers have it: the last words of a process that is killed."""
    done = subprocess.run(
        [sys.executable, "-u", *CODE[1:], "wait"], capture_output=True
    )
    assert done.returncode == -signal.SIGKILL
    assert (done.stdout, done.stderr) == (b"first\n", b"first\n")


def test_without_a_standard_output_there_is_none():
    code = "import sys; sys.stdout = None\n" + LINES.replace('print("first")', "")
    code = code.replace("sys.stdout.flush(), ", "").replace(
        'print("more", flush=True)', ""
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"\n", capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
