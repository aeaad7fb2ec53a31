"""What stands under the name of a file is all of it, or what stood there before."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from runs import METRICS, make_explanations, make_predictions, write_run
from tokenizers import Tokenizer, models

from lstm_jax.data.datasets import Text, save_text
from lstm_jax.data.ngrams import NGrams, no_ngrams, save_ngrams
from lstm_jax.explanations import save_explanations
from lstm_jax.plots.style import new_figure, save
from lstm_jax.report import write_report
from lstm_jax.training.lock import locked
from lstm_jax.training.logbook import Logbook
from lstm_jax.training.predictions import save_predictions
from lstm_jax.training.workdir import Workdir, write_json

resource = pytest.importorskip("resource", reason="it is what cuts a write short")
LOG = METRICS * 20 + [{**METRICS[-1], "step": 141}]


@contextmanager
def files_of_at_most(size):
    """What writes more fails in the middle of it, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_tokenizer(path):
    words = {"[PAD]": 0, "[UNK]": 1, **{f"word{n}": n for n in range(2, 300)}}
    tokenizer = Tokenizer(models.WordLevel(vocab=words, unk_token="[UNK]"))
    save_text(Text(tokenizer, no_ngrams(1)), path.parent)


def write_ngrams(path):
    ratios = np.ones((300, 1), np.float32)
    save_ngrams(NGrams(1, 300, np.arange(300), ratios), path)


WRITERS = {
    "summary.json": lambda path: write_json(path, {"a": [1] * 999}),
    "predictions.npz": lambda path: save_predictions(make_predictions(2), path),
    "explanations.npz": lambda path: save_explanations(make_explanations(2, []), path),
    "tokenizer.json": write_tokenizer,
    "ngrams.npz": write_ngrams,
    "loss.png": lambda path: save(new_figure(), path),
    "report.html": lambda path: write_report(path.parent, "python train.py"),
    # Going on from step 140, the later lines are dropped.
    "metrics.jsonl": lambda path: Logbook(
        Workdir(path.parent), step=140, active=True
    ).close(),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_fails_leaves_what_was_there(name, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_jax.report.write.draw_findings", lambda *args: [])
    write_run(tmp_path)
    path, write = tmp_path / name, WRITERS[name]
    before = "".join(json.dumps(line) + "\n" for line in LOG).encode()
    path.write_bytes(before)
    write(path)
    size = path.stat().st_size
    path.write_bytes(before)
    with files_of_at_most(size // 2), pytest.raises(OSError) as error:
        write(path)
    assert path.read_bytes() == before
    assert error.value.filename == str(path)
    assert [p for p in tmp_path.iterdir() if ".tmp" in p.name] == []


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    """A loss of power between the two would leave an empty file."""
    path, synced = tmp_path / "summary.json", []

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_size, path.exists()))

    monkeypatch.setattr("lstm_jax.drafts.os.fsync", fsync)
    write_json(path, {"a": [1] * 999})
    assert synced == [(path.stat().st_size, False)]


@pytest.mark.parametrize("name", ["summary.json", "predictions.npz"])
def test_what_a_link_leads_to_is_written_and_the_link_stays(name, tmp_path):
    """Its name may have another ending, as in a store that names what it holds."""
    place, link = tmp_path / "far" / "ab12", tmp_path / name
    place.parent.mkdir()
    place.write_text("old")
    link.symlink_to(place)
    WRITERS[name](link)
    WRITERS[name](direct := tmp_path / f"direct{link.suffix}")
    assert link.is_symlink() and place.stat().st_size == direct.stat().st_size
    assert [path.name for path in place.parent.iterdir()] == ["ab12"]


@pytest.mark.parametrize("kind", ["a folder", "the root"])
def test_a_folder_is_no_place_for_a_file(kind, tmp_path):
    path = {"a folder": tmp_path, "the root": Path("/")}[kind]
    with pytest.raises(IsADirectoryError) as error:
        write_json(path, {"a": 1})
    assert error.value.filename == str(path)
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.tmp*"))


@pytest.mark.parametrize("name", ["why.html", "why"])
def test_a_file_of_the_user_beside_it_stays(name, tmp_path):
    """Also one whose name looks like that of a draft."""
    path = tmp_path / name
    others = [path.with_suffix(f".tmp{path.suffix}"), tmp_path / f"{name}.tmp"]
    for other in others:
        other.write_text("the user's own")
    write_json(path, {"a": 1})
    assert {p.read_text() for p in others} == {"the user's own"}
    assert {*tmp_path.iterdir()} == {path, *others}


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    """Nor is /dev/null replaced, by root."""
    path = tmp_path / "summary.json"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # so that nobody waits
    write_json(path, {"a": 1})
    assert json.loads(os.read(pipe, 999)) == {"a": 1}
    os.close(pipe)
    assert path.is_fifo() and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_lock_that_finds_no_room_is_named(tmp_path):
    """It is the first file that a run writes."""
    workdir = Workdir(tmp_path)
    with files_of_at_most(0), pytest.raises(OSError) as error, locked(workdir):
        pass
    assert error.value.filename == str(workdir.lock)
