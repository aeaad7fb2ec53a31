import csv
import io
import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.encoding import check_lines
from lstm_jax.data.files import load_files, read_table
from lstm_jax.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(data)
        return str(path)

    return write


def refused(*args, **kwargs):
    with pytest.raises(UserError) as error:
        load_files(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("count", "classes"), [(30, 21), (900, 451), (900, 900)])
def test_a_column_that_is_none_of_labels_is_refused(count, classes, write):
    """Else each row would be a class, and the n-grams grow with the square of them."""
    rows = [f"word,{i % classes}" for i in range(count)]
    path = write("train.csv", "\n".join(["text,id", *rows]))
    message = refused(path, label_column="id")
    assert f"got {classes} of {count} rows; is data.label_column the column" in message


@pytest.mark.parametrize(("count", "classes"), [(20, 20), (900, 450)])
def test_many_classes_are_no_mistake(count, classes, write):
    rows = [f"word,{i % classes}" for i in range(count)]
    path = write("train.csv", "\n".join(["text,label", *rows]))
    assert len(load_files(path).label_names) == classes


def random_rows(count, labels=("good", "bad", "so-so")):
    rng = random.Random(5)
    letters = "ab \n\"',;\té\u2028"
    return [
        {
            "text": "x" + "".join(rng.choices(letters, k=rng.randint(1, 40))),
            "label": labels[i % len(labels)],
            "film": f"film {rng.randint(0, 3)}",
        }
        for i in range(count)
    ]


def written(rows, ending):
    """Rows as the text of a file."""
    if ending == ".jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        return "\n".join(lines) + "\n"
    file = io.StringIO(newline="")
    writer = csv.DictWriter(
        file, [*rows[0]], delimiter="\t" if ending == ".tsv" else ","
    )
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def delimited(path, rows, delimiter):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["film", "text", "label"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson", ".CSV"])
def test_every_format_gives_the_same_reviews(tmp_path, ending):
    rows = random_rows(30)
    path = tmp_path / f"mine{ending}"
    if ending.lower() in (".csv", ".tsv"):
        delimited(path, rows, "," if ending.lower() == ".csv" else "\t")
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8", newline="")
    corpus = load_files(str(path), str(path), group_column="film")
    assert corpus.name == f"mine{ending}"
    assert corpus.label_names == ("bad", "good", "so-so")
    assert corpus.train.texts == [row["text"] for row in rows]
    named = [corpus.label_names[i] for i in corpus.train.labels]
    assert named == [row["label"] for row in rows]
    assert corpus.train.labels.dtype == np.int32
    groups = corpus.train.groups
    assert groups is not None and groups.dtype == np.int64
    films = np.array([row["film"] for row in rows])
    np.testing.assert_array_equal(
        groups[:, None] == groups, films[:, None] == films[None]
    )
    assert corpus.test is not None
    assert corpus.test.texts == corpus.train.texts
    assert corpus.test.groups is None


def test_a_space_more_is_the_same_group(write):
    rows = ["film,text,label", "Alien,a,good", "Alien ,b,bad", " Up,c,bad", "Up,d,good"]
    corpus = load_files(write("a.csv", "\n".join(rows)), group_column="film")
    assert corpus.train.groups is not None
    assert corpus.train.groups.tolist() == [0, 0, 1, 1]


def test_test_texts_that_are_train_texts_are_told(write, caplog):
    train = write("train.csv", "text,label\nFine.,good\nBad.,bad\nSo so.,bad\n")
    test = write("test.csv", "text,label\nfine.,good\nNew.,bad\nSo<br />so.,bad\n")
    load_files(train, test)
    assert f"{test}: 2 of 3 texts also stand in {train};" in caplog.text
    caplog.clear()
    load_files(train, write("other.csv", "text,label\nOther.,good\n"))
    assert caplog.text == ""


def test_integer_labels_are_sorted_as_numbers(write):
    path = write("a.csv", "text,label\n" + "".join(f"t,{i}\n" for i in (10, 9, -1, 2)))
    corpus = load_files(path)
    assert corpus.label_names == ("-1", "2", "9", "10")
    assert corpus.train.labels.tolist() == [3, 2, 0, 1]
    path = write("a.jsonl", '{"text":"t","label":10}\n{"text":"t","label":9}')
    assert load_files(path).label_names == ("9", "10")


def test_labels_of_json_may_be_booleans(write):
    path = write("a.jsonl", '{"text":"t","label":true}\n\n{"text":"t","label":false}\n')
    assert load_files(path).label_names == ("false", "true")


def test_other_columns_a_byte_order_mark_and_spaces(write):
    path = write("a.csv", b"\xef\xbb\xbfreview,stars\n good , 5\nbad,1 \n")
    corpus = load_files(path, text_column="review", label_column="stars")
    assert corpus.label_names == ("1", "5")
    assert corpus.train.texts == [" good ", "bad"]
    assert corpus.test is None and corpus.train.groups is None


def test_broken_utf8_is_replaced(write):
    path = write("a.csv", b"text,label\ncaf\xe9,1\nbad,0\n")
    assert load_files(path).train.texts[0] == "caf\ufffd"


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_the_first_byte_that_is_not_utf8_is_told_once(write, ending, caplog):
    rows = random_rows(8, ("good", "bad"))
    rows[3]["text"] = "caf\u00e9 na\u00efve"
    content = written(rows, ending)
    load_files(write(f"utf8{ending}", content.encode()))
    assert not caplog.messages
    bad = content.replace("\u2028", " ").encode("latin-1")
    path = write(f"latin{ending}", bad)
    line = bad[: bad.index(b"\xe9")].count(b"\n") + 1
    corpus = load_files(path)
    assert "caf\ufffd na\ufffdve" in corpus.train.texts
    (warning,) = caplog.messages
    assert f"{path}, line {line}: expected UTF-8, got the byte 0xe9" in warning


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_lines_are_decoded_as_ever(parts):
    content = b"a line\n" + b"\n".join(parts)
    file = io.TextIOWrapper(
        io.BytesIO(content), "utf-8-sig", errors="surrogateescape", newline="\n"
    )
    found = "".join(check_lines(file, "a file"))
    assert found == content.decode("utf-8-sig", errors="replace")


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_utf16_is_named(write, ending, codec):
    rows = random_rows(8, ("good", "bad"))
    path = write(f"a{ending}", written(rows, ending).encode(codec))
    expected = f"{path}: expected UTF-8, got what looks like UTF-16; save it as UTF-8"
    assert refused(path) == expected


HUGE = "word " * 10**6
HUGE_MISTAKES = {
    "a header": ("a.csv", f"{HUGE}\nx\n"),
    "a header twice": ("a.csv", f"text,label,{HUGE},{HUGE}\na,b,c,d\n"),
    "columns": ("a.csv", f"{HUGE},label\na,b\n"),
    "a key": ("a.jsonl", json.dumps({HUGE: 1, HUGE + "x": 2})),
    "one label": ("a.csv", f"text,label\na,{HUGE}\n"),
    "labels": ("a.csv", f"text,label\na,{HUGE}\nb,c\n"),
    "no JSON": ("a.jsonl", f'{{"text": {HUGE}'),
    "a number": ("a.jsonl", f'{{"text": {"1" * 10**6}}}'),
    "quotes": ("a.csv", f'text,label\n"{HUGE}"x,1\n'),
}


@pytest.mark.parametrize("kind", HUGE_MISTAKES)
def test_no_message_quotes_a_whole_cell(write, kind):
    path = write(*HUGE_MISTAKES[kind])
    message = refused(path, write("test.csv", f"text,label\na,{HUGE}b\nb,c\n"))
    assert len(message) < len(path) + 700, message


def test_a_huge_field_works_and_the_limit_is_put_back(write):
    before = csv.field_size_limit()
    path = write("a.csv", f"text,label\n{'word ' * 100_000},1\nbad,0\n")
    assert len(load_files(path).train.texts[0]) == 500_000
    assert csv.field_size_limit() == before


def test_bad_rows_are_listed_with_their_lines(write):
    path = write(
        "a.csv",
        'text,label\n"two\nlines",1\nonly text\nfine,0\nmore,0,fields\nempty,\n,1\n\n"',
    )
    message = refused(path)
    assert message.startswith(f"{path}: expected")
    assert "line 4: 1 fields instead of 2; line 6: 3 fields instead of 2" in message
    assert "line 7: empty 'label'" in message
    assert message.endswith("and 2 more bad rows")


def test_broken_quoting_has_its_line(write):
    path = write("a.csv", 'text,label\nfine,1\n"quo"te,0\nbad,0\n')
    assert "line 3: broken quoting" in refused(path)
    path = write("b.csv", 'text,label\nfine,1\nbad,0\n"open,0\nbad,0\n')
    assert "line 4: broken quoting" in refused(path)


UNPAIRED = {
    "open in two rows": ['"what a film\t1', 'bad film"\t0', "good\t1"],
    "escaped by another mark": ['"He said \\"no\\" twice"\t1', "so so\t0"],
    "of inches": ['a 5" film\t1', '"\t0'],
}


@pytest.mark.parametrize("kind", UNPAIRED)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_of_a_tsv_that_do_not_pair_up_are_text(write, caplog, kind, end):
    rows = UNPAIRED[kind]
    path = write("a.tsv", end.join(["text\tlabel", *rows, "", ""]))
    train = load_files(path).train
    assert [f"{t}\t{n}" for t, n in zip(train.texts, train.labels, strict=True)] == rows
    assert caplog.messages == [
        f"{path}: its quotes do not pair up in each line, but its tabs do; they are "
        "read as characters of the texts"
    ]


def test_quotes_of_a_tsv_that_do_are_quotes(write, caplog):
    path = write("a.tsv", 'text\tlabel\n"two\nlines"\t1\n"a ""b""\tc"\t0\n')
    assert load_files(path).train.texts == ["two\nlines", 'a "b"\tc']
    # No tab tells how many columns a line has to have.
    path = write("b.tsv", 'text\n"two\nlines"\n"a\nb"\n')
    table = read_table("--file", path, {"--text-column": "text"})
    assert table.columns["text"] == ["two\nlines", "a\nb"]
    assert not caplog.records


def test_labels_that_differ_by_case_alone_are_told(write, caplog):
    path = write("a.csv", "text,label\na,good\nb,Good\nc,bad\n")
    assert load_files(path).label_names == ("Good", "bad", "good")
    said = f"{path}: the labels 'Good', 'good' differ by case alone; they are classes"
    assert caplog.messages == [f"{said} of their own"]


def test_bad_json_lines_are_listed(write):
    lines = [
        '{"text": "fine", "label": 1}',
        '{"text": "cut',
        "[1, 2]",
        '{"text": "none"}',
        '{"text": null, "label": 0}',
        '{"text": "x", "label": 1.5}',
    ]
    message = refused(write("a.jsonl", "\n".join(lines)))
    assert "line 2: not JSON (Unterminated string starting at at column" in message
    assert "line 3: not a JSON object; line 4: no 'label'" in message
    assert message.endswith("; and 2 more bad rows")
    message = refused(write("b.jsonl", "\n".join([lines[0], *lines[4:]])))
    assert "line 2: no 'text'; line 3: 'label' is neither a string nor" in message
    deep = "[" * 200_000
    assert "line 1: not JSON" in refused(write("c.jsonl", deep))


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_missing_column_names_those_there_are(write, ending):
    content = {
        ".csv": "review,sentiment\nfine,1\nbad,0\n",
        ".jsonl": '{"review": "fine", "sentiment": 1}\n',
    }[ending]
    message = refused(write(f"a{ending}", content))
    assert "expected a column 'text', got the columns 'review', 'sentiment'" in message
    assert "data.text_column" in message
    message = refused(
        write(f"a{ending}", content),
        text_column="review",
        label_column="sentiment",
        group_column="film",
    )
    assert "expected a column 'film'" in message and "data.group_column" in message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nfine,1\nbad,1\n", "got only '1'"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "\n\n", "the file is empty"),
        ("a.csv", "text,label\n", "got none"),
        ("a.jsonl", "", "got none"),
        ("a.csv", "text;label\nfine;1\n", "got one column 'text;label'"),
        ("a.tsv", "text,label\nfine,1\n", "separated by tabs, got one column"),
        ("a.csv", "text,text,label\na,b,1\n", "every column once, got 'text' twice"),
        ("a.txt", "fine", ".csv, .tsv, .jsonl or .ndjson, got"),
        ("a", "fine", ".csv, .tsv, .jsonl or .ndjson, got"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(write, name, content, message):
    assert message in refused(write(name, content))


def test_files_that_cannot_be_opened_are_said(tmp_path, write):
    good = write("good.csv", "text,label\nfine,1\nbad,0\n")
    missing = str(tmp_path / "none.csv")
    assert "data.train_file: expected a file to read, got" in refused(missing)
    message = refused(good, missing)
    assert "data.test_file" in message and "No such file" in message
    (tmp_path / "folder.csv").mkdir()
    assert "Is a directory" in refused(str(tmp_path / "folder.csv"))


def test_labels_of_test_must_be_known_from_train(write):
    train = write("train.csv", "text,label\nfine,1\nbad,0\n")
    test = write("test.csv", 'text,label\n"a\nb",1\nodd,2\n')
    message = refused(train, test)
    assert message.startswith(f"{test}: expected labels that the train file has")
    assert "('0', '1'), got line 4: label '2'" in message
