"""Labels as people write them."""

import pytest

from lstm_jax.data.labels import number_labels
from lstm_jax.data.texts import read_texts
from lstm_jax.errors import UserError


def number(labels, names):
    lines = list(range(2, 2 + len(labels)))
    return number_labels(labels, names, where="a.csv", lines=lines).tolist()


@pytest.mark.parametrize(
    "label", ["pos", "POS", "Positive", " pos ", "1", "01", "00000000001"]
)
def test_one_class_in_many_spellings(label):
    assert number([label, "neg"], ("neg", "pos")) == [1, 0]


def test_a_shortened_name():
    assert number(["neg", "NEU", "posit"], ("negative", "neutral", "positive")) == [
        *(0, 1, 2)
    ]


def test_names_that_are_numbers_are_names():
    assert number(["1", "5", "3"], ("1", "3", "5")) == [0, 2, 1]
    with pytest.raises(UserError, match="line 2: '0'"):
        number(["0"], ("1", "3", "5"))


def test_a_number_says_nothing_of_names_with_numbers():
    """ "1" may be the first of them, or that of one star."""
    names = ("1 star", "2 stars", "3 stars")
    assert number(["2 STARS", "1 star"], names) == [1, 0]
    with pytest.raises(UserError, match="line 2: '1'"):
        number(["1"], names)


def test_names_that_differ_by_case_alone():
    assert number(["Good", "good "], ("good", "Good")) == [1, 0]
    with pytest.raises(UserError, match="line 2: 'GOOD'"):
        number(["GOOD"], ("good", "Good"))


@pytest.mark.parametrize("label", ["2", "p", "po", "ne", "ponies", "-1", "1.0", "²"])
def test_what_is_no_label_is_refused(label):
    with pytest.raises(UserError) as refused:
        number(["pos", label], ("neg", "pos"))
    message = f"a.csv: expected labels of 'neg', 'pos', got line 3: {label!r}"
    assert str(refused.value) == message


def test_an_ambiguous_name_is_refused_and_many_are_counted():
    with pytest.raises(UserError, match="line 2: 'posi'.*and 2 more"):
        number(["posi"] * 5, ("positive", "position"))


def test_texts_of_a_file(tmp_path, caplog):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\n  two\n".encode())
    assert read_texts(str(path), "text") == ["one", "two"] and not caplog.records
    path.write_bytes("\ufeffone\r\n\r\n  two\n".encode())
    assert read_texts(str(path), "text") == ["one", "two"]
    assert caplog.messages == [f"{path}: 1 of 3 lines are empty and left out"]
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "one", "other": 1}\n{"body": "two"}\n')
    assert read_texts(str(path), "body") == ["one", "two"]
    with pytest.raises(UserError, match="name it with --text-column"):
        read_texts(str(path), "text")
    for name in ("missing.txt", "missing.csv"):
        with pytest.raises(UserError, match="--file: expected a file to read"):
            read_texts(str(tmp_path / name), "text")


def test_huge_labels_are_quoted_by_how_they_begin():
    names = [f"{n} " * 10**6 for n in range(99)]
    with pytest.raises(UserError) as error:
        number_labels(["word " * 10**6], names, where="a.csv", lines=[2])
    assert len(str(error.value)) < 1000 and "and 89 more" in str(error.value)
