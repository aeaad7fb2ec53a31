"""Sets that TensorFlow Datasets prepared: made and read without TensorFlow."""

import contextlib
import io
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format
from tensorflow_datasets.proto import tf_example_pb2

from lstm_jax.data.corpus import Reviews
from lstm_jax.errors import UserError, reason
from lstm_jax.paths import expand

# The one format of TFDS that is written and read without TensorFlow.
_FILE_FORMAT = "array_record"
_INFO_FILE = "dataset_info.json"

logger = logging.getLogger(__name__)


class MakeBuilder(Protocol):
    """A builder class, or a ``functools.partial`` of one."""

    def __call__(self, *, data_dir: str) -> tfds.core.GeneratorBasedBuilder:
        """Make the builder of the set under ``data_dir``."""
        ...


class Records(NamedTuple):
    """One split as it is stored.

    Attributes:
      texts: the bytes of the texts, in TFDS order.
      labels: int32 [N].
    """

    texts: list[bytes]
    labels: np.ndarray


def default_data_dir() -> Path:
    """Return ``$TFDS_DATA_DIR`` as it is now, else ``~/tensorflow_datasets``."""
    # TFDS reads the variable once, when it is imported.
    named = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return expand(named, "TFDS_DATA_DIR")


def open_prepared(
    make_builder: MakeBuilder, data_dir: Path
) -> tfds.core.GeneratorBasedBuilder | None:
    """Open the set under ``data_dir`` when it is prepared.

    Args:
      make_builder: makes the builder for a directory.
      data_dir: root directory, as for TFDS.

    Returns:
      The builder, or None when there is no such set.

    Raises:
      UserError: the directory of the set holds something that cannot be read.
    """
    try:
        return _open_prepared(make_builder, data_dir)
    except OSError as error:
        raise UserError(
            f"{data_dir}: expected a directory that may be read, got: {reason(error)}; "
            "set data.data_dir or TFDS_DATA_DIR to another directory"
        ) from error


def _open_prepared(
    make_builder: MakeBuilder, data_dir: Path
) -> tfds.core.GeneratorBasedBuilder | None:
    try:
        builder = make_builder(data_dir=str(data_dir))
    except json_format.ParseError as error:
        raise UserError(
            f"{data_dir}: the dataset_info.json of a prepared set is damaged: "
            f"{_first_line(error)}; delete the set to prepare it again"
        ) from error
    target = Path(builder.data_dir)
    # TFDS warns of a set that is not there; that is no reason to warn.
    if not ((target / _INFO_FILE).exists() and builder.is_prepared()):
        _refuse_leftovers(target)
        return None
    formats = {f.value for f in builder.info.available_file_formats()}
    if _FILE_FORMAT not in formats:
        raise UserError(
            f"{target}: expected a set prepared as {_FILE_FORMAT}, got "
            f"{', '.join(sorted(formats)) or 'no format'}; set data.data_dir to "
            "another directory to prepare it there"
        )
    return builder


def prepare(
    make_builder: MakeBuilder,
    data_dir: Path,
    *,
    finish: Callable[[tfds.core.GeneratorBasedBuilder], None] | None = None,
) -> tfds.core.GeneratorBasedBuilder:
    """Prepare a set under ``data_dir``: the whole of it appears at once, or nothing.

    Args:
      make_builder: makes the builder for a directory.
      data_dir: root directory, as for TFDS; made when there is none.
      finish: checks or adds to the prepared set before anyone can see it.

    Returns:
      The builder of the prepared set.

    Raises:
      UserError: the directory cannot be written, or the disk is full.
    """
    target = Path(make_builder(data_dir=str(data_dir)).data_dir)
    logger.info("Preparing %s: once, about a minute", target)
    with writing_to(data_dir), scratch_dir(data_dir) as scratch:
        builder = make_builder(data_dir=str(scratch))
        # TFDS prints a size it does not know and a path that will not last.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                file_format=_FILE_FORMAT,
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
        if finish:
            finish(builder)
        _publish(Path(builder.data_dir), target)
    return make_builder(data_dir=str(data_dir))


def load_or_prepare(
    make_builder: MakeBuilder, data_dir: Path
) -> tfds.core.GeneratorBasedBuilder:
    """Open the set under ``data_dir``, prepared first when it is not yet."""
    return open_prepared(make_builder, data_dir) or prepare(make_builder, data_dir)


def read_records(builder: tfds.core.GeneratorBasedBuilder, split: str) -> Records:
    """Read the texts and labels of a split, in TFDS order.

    Args:
      builder: of a prepared set with the features ``text`` and ``label``.
      split: its name.

    Returns:
      The records as they are stored.

    Raises:
      UserError: a file is missing or damaged.
    """
    try:
        raw_bytes = tfds.decode.DeserializeMethod.RAW_BYTES
        # A decorator of TFDS hides the parameters from the type checker.
        source = cast(Any, builder).as_data_source(split, deserialize_method=raw_bytes)
        # In one call and parsed here: TFDS's own way takes several times as long.
        raw = source.__getitems__(range(len(source)))
    except RuntimeError as error:  # what array_record raises
        raise _damaged(builder, split, _first_line(error)) from error
    examples = [_parse(record).features.feature for record in raw]
    # A file that is cut short can also read as records without content.
    if not all("text" in example and "label" in example for example in examples):
        raise _damaged(builder, split, "records without content")
    return Records(
        [example["text"].bytes_list.value[0] for example in examples],
        np.array(
            [example["label"].int64_list.value[0] for example in examples], np.int32
        ),
    )


def read_split(builder: tfds.core.GeneratorBasedBuilder, split: str) -> Reviews:
    """Read a split as ``Reviews``; a byte that is not UTF-8 becomes U+FFFD."""
    records = read_records(builder, split)
    texts = [text.decode("utf-8", errors="replace") for text in records.texts]
    return Reviews(texts, records.labels)


def label_names(builder: tfds.core.GeneratorBasedBuilder) -> tuple[str, ...]:
    """Return the names of the classes, in the order of their numbers."""
    features = cast(Mapping[str, tfds.features.ClassLabel], builder.info.features)
    return tuple(features["label"].names)


@contextlib.contextmanager
def scratch_dir(data_dir: Path) -> Iterator[Path]:
    """Make a directory that is gone afterwards, on the file system of ``data_dir``."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="incomplete.") as scratch:
        yield Path(scratch)


@contextlib.contextmanager
def writing_to(data_dir: Path) -> Iterator[None]:
    """Turn what the file system refuses inside the block into a ``UserError``."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(data_dir, reason(error)) from error
    except RuntimeError as error:
        # The type in which array_record reports a failed system call.
        failed = re.search(r"\w+\(\) failed: ([^;\n]+)", str(error))
        if not failed:
            raise
        raise _cannot_write(data_dir, failed[1]) from error


def _cannot_write(data_dir: Path, why: str) -> UserError:
    return UserError(
        f"{data_dir}: expected a directory with room for the data set, cannot write "
        f"there: {why}; set data.data_dir or TFDS_DATA_DIR to another directory"
    )


def _publish(source: Path, target: Path) -> None:
    """Move a prepared set to its place; who came first keeps it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError:
        # Another process on the same directory (one host of many) was quicker.
        if not (target / _INFO_FILE).exists():
            raise


def _refuse_leftovers(target: Path) -> None:
    """Refuse a directory that is not empty and holds no prepared set."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"{target}: expected a prepared set, got a set without its "
            "JSON files; delete it to prepare the set again"
        )


def _parse(record: bytes) -> Any:
    # The message types are made when the module is imported.
    return cast(Any, tf_example_pb2).Example.FromString(record)


def _damaged(
    builder: tfds.core.GeneratorBasedBuilder, split: str, why: str
) -> UserError:
    return UserError(
        f"{builder.data_dir}: cannot read the split {split!r} of the prepared set: "
        f"{why}; delete that directory to prepare it again"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
