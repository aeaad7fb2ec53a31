"""Pretrained vectors from a text file, and every way in which it can be wrong."""

import numpy as np
import pytest

from lstm_jax.data.word_vectors import read_word_vectors
from lstm_jax.errors import UserError

VOCAB = {"[PAD]": 0, "[UNK]": 1, "the": 2, "film": 3, "don't": 4, "café": 5}
RNG = np.random.default_rng(0)
VECTORS = {w: RNG.normal(size=3).round(4) for w in ["the", "café", "unheard", "film"]}


def line(word, vector):
    return f"{word} {' '.join(map(str, vector))}"


def write(tmp_path, lines, end="\n"):
    path = tmp_path / "vectors.txt"
    path.write_bytes((end.join(lines) + end).encode())
    return path


LINES = [line(w, v) for w, v in VECTORS.items()]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_words_get_their_vectors(tmp_path, end):
    table, known = read_word_vectors(write(tmp_path, LINES, end), VOCAB, 3)
    assert (table.shape, table.dtype) == ((6, 3), np.float32)
    for word in ("the", "film", "café"):
        np.testing.assert_array_equal(table[VOCAB[word]], VECTORS[word].astype("f4"))
    assert known.tolist() == [False, False, True, True, False, True]


def test_other_words_get_vectors_of_like_spread_and_the_padding_zeros(tmp_path):
    vocab = {f"w{n}": n + 2 for n in range(3000)} | {"[PAD]": 0, "[UNK]": 1}
    given = RNG.normal(scale=0.2, size=(1000, 3))
    path = write(tmp_path, [line(f"w{n}", v) for n, v in enumerate(given)])
    table, known = read_word_vectors(path, vocab, 3)
    assert known.sum() == 1000
    assert table[~known][1:].std() == pytest.approx(given.std(), rel=0.05)
    assert len(np.unique(table[~known], axis=0)) == 2002
    assert (table[0] == 0).all()
    again, _ = read_word_vectors(path, vocab, 3)
    np.testing.assert_array_equal(table, again)


def test_a_header_of_word2vec_is_passed_over(tmp_path):
    plain = read_word_vectors(write(tmp_path, LINES), VOCAB, 3)
    headed = read_word_vectors(write(tmp_path, ["4 3", *LINES]), VOCAB, 3)
    np.testing.assert_array_equal(plain.table, headed.table)


def test_a_word_may_hold_a_space_and_the_first_of_two_counts(tmp_path):
    lines = [*LINES, line(". . .", [9, 9, 9]), line("the", [8, 8, 8])]
    table, _ = read_word_vectors(write(tmp_path, lines), VOCAB, 3)
    np.testing.assert_array_equal(table[2], VECTORS["the"].astype("f4"))
    assert np.abs(table).max() < 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.unlink(), "model.embedding_file: expected a file of word vectors"),
        (
            lambda p: p.write_text("the 1 2\n"),
            "line 1: expected 3 numbers (model.embedding_size), got 2",
        ),
        (
            lambda p: p.write_text("the 1 2 3 4\n"),
            "line 1: expected 3 numbers (model.embedding_size), got 4",
        ),
        (
            lambda p: p.write_text("the 1 2 3\nfilm 1\n"),
            "line 2: expected a word and 3 numbers, got 1 numbers",
        ),
        (
            lambda p: p.write_text("the 1 2 3\n\n"),
            "line 2: expected a word and 3 numbers, got 0 numbers",
        ),
        (
            lambda p: p.write_text("the 1 2 3\nfilm 1 two 3\n"),
            "line 2: expected numbers, got: could not convert string to float: 'two'",
        ),
        (
            lambda p: p.write_text("the 1 2 nan\n"),
            "line 1: expected finite numbers, got NaN or infinity",
        ),
        (
            lambda p: p.write_text("other 1 2 3\n"),
            "expected words of the data, got none of them",
        ),
        (lambda p: p.write_bytes(b""), "expected words of the data, got none of them"),
        (lambda p: p.write_bytes(bytes(range(256)) * 9), "line 1: expected 3 numbers"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, change, message):
    path = write(tmp_path, LINES)
    change(path)
    with pytest.raises(UserError) as error:
        read_word_vectors(path, VOCAB, 3)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
