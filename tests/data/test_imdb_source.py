import collections
import dataclasses
import errno
import hashlib
import http.client
import http.server
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.data import imdb_download, prepared
from lstm_jax.data.imdb import MOVIES_FILE, ImdbReviews, load_imdb, tfds_order
from lstm_jax.data.imdb_archive import LARGE_MOVIE_REVIEWS
from lstm_jax.errors import UserError

VERSION_DIR = Path("imdb_reviews/plain_text/1.0.0")


def manual(data_dir):
    return data_dir / "downloads" / "manual"


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def prepare_refused(data_dir, info):
    """Prepare; expect one line of complaint and a directory as it was before."""
    before = files_in(data_dir)
    with pytest.raises(UserError) as error:
        load_imdb(str(data_dir), archive=info)
    assert files_in(data_dir) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def test_prepares_from_the_manual_folder_without_network(
    tmp_path, small_archive, offline, capsys
):
    info = small_archive.put(manual(tmp_path))
    corpus = load_imdb(str(tmp_path), archive=info)
    assert corpus.name == "imdb_reviews"
    assert corpus.label_names == ("neg", "pos")
    assert corpus.notice == ""
    assert corpus.test is not None
    for split, reviews in (("train", corpus.train), ("test", corpus.test)):
        expected = collections.Counter(
            (content.decode().strip(), int("/pos/" in name))
            for name, content in small_archive.members.items()
            if f"{split}/pos/" in name or f"{split}/neg/" in name
        )
        got = zip(reviews.texts, reviews.labels.tolist(), strict=True)
        assert collections.Counter(got) == expected
        assert reviews.labels.dtype == np.int32
    assert not offline
    assert capsys.readouterr().out == ""
    assert "incomplete" not in " ".join(files_in(tmp_path))


def test_every_train_record_gets_its_movie(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    corpus = load_imdb(str(tmp_path), archive=info)
    lines = (tmp_path / VERSION_DIR / MOVIES_FILE).read_text().split()
    # Every text of the fixture is different, so that it tells the movie.
    movie_of = {
        small_archive.members[name].decode().strip(): movie
        for name, movie in small_archive.movies.items()
    }
    assert lines == [movie_of[text] for text in corpus.train.texts]
    groups = corpus.train.groups
    assert groups is not None and groups.dtype == np.int64
    same_movie = np.array(lines)[:, None] == np.array(lines)
    np.testing.assert_array_equal(groups[:, None] == groups, same_movie)
    assert corpus.test is not None and corpus.test.groups is None


def test_a_prepared_set_needs_neither_archive_nor_network(
    tmp_path, small_archive, offline
):
    info = small_archive.put(manual(tmp_path))
    first = load_imdb(str(tmp_path), archive=info)
    (manual(tmp_path) / info.filename).unlink()
    before = files_in(tmp_path)
    again = load_imdb(str(tmp_path), archive=info)
    assert pickle.dumps(again) == pickle.dumps(first)
    assert files_in(tmp_path) == before
    assert not offline


def test_without_the_file_of_movies_there_are_no_groups(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    load_imdb(str(tmp_path), archive=info)
    (tmp_path / VERSION_DIR / MOVIES_FILE).unlink()
    assert load_imdb(str(tmp_path), archive=info).train.groups is None


def test_data_dir_defaults_to_the_variable_at_call_time(
    tmp_path, small_archive, monkeypatch
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "shared"))
    info = small_archive.put(manual(tmp_path / "shared"))
    load_imdb(archive=info)
    assert (tmp_path / "shared" / VERSION_DIR / "dataset_info.json").exists()
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert prepared.default_data_dir() == tmp_path / "tensorflow_datasets"


def test_offline_names_the_three_ways_out_at_once(tmp_path, offline):
    begin = time.monotonic()
    message = prepare_refused(tmp_path, LARGE_MOVIE_REVIEWS)
    assert time.monotonic() - begin < 10
    assert offline
    assert LARGE_MOVIE_REVIEWS.url in message
    assert f"aclImdb_v1.tar.gz (from {LARGE_MOVIE_REVIEWS.url}) into" in message
    assert str(manual(tmp_path)) in message
    assert "TFDS_DATA_DIR" in message
    assert "configs/offline.py" in message
    assert "name resolution" in message


def test_a_name_lookup_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb_download, "_PROBE_SECONDS", 0.2)
    release = threading.Event()

    def hang(*args, **kwargs):
        release.wait(20)
        raise socket.gaierror(-3, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    begin = time.monotonic()
    assert "no answer in 0.2 seconds" in prepare_refused(tmp_path, LARGE_MOVIE_REVIEWS)
    assert time.monotonic() - begin < 10
    release.set()


def test_an_answer_that_is_no_http_is_told(tmp_path, monkeypatch):
    def urlopen(*args, **kwargs):
        raise http.client.BadStatusLine("hello there")

    monkeypatch.setattr(imdb_download.urllib.request, "urlopen", urlopen)
    message = prepare_refused(tmp_path, LARGE_MOVIE_REVIEWS)
    assert "got neither (hello there)" in message


def test_downloads_that_are_closed_to_the_user_are_none(tmp_path, monkeypatch):
    """Of somebody else, in a directory that several share."""
    downloads, real = tmp_path / "downloads", Path.stat

    def stat(path, **how):
        if downloads in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    assert imdb_download.find_archive(tmp_path, LARGE_MOVIE_REVIEWS) is None


def test_a_folder_that_is_closed_to_the_user_is_named(tmp_path, monkeypatch):
    """Root looks into any folder, so the system's answer is given here."""

    def stat(path, **how):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch, pytest.raises(UserError) as error:
        patch.setattr(Path, "stat", stat)
        load_imdb(str(tmp_path / "closed"))
    expected = f"{tmp_path / 'closed'}: expected a directory that may be read, got: "
    assert str(error.value).startswith(
        f"{expected}Permission denied; set data.data_dir"
    )


def test_offline_leaves_a_missing_data_dir_missing(tmp_path, offline):
    with pytest.raises(UserError):
        load_imdb(str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_wrong_size_and_wrong_checksum_are_said(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    message = prepare_refused(tmp_path, dataclasses.replace(info, size=info.size + 9))
    assert f"expected {info.size + 9} bytes, got {info.size}" in message
    message = prepare_refused(tmp_path, dataclasses.replace(info, sha256="0" * 64))
    assert "wrong checksum" in message and info.sha256 in message


def test_the_true_archive_is_expected_by_default(tmp_path, small_archive):
    small_archive.put(manual(tmp_path))
    assert "expected 84125825 bytes" in prepare_refused(tmp_path, LARGE_MOVIE_REVIEWS)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.8])
def test_a_tar_cut_short_is_said(tmp_path, small_archive, put_bytes, keep):
    whole = small_archive.tar()
    cut = whole[: int(keep * len(whole)) if 0 < keep < 1 else keep]
    info = put_bytes(manual(tmp_path), cut)
    assert "damaged or cut short" in prepare_refused(tmp_path, info)


def test_what_is_no_tar_is_said(tmp_path, put_bytes):
    info = put_bytes(manual(tmp_path), b"<html>404 Not Found</html>" * 99)
    assert "expected a gzipped tar" in prepare_refused(tmp_path, info)


def test_a_tar_of_something_else_is_said(tmp_path, small_archive):
    other = {f"x/{name}": text for name, text in small_archive.members.items()}
    info = small_archive._replace(members=other).put(manual(tmp_path))
    message = prepare_refused(tmp_path, info)
    assert "expected 9 reviews in aclImdb/train/neg, got 0" in message


def test_a_wrong_count_is_said(tmp_path, small_archive):
    del small_archive.members[
        next(name for name in small_archive.members if "test/pos/" in name)
    ]
    message = prepare_refused(tmp_path, small_archive.put(manual(tmp_path)))
    assert "expected 5 reviews in aclImdb/test/pos, got 4" in message


def test_missing_or_short_lists_of_movies_are_said(tmp_path, small_archive):
    urls = "aclImdb/train/urls_pos.txt"
    lines = small_archive.members[urls].split(b"\n")
    small_archive.members[urls] = b"\n".join(lines[:5])
    message = prepare_refused(tmp_path, small_archive.put(manual(tmp_path)))
    assert "of urls_pos.txt, got 'no such line'" in message
    del small_archive.members[urls]
    message = prepare_refused(tmp_path, small_archive.put(manual(tmp_path)))
    assert f"expected the member {urls}" in message


def test_an_unknown_order_of_records_is_never_written_down(
    tmp_path, small_archive, monkeypatch
):
    info = small_archive.put(manual(tmp_path))
    before = files_in(tmp_path)
    monkeypatch.setattr("lstm_jax.data.imdb.tfds_order", lambda keys, split: list(keys))
    with pytest.raises(RuntimeError, match="order that is not known"):
        load_imdb(str(tmp_path), archive=info)
    assert files_in(tmp_path) == before


def test_tfds_order_is_by_salted_md5():
    keys = {f"aclImdb/train/pos/{k}_8.txt": "" for k in range(50)}
    by_hand = sorted(keys, key=lambda k: hashlib.md5(b"train" + k.encode()).digest())
    assert tfds_order(keys, "train") == by_hand


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=lambda error: error.strerror,
)
def test_a_directory_that_cannot_be_written_is_said(
    tmp_path, small_archive, monkeypatch, error
):
    info = small_archive.put(manual(tmp_path))

    make = tempfile.mkdtemp

    def refuse(suffix=None, prefix=None, dir=None):
        if dir is not None:
            raise error
        return make(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    message = prepare_refused(tmp_path, info)
    assert str(tmp_path) in message and f"there: {error.strerror}" in message


def test_a_full_disk_is_said(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    # A limit on the size of a file fails in the same system call as a full disk.
    code = f"""
        import resource
        from pathlib import Path
        from lstm_jax.data.imdb import load_imdb
        from lstm_jax.data.imdb_archive import ArchiveInfo
        from lstm_jax.errors import UserError
        info = {info}
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        try:
            load_imdb({str(tmp_path)!r}, archive=info)
        except UserError as error:
            print(error)
    """
    before = files_in(tmp_path)
    done = run_python(code)
    assert "cannot write there: File too large" in done.stdout, done.stderr
    assert files_in(tmp_path) == before


def test_leftovers_in_place_of_the_set_are_said(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    (tmp_path / VERSION_DIR).mkdir(parents=True)
    (tmp_path / VERSION_DIR / "features.json").write_text("{}")
    assert "a set without its JSON files" in prepare_refused(tmp_path, info)


def test_a_damaged_prepared_set_is_said(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    load_imdb(str(tmp_path), archive=info)
    (shard,) = (tmp_path / VERSION_DIR).glob("*-test.array_record*")
    os.truncate(shard, shard.stat().st_size // 2)
    assert "cannot read the split 'test'" in prepare_refused(tmp_path, info)
    shard.unlink()
    assert "No such file or directory" in prepare_refused(tmp_path, info)
    (tmp_path / VERSION_DIR / "dataset_info.json").write_text('{"name"')
    assert "dataset_info.json" in prepare_refused(tmp_path, info)


def test_a_set_that_only_tensorflow_can_read_is_said(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    load_imdb(str(tmp_path), archive=info)
    notes = tmp_path / VERSION_DIR / "dataset_info.json"
    notes.write_text(notes.read_text().replace('"array_record"', '"tfrecord"'))
    assert "array_record, got tfrecord" in prepare_refused(tmp_path, info)


def test_who_prepares_second_keeps_what_the_first_made(
    tmp_path, small_archive, monkeypatch
):
    info = small_archive.put(manual(tmp_path))
    original = prepared._publish

    def slower(source, target):
        monkeypatch.setattr(prepared, "_publish", original)
        load_imdb(str(tmp_path), archive=info)
        original(source, target)

    monkeypatch.setattr(prepared, "_publish", slower)
    assert len(load_imdb(str(tmp_path), archive=info).train.texts) == 18
    assert not list(tmp_path.glob("incomplete*"))


@pytest.fixture
def server(tmp_path):
    """Serve ``tmp_path/www`` on this machine."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/aclImdb_v1.tar.gz"
        httpd.shutdown()


def test_downloads_when_there_is_a_network(tmp_path, small_archive, server):
    info = dataclasses.replace(small_archive.put(tmp_path / "www"), url=server)
    data_dir = tmp_path / "data"
    corpus = load_imdb(str(data_dir), archive=info)
    assert len(corpus.train.texts) == 18
    # A second preparation takes the download that TFDS keeps.
    (tmp_path / "www" / info.filename).unlink()
    set_dir = data_dir / VERSION_DIR
    set_dir.rename(tmp_path / "elsewhere")
    assert len(load_imdb(str(data_dir), archive=info).train.texts) == 18
    assert "incomplete" not in " ".join(files_in(data_dir))


def test_a_wrong_download_is_said_and_not_kept(tmp_path, small_archive, server):
    info = dataclasses.replace(
        small_archive.put(tmp_path / "www"), url=server, sha256="0" * 64
    )
    data_dir = tmp_path / "data"
    with pytest.raises(UserError, match="the download: wrong checksum"):
        load_imdb(str(data_dir), archive=info)
    assert not [p for p in data_dir.rglob("*") if p.is_file()]


def test_a_missing_page_is_said(tmp_path, server):
    info = dataclasses.replace(LARGE_MOVIE_REVIEWS, url=server)
    assert "got neither (File not found)" in prepare_refused(tmp_path, info)


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_works_where_tensorflow_cannot_be_imported(tmp_path, small_archive):
    info = small_archive.put(manual(tmp_path))
    # Not sys.modules["tensorflow"] = None: TFDS takes that for a loaded TensorFlow.
    code = f"""
        import sys

        class Without:
            def __init__(self, finder):
                self.finder = finder

            def __getattr__(self, name):
                return getattr(self.finder, name)

            def find_spec(self, name, *args):
                if name.partition(".")[0] != "tensorflow":
                    return self.finder.find_spec(name, *args)

        sys.meta_path[:] = map(Without, sys.meta_path)
        from lstm_jax.data.imdb import load_imdb
        from lstm_jax.data.imdb_archive import ArchiveInfo
        info = {info}
        corpus = load_imdb({str(tmp_path)!r}, archive=info)
        assert "tensorflow" not in sys.modules
        print(len(corpus.train.texts), len(set(corpus.train.groups)))
    """
    done = run_python(code)
    assert done.stdout == "18 4\n", done.stdout + done.stderr
    assert "import tensorflow" not in done.stderr.lower()


@pytest.mark.real_data
def test_the_real_reviews():
    if not os.environ.get("TFDS_DATA_DIR"):
        pytest.skip("TFDS_DATA_DIR is not set")
    root = prepared.default_data_dir()
    if prepared.open_prepared(ImdbReviews, root) is None:
        pytest.skip(f"imdb_reviews is not prepared in TFDS_DATA_DIR={root}")
    begin = time.monotonic()
    corpus = load_imdb()
    assert time.monotonic() - begin < 30
    assert corpus.test is not None
    for reviews in (corpus.train, corpus.test):
        assert len(reviews.texts) == 25_000
        assert np.bincount(reviews.labels).tolist() == [12_500, 12_500]
        assert all(reviews.texts)
