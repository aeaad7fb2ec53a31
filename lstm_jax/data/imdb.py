"""IMDB movie reviews, as TensorFlow Datasets defines them, without TensorFlow."""

import functools
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import hashing
from tensorflow_datasets.datasets.imdb_reviews import imdb_reviews_dataset_builder

from lstm_jax.data import prepared
from lstm_jax.data.corpus import Corpus
from lstm_jax.data.groups import read_groups
from lstm_jax.data.imdb_archive import (
    LARGE_MOVIE_REVIEWS,
    ArchiveInfo,
    read_members,
    train_movies,
)
from lstm_jax.data.imdb_download import download_archive, find_archive
from lstm_jax.paths import expand

MOVIES_FILE = "train_movies.txt"

_TFDSBuilder = imdb_reviews_dataset_builder.Builder


class ImdbReviews(_TFDSBuilder, skip_registration=True):
    """TFDS's own builder, fed from memory: it opens tars only with TensorFlow."""

    name = "imdb_reviews"
    # Where TFDS finds the citation and the description.
    pkg_dir_path = tfds.core.Path(imdb_reviews_dataset_builder.__file__).parent

    def __init__(
        self, *, members: Mapping[str, bytes] | None = None, **kwargs: Any
    ) -> None:
        """Make the builder.

        Args:
          members: of ``read_members``; only preparing needs them.
          **kwargs: as for every builder of TFDS.
        """
        super().__init__(config="plain_text", **kwargs)
        self._members = members or {}

    def _split_generators(self, dl_manager: Any) -> Any:
        """Let the builder read the members instead of an archive of its own."""
        del dl_manager
        archive = _ArchiveInMemory(self._members)
        return super()._split_generators(cast(tfds.download.DownloadManager, archive))


class _ArchiveInMemory:
    """What the builder needs of a download manager."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self._members = members

    def download(self, url: str) -> str:
        """Say where the archive lies; it is in memory."""
        return url

    def iter_archive(self, path: str) -> Iterator[tuple[str, BinaryIO]]:
        """Yield the members as TFDS would, names in the way of the system."""
        del path
        for name, content in self._members.items():
            yield os.path.normpath(name), io.BytesIO(content)


def load_imdb(
    data_dir: str = "", *, archive: ArchiveInfo = LARGE_MOVIE_REVIEWS
) -> Corpus:
    """Load IMDB movie reviews; prepare them first when they are not yet.

    Args:
      data_dir: of TFDS; "" is ``default_data_dir()``.
      archive: what to prepare from.

    Returns:
      25,000 train and 25,000 test reviews, in TFDS order; the groups of train are
      the movies, if the set was prepared here.

    Raises:
      UserError: no way to get the data; the message names the ways out.
    """
    builder = _open(data_dir, archive)
    train = prepared.read_split(builder, "train")
    movies = Path(builder.data_dir) / MOVIES_FILE
    if movies.exists():
        groups = read_groups(movies, len(train.texts), setting=MOVIES_FILE)
        train = train._replace(groups=groups)
    return Corpus(
        name="imdb_reviews",
        label_names=prepared.label_names(builder),
        train=train,
        test=prepared.read_split(builder, "test"),
    )


def load_unlabelled(
    data_dir: str = "", *, archive: ArchiveInfo = LARGE_MOVIE_REVIEWS
) -> tuple[str, ...]:
    """The 50,000 reviews without labels; 641 are copies of labelled ones.

    Args and errors are those of ``load_imdb``.
    """
    builder = _open(data_dir, archive)
    return tuple(prepared.read_split(builder, "unsupervised").texts)


def _open(data_dir: str, archive: ArchiveInfo) -> tfds.core.GeneratorBasedBuilder:
    named = expand(data_dir, "data.data_dir") if data_dir else None
    root = (named or prepared.default_data_dir()).absolute()
    return prepared.open_prepared(ImdbReviews, root) or _prepare(root, archive)


def _prepare(root: Path, archive: ArchiveInfo) -> tfds.core.GeneratorBasedBuilder:
    path = find_archive(root, archive) or download_archive(root, archive)
    members = read_members(path, archive)
    return prepared.prepare(
        functools.partial(ImdbReviews, members=members),
        root,
        finish=functools.partial(_write_movies, members=members),
    )


def _write_movies(
    builder: tfds.core.GeneratorBasedBuilder, *, members: Mapping[str, bytes]
) -> None:
    """Write, beside the prepared set, the movie of every train record."""
    movies = train_movies(members)
    names = tfds_order(movies, "train")
    _check_order(prepared.read_records(builder, "train"), names, members)
    lines = "".join(f"{movies[name]}\n" for name in names)
    (Path(builder.data_dir) / MOVIES_FILE).write_text(lines, encoding="utf-8")


def tfds_order(keys: Mapping[str, Any], split: str) -> list[str]:
    """Return ``keys`` in the order in which TFDS stores the records of ``split``.

    TFDS sorts by the MD5 of the key, salted with the name of the split.
    """
    return sorted(keys, key=hashing.Hasher(split).hash_key)


def _check_order(
    records: prepared.Records, names: list[str], members: Mapping[str, bytes]
) -> None:
    """Stop when the stored records are not the reviews ``names``, in this order."""
    texts = [members[name].strip() for name in names]
    labels = np.array(["/pos/" in name for name in names], np.int32)
    if texts != records.texts or not np.array_equal(labels, records.labels):
        raise RuntimeError(
            "this version of tensorflow-datasets stores records in an order that is "
            f"not known: movies cannot be told (version {tfds.__version__})"
        )
