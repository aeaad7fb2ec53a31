import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds

import lstm_jax.data
from lstm_jax.cache import cache_dir
from lstm_jax.data import imdb, prepared
from lstm_jax.data.config import DataConfig
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.groups import number_groups, read_groups
from lstm_jax.data.sources import check_files, load_corpus
from lstm_jax.errors import UserError


class TinyReviews(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        labels = tfds.features.ClassLabel(names=["neg", "pos"])
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {"text": tfds.features.Text(), "label": labels}
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(9), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for i in range(count):
            yield (
                i,
                {"text": f"review {i}".encode() + b"\xff" * (i == 3), "label": i % 2},
            )


@pytest.fixture
def tiny_synthetic(monkeypatch):
    module = types.ModuleType("lstm_jax.data.synthetic_reviews")
    monkeypatch.setattr(module, "SyntheticReviews", TinyReviews, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(lstm_jax.data, "synthetic_reviews", module, raising=False)


@pytest.fixture
def reviews_csv(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("text,label,film\nfine,1,x\nbad,0,y\nso so,0,x\n")
    return str(path)


def test_synthetic_goes_to_the_cache_and_not_to_tfds_data_dir(
    tmp_path, monkeypatch, tiny_synthetic, offline
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "shared"))
    corpus = load_corpus(DataConfig(source="synthetic_reviews"))
    assert corpus.name == "synthetic_reviews"
    assert corpus.notice == "synthetic reviews, not IMDB"
    assert corpus.label_names == ("neg", "pos")
    assert sorted(corpus.train.texts)[:4] == [
        "review 0",
        "review 1",
        "review 2",
        "review 3\ufffd",
    ]
    assert corpus.test is not None and len(corpus.test.texts) == 4
    assert corpus.train.groups is None
    assert not (tmp_path / "shared").exists()
    assert (tmp_path / "cache/lstm_jax/tfds/tiny_reviews/1.0.0").is_dir()
    assert not offline


def test_synthetic_is_prepared_once_under_data_dir(
    tmp_path, monkeypatch, tiny_synthetic
):
    first = load_corpus(DataConfig(source="synthetic_reviews", data_dir=str(tmp_path)))
    assert (tmp_path / "tiny_reviews/1.0.0").is_dir()
    monkeypatch.setattr(prepared, "prepare", None)
    again = load_corpus(DataConfig(source="synthetic_reviews", data_dir=str(tmp_path)))
    assert first.train.texts == again.train.texts


def test_the_synthetic_reviews(tmp_path, offline):
    corpus = load_corpus(DataConfig(source="synthetic_reviews", data_dir=str(tmp_path)))
    assert corpus.label_names == ("neg", "pos")
    assert len(corpus.train.texts) > 1000 and corpus.test is not None
    assert 0.4 < corpus.train.labels.mean() < 0.6


def test_cache_dir_without_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache/lstm_jax"


def test_imdb_is_loaded_from_data_dir(tmp_path, offline):
    with pytest.raises(UserError, match=str(tmp_path)):
        load_corpus(DataConfig(source="imdb_reviews", data_dir=str(tmp_path)))


def test_copies_of_labelled_reviews_are_no_unlabelled_ones(monkeypatch):
    labels = np.array([0, 1], np.int32)
    train = Reviews(["Dull.", "Fine."], labels)
    test = Reviews(["Great! A film", "Bad"], labels)
    corpus = Corpus("imdb_reviews", ("neg", "pos"), train, test)
    texts = ("Other.", "great!<br />a  film", "DULL.", "Dull", "Other.")
    monkeypatch.setattr(imdb, "load_imdb", lambda data_dir: corpus)
    monkeypatch.setattr(imdb, "load_unlabelled", lambda data_dir: texts)
    found = load_corpus(DataConfig(), unlabelled=True).unlabelled
    assert found == ("Other.", "Dull", "Other.")
    assert load_corpus(DataConfig()).unlabelled == ()


def test_files(reviews_csv):
    corpus = load_corpus(
        DataConfig(source="files", train_file=reviews_csv, group_column="film")
    )
    assert corpus.train.texts == ["fine", "bad", "so so"]
    assert corpus.train.groups is not None
    assert corpus.train.groups.tolist() == [0, 1, 0]


def test_validation_groups_are_those_of_the_file(tmp_path, reviews_csv):
    groups = tmp_path / "groups.txt"
    groups.write_text("900\nrésumé\nrésumé\n", encoding="utf-8")
    settings = DataConfig(
        source="files",
        train_file=reviews_csv,
        validation_groups=str(groups),
    )
    corpus = load_corpus(settings)
    assert corpus.train.groups is not None
    assert corpus.train.groups.tolist() == [0, 1, 1]
    assert corpus.train.groups.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\n2\n", "expected 3 lines, one for each train record, got 2"),
        ("1\n2\n3\n4", "expected 3 lines, one for each train record, got 4"),
        ("", "expected 3 lines, one for each train record, got 0"),
        ("1\n \n3\n", "empty line 2"),
        (None, "groups.txt: No such file or directory"),
    ],
)
def test_bad_validation_groups_are_said(tmp_path, reviews_csv, content, message):
    groups = tmp_path / "groups.txt"
    if content is not None:
        groups.write_text(content)
    settings = DataConfig(
        source="files", train_file=reviews_csv, validation_groups=str(groups)
    )
    with pytest.raises(UserError) as error:
        load_corpus(settings)
    assert message in str(error.value)
    assert str(error.value).startswith("data.validation_groups: ")
    assert "\n" not in str(error.value)


def test_groups_are_numbered_alike_whatever_their_names(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("tt9\ntt1\ntt9\r\ntt5")
    by_name = read_groups(path, 4, setting="groups")
    assert by_name.tolist() == number_groups(["0", "1", "0", "2"]).tolist()


def test_files_do_without_tfds(reviews_csv):
    code = (
        "import sys\n"
        "sys.modules['tensorflow_datasets'] = None\n"
        "from lstm_jax.data.files import load_files\n"
        "import lstm_jax.data.sources\n"
        f"print(len(load_files({reviews_csv!r}).train.texts))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "3\n", done.stderr


@pytest.mark.parametrize("name", ["train_file", "test_file", "validation_groups"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("gone.csv", "No such file or directory"),
        ("folder.csv", "Is a directory"),
        ("~nosuchuser/a.csv", "no such home folder"),
    ],
)
def test_every_file_is_looked_for_before_one_is_read(
    name, path, why, tmp_path, reviews_csv, monkeypatch
):
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    others = {"train_file": reviews_csv, "test_file": reviews_csv}
    others["validation_groups"] = reviews_csv
    check_files(DataConfig(source="files", **others))
    with pytest.raises(UserError) as error:
        check_files(DataConfig(source="files", **{**others, name: path}))
    said = str(error.value)
    assert said.startswith(f"data.{name}: expected a ") and path in said and why in said


def test_the_ending_of_a_test_file_is_looked_at_too(reviews_csv):
    config = DataConfig(source="files", train_file=reviews_csv, test_file="test.xlsx")
    with pytest.raises(UserError, match="data.test_file: expected a file that ends in"):
        check_files(config)


def test_groups_that_are_not_utf8_are_told(tmp_path, caplog):
    path = tmp_path / "groups.txt"
    path.write_bytes("caf\u00e9\ncaf\u00e8\n".encode("latin-1"))
    read_groups(path, 2, setting="data.validation_groups")
    assert f"{path}, line 1: expected UTF-8, got the byte 0xe9" in caplog.messages[0]
