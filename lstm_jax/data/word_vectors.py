"""Pretrained word vectors, in the text format of GloVe."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from lstm_jax.data.tokenizer import PAD_ID
from lstm_jax.errors import UserError, refusing

_SEED = 0  # of the vectors of words that the file does not have

# In characters; what is longer is no line of such a file.
_LONGEST_WORD, _LONGEST_NUMBER = 10_000, 60


class WordVectors(NamedTuple):
    """A vector for every word of a vocabulary.

    Attributes:
      table: float32 ``[V, E]``.
      known: bool ``[V]``, True for words that the file has.
    """

    table: np.ndarray
    known: np.ndarray


def read_word_vectors(path: Path, vocab: dict[str, int], size: int) -> WordVectors:
    """Read the vectors of a vocabulary from a file of ``word v_1 ... v_E`` lines.

    Words that the file lacks get normal vectors of the same spread as those that it
    has, always the same ones; the padding gets zeros.  A first line with the number
    of words and of dimensions, as word2vec writes it, is passed over.

    Args:
      path: of the file, UTF-8.
      vocab: word -> row of the table.
      size: ``E``, numbers a word.

    Raises:
      UserError: no such file, another number of dimensions, a line that is no
        vector, or no word of the vocabulary in it.
    """
    found: dict[int, np.ndarray] = {}
    with (
        refusing(f"model.embedding_file: expected a file of word vectors, got {path}"),
        path.open(encoding="utf-8", errors="replace", newline="\n") as lines,
    ):
        for place, word, numbers in _parse(path, lines, size):
            row = vocab.get(word)
            if row is not None and row not in found:
                found[row] = _to_vector(place, numbers)
    if not found:
        raise UserError(f"{path}: expected words of the data, got none of them")
    return _fill(found, len(vocab), size)


def _parse(
    path: Path, lines: TextIO, size: int
) -> Iterator[tuple[str, str, list[str]]]:
    """Each line as where it stands, its word and its numbers, not yet read."""
    longest = _LONGEST_WORD + _LONGEST_NUMBER * size
    for number, line in enumerate(iter(partial(lines.readline, longest), ""), 1):
        place = f"{path}, line {number}"
        if len(line) == longest:
            raise UserError(
                f"{place}: expected a word and {size} numbers, got a line of more than "
                f"{longest:,} characters"
            )
        # From the right: in the larger files of GloVe some words hold a space.
        word, *numbers = line.rstrip("\r\n ").rsplit(" ", size)
        if number == 1:
            if len(numbers) == 1 and word.isdigit() and numbers[0].isdigit():
                continue
            _check_size(place, line, size)
        if len(numbers) != size or not word:
            raise UserError(
                f"{place}: expected a word and {size} numbers, got "
                f"{len(numbers)} numbers"
            )
        yield place, word, numbers


def _check_size(place: str, line: str, size: int) -> None:
    """Compare the first line, whose word holds no space, with the settings."""
    got = len(line.split()) - 1
    if got != size:
        raise UserError(
            f"{place}: expected {size} numbers (model.embedding_size), got {got}"
        )


def _to_vector(place: str, numbers: list[str]) -> np.ndarray:
    try:
        vector = np.array(numbers, np.float32)
    except ValueError as error:
        raise UserError(f"{place}: expected numbers, got: {error!s:.100}") from error
    if not np.isfinite(vector).all():
        raise UserError(f"{place}: expected finite numbers, got NaN or infinity")
    return vector


def _fill(found: dict[int, np.ndarray], count: int, size: int) -> WordVectors:
    known = np.zeros(count, bool)
    known[list(found)] = True
    vectors = np.stack(list(found.values()))
    draw = np.random.default_rng(_SEED).standard_normal((count, size), np.float32)
    table = draw * vectors.std()
    table[list(found)] = vectors
    table[PAD_ID] = 0.0
    return WordVectors(table, known)
