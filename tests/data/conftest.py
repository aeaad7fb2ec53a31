"""Shared by the tests of the data sources: a small archive of made-up reviews."""

import hashlib
import io
import random
import socket
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from lstm_jax.data.imdb_archive import ArchiveInfo

FOLDERS = {
    "train/neg": 9,
    "train/pos": 9,
    "test/neg": 5,
    "test/pos": 5,
    "train/unsup": 7,
}
WORDS = "a bad boring café great film of plot story superb the very was".split()


class SmallArchive(NamedTuple):
    """An archive shaped like aclImdb, and what it holds."""

    members: dict[str, bytes]
    movies: dict[str, str]

    def tar(self) -> bytes:
        """Return the archive as the bytes of a gzipped tar."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, content in self.members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    def put(self, folder: Path) -> ArchiveInfo:
        """Write the archive into ``folder``; return what is expected of it."""
        return write_archive(folder, self.tar())


def write_archive(folder: Path, content: bytes) -> ArchiveInfo:
    """Write any bytes as the archive; return the info that fits them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "aclImdb_v1.tar.gz").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return ArchiveInfo(size=len(content), sha256=digest, counts=FOLDERS)


@pytest.fixture
def put_bytes():
    return write_archive


@pytest.fixture
def small_archive() -> SmallArchive:
    rng = random.Random(7)
    members: dict[str, bytes] = {"aclImdb/README": b"read me"}
    movies: dict[str, str] = {}
    for folder, count in FOLDERS.items():
        urls = []
        for k in rng.sample(range(count), count):
            text = " ".join(rng.choices(WORDS, k=rng.randint(3, 30)))
            name = f"aclImdb/{folder}/{k}_{rng.randint(0, 10)}.txt"
            members[name] = f" {text}\n".encode()
            movies[name] = f"tt{rng.randint(1, 4):07d}"
            urls.append((k, movies[name]))
        lines = [
            f"http://www.imdb.com/title/{movie}/usercomments"
            for _, movie in sorted(urls)
        ]
        split, label = folder.split("/")
        members[f"aclImdb/{split}/urls_{label}.txt"] = "\n".join(lines).encode() + b"\n"
        members[f"aclImdb/{split}/labeledBow_{label}.feat"] = b"9 0:1"
    return SmallArchive(members, movies)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Make every connection and every look-up of a name fail; count them."""
    tried: list[object] = []

    def refuse(*args, **kwargs):
        tried.append(args)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tried
