"""What is kept is found again, and nothing else is."""

import errno
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from lstm_jax import cache
from lstm_jax.cache import cache_dir, keep_programs, remember


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_dir() / "numbers"


class Counted:
    def __init__(self, value):
        self.calls, self.value = 0, value

    def __call__(self):
        self.calls += 1
        return {"a": np.full(3, self.value)}


def test_the_same_bytes_are_computed_once(folder):
    compute = Counted(7)
    for _ in range(2):
        arrays = remember("numbers", [b"x", b"y"], compute)
        np.testing.assert_array_equal(arrays["a"], [7, 7, 7])
    assert compute.calls == 1
    assert [path.suffix for path in folder.iterdir()] == [".npz"]


def test_what_could_not_be_read_again_is_not_kept(folder, monkeypatch, caplog):
    monkeypatch.setattr(cache, "MOST_BYTES", 2 * Counted(7)()["a"].nbytes - 2)
    arrays = remember("numbers", [b"x"], Counted(7))
    np.testing.assert_array_equal(arrays["a"], [7, 7, 7])
    assert not folder.exists() and caplog.text == ""


@pytest.mark.parametrize("other", [[b"xy"], [b"x", b"z"], [b"y", b"x"], [b"x"], []])
def test_other_bytes_are_other_arrays(other):
    remember("numbers", [b"x", b"y"], Counted(7))
    assert remember("numbers", other, Counted(8))["a"][0] == 8


def test_a_damaged_file_is_computed_again_with_a_warning(folder, caplog):
    remember("numbers", [b"x"], Counted(7))
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert remember("numbers", [b"x"], Counted(7))["a"][0] == 7
    assert "computed again" in caplog.text
    caplog.clear()
    assert remember("numbers", [b"x"], Counted(8))["a"][0] == 7
    assert not caplog.text


def test_a_folder_that_cannot_be_written_costs_time_alone(folder, caplog):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in its place")
    assert remember("numbers", [b"x"], Counted(7))["a"][0] == 7
    assert "cannot keep" in caplog.text and str(folder) in caplog.text


def test_a_folder_that_is_closed_to_the_user_costs_time_alone(folder, monkeypatch):
    """Root looks into any folder, so the system's answer is given here."""
    remember("numbers", [b"x"], Counted(7))

    def stat(path, **how):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        assert remember("numbers", [b"x"], Counted(8))["a"][0] == 8


def test_a_write_that_fails_leaves_nothing(folder, monkeypatch, caplog):
    def savez(file, **kwargs):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        assert remember("numbers", [b"x"], Counted(7))["a"][0] == 7
    assert list(folder.iterdir()) == [] and "cannot keep" in caplog.text
    assert remember("numbers", [b"x"], Counted(8))["a"][0] == 8


def test_a_folder_that_may_only_be_read_is_used(monkeypatch):
    remember("numbers", [b"x"], Counted(7))

    def touch(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "touch", touch)
    assert remember("numbers", [b"x"], Counted(8))["a"][0] == 7


@pytest.mark.parametrize("told", [True, False])
def test_programs_are_kept_where_the_user_said(told, monkeypatch):
    if told:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    else:
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    values = []
    monkeypatch.setattr(jax.config, "update", lambda *args: values.append(args))
    keep_programs()
    ours = ("jax_compilation_cache_dir", str(cache_dir() / "programs"))
    assert values == ([] if told else [ours])


def test_what_was_not_used_for_longest_goes_first(folder, monkeypatch):
    monkeypatch.setattr(cache, "_KEPT", 2)
    for age, name in [(30, b"used"), (20, b"old")]:
        remember("numbers", [name], Counted(1))
        newest = max(folder.iterdir(), key=os.path.getmtime)
        os.utime(newest, (newest.stat().st_mtime - age,) * 2)
    remember("numbers", [b"used"], Counted(1))
    remember("numbers", [b"new"], Counted(1))
    used, old = Counted(1), Counted(1)
    remember("numbers", [b"used"], used)
    remember("numbers", [b"old"], old)
    assert (used.calls, old.calls) == (0, 1)


def test_what_killed_processes_were_writing_goes_after_a_day(folder):
    remember("numbers", [b"first"], Counted(1))
    kind = next(folder.iterdir()).parent
    old, young = kind / "a.123.tmp", kind / "b.456.tmp"
    for draft, hours in [(old, 25), (young, 23)]:
        draft.write_bytes(b"half of it")
        os.utime(draft, (draft.stat().st_mtime - hours * 3600,) * 2)
    remember("numbers", [b"first"], Counted(1))  # which writes nothing
    assert old.exists()
    remember("numbers", [b"second"], Counted(1))
    assert young.exists() and not old.exists()


def test_what_another_process_deletes_meanwhile_is_no_failure(monkeypatch, caplog):
    """It was listed, and is gone when its age is asked for."""
    real = Path.glob

    def late(path, pattern):
        return [*real(path, pattern), path / pattern.replace("*", "gone")]

    monkeypatch.setattr(Path, "glob", late)
    monkeypatch.setattr(cache, "_KEPT", 1)
    for name in (b"first", b"second"):
        remember("numbers", [name], Counted(1))
    assert caplog.text == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_what_is_kept_is_for_the_user_alone():
    """The vocabulary and the tokens of texts give the texts back."""
    cache_dir().mkdir(mode=0o755, parents=True)  # by what keeps nothing of the kind
    remember("numbers", [b"x"], Counted(7))
    assert (cache_dir() / "numbers").stat().st_mode & 0o077 == 0


def test_without_a_home_folder_nothing_is_kept(monkeypatch, caplog):
    """A cache that cannot be is no reason to stop."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)

    def nowhere(path):
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "expanduser", nowhere)
    assert remember("numbers", [b"x"], Counted(7))["a"].tolist() == [7, 7, 7]
    keep_programs()
    assert "cannot keep arrays" in caplog.text and "programs" in caplog.text
