"""The peers of the published systems, on a few random reviews."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.datasets import Datasets, Text, encode_reviews
from lstm_jax.data.ngrams import no_ngrams
from lstm_jax.data.tokenizer import train_tokenizer
from lstm_jax.errors import UserError
from lstm_jax.models.config import ModelConfig
from lstm_jax.training.config import Config, from_dict

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = (
    "keras_lstm_200",
    "keras_dropout_lstm_400",
    "torch_onehot_lstm",
    "torch_bilstm_glove",
)


@pytest.fixture(autouse=True)
def benchmarks_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def make_run(tmp_path):
    """A config, its data, and functions that open its record and make its peer."""

    def run(name: str):
        # Not imported yet: Keras takes its backend when it is.
        if not importlib.util.find_spec(name.partition("_")[0]):
            pytest.skip(f"{name.partition('_')[0]} is installed by [bench] alone")
        published = importlib.import_module("published_record")
        module, cls = {
            "keras": ("published_keras", "KerasPeer"),
            "torch": ("published_torch", "TorchPeer"),
        }[name.partition("_")[0]]
        config = small_config(name, tmp_path)
        data = small_data(config)
        peer = getattr(importlib.import_module(module), cls)
        return (
            lambda: peer(config, data),
            lambda: published.open_record(
                tmp_path / "work", dataclasses.asdict(config), config.train.monitor
            ),
            data,
        )

    return run


def small_config(name: str, folder: Path) -> Config:
    settings: ConfigDict = importlib.import_module(f"configs.{name}").get_config()
    settings.data.vocab_size = 40
    settings.data.max_length = 12
    settings.model.embedding_size = 4
    settings.model.hidden_size = 4
    settings.train.batch_size = 8
    if name == "torch_bilstm_glove":
        vectors = folder / "vectors.txt"
        vectors.write_text("good 1 2 3 4\nword1 5 6 7 8\nnever 1 1 1 1\n")
        settings.model.embedding_file = str(vectors)
    return from_dict(settings.to_dict())


def small_data(config: Config) -> Datasets:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40)
    words = [
        [f"word{i}" for i in rng.integers(0, 20, rng.integers(1, 30))] for _ in labels
    ]
    texts = [
        " ".join([*w, "good" if y else "bad"])
        for w, y in zip(words, labels, strict=True)
    ]
    reviews = Reviews(texts, labels)
    tokenizer = train_tokenizer(texts, config.data.vocab_size, tokens="words")
    text = Text(tokenizer, no_ngrams(1))
    split = encode_reviews(text, reviews, config.data)
    corpus = Corpus("toy", ("neg", "pos"), reviews, reviews)
    return Datasets(corpus, text, split, split, reviews.texts, split, np.array([12]))


@pytest.mark.parametrize("name", CONFIGS)
def test_trains_and_goes_on_where_it_was_killed(name, make_run):
    make_peer, record, data = make_run(name)
    make_peer().fit(record(), 1)
    assert record().startup_seconds > 0

    peer = make_peer()
    peer.fit(record(), 3)

    resumed = record()
    assert len(resumed.epochs) == 3
    best = resumed.epochs[resumed.best_epoch - 1]["val"]
    assert peer.evaluate(resumed, data.val) == pytest.approx(best, abs=1e-4)
    kept = {path.stem for path in resumed.folder.glob("epoch*")}
    assert kept == {f"epoch{resumed.best_epoch}", "epoch3"}


@pytest.mark.parametrize("name", CONFIGS)
def test_times_steps(name, make_run):
    make_peer, _, _ = make_run(name)
    seconds, steps = make_peer().time_steps(7)
    assert len(seconds) == 7 and min(seconds) > 0
    assert steps == 5


def test_gathered_words_are_the_same_function_as_one_hot_vectors():
    torch = pytest.importorskip("torch", reason="installed by [bench] alone")
    peers = importlib.import_module("published_torch")
    torch.manual_seed(0)
    model = peers.OneHotLSTM(ModelConfig(hidden_size=6), vocab_size=20)
    token_ids, lengths = torch.randint(0, 20, (4, 9)), torch.tensor([9, 1, 4, 7])
    found = []
    for model.dense in (True, False):
        model.zero_grad()
        logits = model(token_ids, lengths)
        logits.square().sum().backward()
        found.append([logits.detach(), *(p.grad for p in model.parameters())])
    for dense, gathered in zip(*found, strict=True):
        torch.testing.assert_close(dense, gathered)
    assert found[0][1].abs().sum() > 0


def test_torch_repeats_a_run_that_was_not_killed(make_run):
    make_peer, record, _ = make_run("torch_bilstm_glove")
    make_peer().fit(record(), 1)
    make_peer().fit(record(), 2)
    in_parts = record()
    (in_parts.folder / "record.json").unlink()

    make_peer().fit(record(), 2)

    assert [e["val"] for e in record().epochs] == [e["val"] for e in in_parts.epochs]


def test_keras_stops_early_and_still_knows_the_epochs_before_it_was_killed(make_run):
    make_peer, record, _ = make_run("keras_lstm_200")
    started = record()
    make_peer().fit(started, 1)
    # Nothing will be as good as this was, and two epochs have been worse already.
    started.epochs[0]["val"]["loss"] = 0.0
    for number in (2, 3):
        weights = started.weights(1).with_suffix(".keras").read_bytes()
        started.weights(number).with_suffix(".keras").write_bytes(weights)
        started.add(1.0, 1.0, {"loss": 1.0, "accuracy": 0.5})

    make_peer().fit(record(), 9)

    assert len(record().epochs) == 4
    assert record().stopped(patience=3) and not record().stopped(patience=0)


def test_words_without_a_vector_get_the_same_small_ones(make_run, tmp_path):
    make_run("torch_bilstm_glove")
    published_torch = importlib.import_module("published_torch")
    config = small_config("torch_bilstm_glove", tmp_path).model
    vocab = {"[PAD]": 0, "[UNK]": 1, "good": 2}

    vectors, coverage = published_torch.load_vectors(config, vocab)
    again, _ = published_torch.load_vectors(config, vocab)

    assert coverage == pytest.approx(1 / 3)
    assert vectors[2].tolist() == [1, 2, 3, 4]
    assert vectors[0].tolist() == [0, 0, 0, 0]
    assert 0 < vectors[1].abs().max() < 1
    assert vectors.equal(again)


def test_vectors_of_another_size_are_refused(make_run, tmp_path):
    make_run("torch_bilstm_glove")
    published_torch = importlib.import_module("published_torch")
    config = small_config("torch_bilstm_glove", tmp_path).model
    config = dataclasses.replace(config, embedding_size=5)
    with pytest.raises(UserError, match="line 1: expected 5 numbers .*, got 4"):
        published_torch.load_vectors(config, {"good": 0})


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path):
    published = importlib.import_module("published_record")
    record = published.open_record(tmp_path, {"seed": 0}, "loss")
    record.add(1.0, 1.0, {"loss": 1.0, "accuracy": 0.5})
    with pytest.raises(UserError, match="seed: 0 -> 1; name another --workdir"):
        published.open_record(tmp_path, {"seed": 1}, "loss")


def test_word_vectors_are_of_the_words_that_the_tokenizer_cuts(tmp_path):
    pytest.importorskip("gensim", reason="in no extra but [bench]")
    path = tmp_path / "vectors.txt"
    program = f"""
import pathlib, numpy, word_vectors
words = word_vectors.cut_words(["Don't<br />GO!", ""], "words")
assert words == [["don't", "go"], []]
marks = word_vectors.cut_words(["Don't<br />GO!"], "words_and_marks")
assert marks == [["don't", "go", "!"]]
numbers = numpy.array([[1, 2], [3, 0.5]])
word_vectors.write_vectors(pathlib.Path({str(path)!r}), words[0], numbers)
"""
    # A process of its own: its flags have the names of those of train.py.
    paths = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    environment = {**os.environ, "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert path.read_text() == "don't 1.00000 2.00000\ngo 3.00000 0.50000\n"
