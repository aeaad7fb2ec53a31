"""Arrays from ``.npz`` files, which may come from strangers."""

import math
import tokenize
import zlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, LargeZipFile, ZipFile

import numpy as np

from lstm_jax.errors import UserError

# What the largest files of a run stay far below; deflate makes 1 byte of 1,000.
MOST_BYTES = 2**32
# Encrypted, of an unknown compression, damaged, or with a header that is none.
_SPOILT = (
    *(MemoryError, NotImplementedError, RuntimeError, SyntaxError, TypeError),
    *(OverflowError, zlib.error, tokenize.TokenError),
)


def read_arrays(path: Path, what: str) -> dict[str, np.ndarray]:
    """Read all arrays of a file, after a look at their sizes; nothing is unpickled.

    Args:
      path: of the ``.npz`` file.
      what: it should hold, for the message.

    Raises:
      UserError: it is not whole, holds what is no plain array, or is too large.
    """
    try:
        with ZipFile(path) as file:
            _check_sizes(file)
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, LargeZipFile) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: expected {what}, got: {reason}") from error
    except _SPOILT as error:
        raise UserError(
            f"{path}: expected {what}, got: {type(error).__name__}"
        ) from error


def _check_sizes(file: ZipFile) -> None:
    """Refuse a file whose arrays are larger than what it holds of them, or than all."""
    members = file.infolist()
    if sum(member.file_size for member in members) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    for member in members:
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError(f"{member.filename}: compressed as NumPy does not")
        with file.open(member) as data:
            version = np.lib.format.read_magic(data)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise ValueError(f"{member.filename}: version {version} of the format")
            shape, _, dtype = read(data)
        if dtype.hasobject:
            raise ValueError(f"{member.filename}: objects, not numbers")
        if not dtype.itemsize and math.prod(shape):
            raise ValueError(f"{member.filename}: {shape} of nothing")
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(
                f"{member.filename}: fewer bytes than its shape {shape} needs"
            )
