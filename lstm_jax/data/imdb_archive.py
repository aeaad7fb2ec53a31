"""The archive of the Large Movie Review Dataset (Maas et al., 2011): aclImdb."""

import hashlib
import posixpath
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lstm_jax.errors import UserError, refusing

# Members that matter; the rest are bags of words and read-me files.
_REVIEW = re.compile(r"aclImdb/((?:train|test)/(?:neg|pos|unsup))/\d+_\d+\.txt")
_URLS = re.compile(r"aclImdb/train/urls_(?:neg|pos)\.txt")
_TRAIN_REVIEW = re.compile(r"aclImdb/train/(neg|pos)/(\d+)_\d+\.txt")
_MOVIE = re.compile(rb"/(tt\d+)")


def _real_counts() -> dict[str, int]:
    labelled = ("train/neg", "train/pos", "test/neg", "test/pos")
    return {**dict.fromkeys(labelled, 12_500), "train/unsup": 50_000}


@dataclass(frozen=True)
class ArchiveInfo:
    """What the archive must be.

    Attributes:
      url: where it is published.
      size: bytes.
      sha256: hexadecimal digest.
      counts: reviews in every folder under ``aclImdb``.
    """

    url: str = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
    size: int = 84_125_825
    sha256: str = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
    counts: Mapping[str, int] = field(default_factory=_real_counts)

    @property
    def filename(self) -> str:
        """The name of the file, as TFDS looks for it in its manual folder."""
        return posixpath.basename(self.url)


LARGE_MOVIE_REVIEWS = ArchiveInfo()


def check_file(path: Path, info: ArchiveInfo, *, called: str = "") -> None:
    """Refuse a file that is not the archive.

    Args:
      path: the file.
      info: its expected size and digest.
      called: what a message calls the file; "" is its path.

    Raises:
      UserError: it has another size or digest, or cannot be read.
    """
    called = called or str(path)
    with refusing(f"{called}: cannot be read"), path.open("rb") as file:
        size = path.stat().st_size
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    again = f"download {info.url} again"
    if size != info.size:
        raise UserError(
            f"{called}: expected {info.size} bytes, got {size}: cut short, or another "
            f"file; {again}"
        )
    if digest != info.sha256:
        raise UserError(
            f"{called}: wrong checksum: expected sha256 {info.sha256}, got {digest}; "
            f"{again}"
        )


def read_members(path: Path, info: ArchiveInfo) -> dict[str, bytes]:
    """Read the reviews and the lists of movie pages, about 130 MB, into memory.

    Args:
      path: a gzipped tar.
      info: how many reviews are expected in every folder.

    Returns:
      The contents by name, such as ``aclImdb/train/pos/0_9.txt``.

    Raises:
      UserError: it is no tar, is cut short, or misses members.
    """
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                name = posixpath.normpath(member.name)
                if _REVIEW.fullmatch(name) or _URLS.fullmatch(name):
                    members[name] = _content(tar, member)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(
            f"{path}: expected a gzipped tar, got a file that is damaged or cut short: "
            f"{error}; download {info.url} again"
        ) from error
    _check_counts(path, members, info)
    return members


def train_movies(members: Mapping[str, bytes]) -> dict[str, str]:
    """Tell of which movie every labelled train review is.

    Line k (from 0) of ``urls_pos.txt`` is the page of the movie that
    ``train/pos/<k>_<rating>.txt`` reviews; likewise for neg.

    Args:
      members: of ``read_members``.

    Returns:
      The movie, such as ``tt0064354``, by the name of the review.

    Raises:
      UserError: a list is missing, is too short, or names no movie.
    """
    pages = {label: _movie_lines(members, label) for label in ("neg", "pos")}
    movies = {}
    for name in members:
        review = _TRAIN_REVIEW.fullmatch(name)
        if review:
            label, line = review[1], int(review[2])
            movies[name] = _movie(pages[label], line, f"urls_{label}.txt", name)
    return movies


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isfile() else None
    if file is None:
        raise tarfile.ReadError(f"{member.name} is not a file")
    return file.read()


def _check_counts(path: Path, members: dict[str, bytes], info: ArchiveInfo) -> None:
    found = dict.fromkeys(info.counts, 0)
    for name in members:
        review = _REVIEW.fullmatch(name)
        if review:
            found[review[1]] = found.get(review[1], 0) + 1
    for folder, expected in info.counts.items():
        if found[folder] != expected:
            raise UserError(
                f"{path}: expected {expected} reviews in aclImdb/{folder}, got "
                f"{found[folder]}; download {info.url} again"
            )


def _movie_lines(members: Mapping[str, bytes], label: str) -> list[bytes]:
    name = f"aclImdb/train/urls_{label}.txt"
    if name not in members:
        raise UserError(f"the archive: expected the member {name}, got none")
    return members[name].split(b"\n")


def _movie(lines: list[bytes], line: int, urls: str, name: str) -> str:
    page = lines[line] if line < len(lines) else b"no such line"
    movie = _MOVIE.search(page)
    if movie is None:
        raise UserError(
            f"the archive: expected the page of a movie (.../tt0123456/...) for {name} "
            f"on line {line + 1} of {urls}, got "
            f"{page.decode(errors='replace')!r}"
        )
    return movie[1].decode()
