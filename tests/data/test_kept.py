"""Datasets are the same whether they were computed or found."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.data import datasets
from lstm_jax.data.config import DataConfig
from lstm_jax.data.corpus import Reviews
from lstm_jax.data.tokenizer import train_tokenizer

WORDS = np.array(["good", "bad", "film", "plot", "\ud800", "[PAD]", "nice", ".", "é"])


@pytest.fixture
def reviews():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(40)]
    return Reviews(texts, rng.integers(0, 2, 40), None)


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "_WORTH_KEEPING", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def config(**changes):
    given = {"vocab_size": 9, "max_length": 5, "ngram_order": 2}
    return dataclasses.replace(DataConfig(), **given | changes)


def same(a, b):
    for x, y in zip(a, b, strict=True):
        if isinstance(x, list):
            assert len(x) == len(y)
            for row, other in zip(x, y, strict=True):
                np.testing.assert_array_equal(row, other)
                assert row.dtype == other.dtype
        else:
            np.testing.assert_array_equal(x, y)


def refuse(*args, **kwargs):
    raise AssertionError("computed again")


@pytest.mark.parametrize("order", [0, 2])
def test_what_is_found_is_what_was_computed(reviews, order, monkeypatch):
    settings = config(ngram_order=order)
    text = datasets.learn_text(reviews, settings, 1)
    encoded = datasets.encode_reviews(text, reviews, settings)
    monkeypatch.setattr(datasets, "_WORTH_KEEPING", 10**9)
    plain = datasets.learn_text(reviews, settings, 1)
    same(encoded, datasets.encode_reviews(plain, reviews, settings))
    assert text.tokenizer.to_str() == plain.tokenizer.to_str()
    monkeypatch.setattr(datasets, "_WORTH_KEEPING", 1)
    work = ("encode", "train_tokenizer", *(["find_ngrams"] if order else []))
    for name in work:
        monkeypatch.setattr(datasets, name, refuse)
    found = datasets.learn_text(reviews, settings, 1)
    assert found.tokenizer.to_str() == text.tokenizer.to_str()
    same(found.ngrams, text.ngrams)
    same(datasets.encode_reviews(found, reviews, settings), encoded)


def test_what_ngrams_are_learned_from_is_tokenized_once(reviews, monkeypatch):
    tokenized, encode = [], datasets.encode

    def count(tokenizer, texts):
        tokenized.append(texts)
        return encode(tokenizer, texts)

    monkeypatch.setattr(datasets, "encode", count)
    text = datasets.learn_text(reviews, config(), 1)
    datasets.encode_reviews(text, reviews, config())
    assert tokenized == [reviews.texts]


@pytest.mark.parametrize(
    "changes", [{"vocab_size": 8}, {"tokens": "words"}, {"ngram_order": 1}]
)
def test_other_settings_are_learned_anew(reviews, changes):
    datasets.learn_text(reviews, config(), 1)
    changed = config(**changes)
    text = datasets.learn_text(reviews, changed, 1)
    assert text.tokenizer.get_vocab_size() <= changed.vocab_size
    assert text.ngrams.order == changed.ngram_order
    assert ("." in text.tokenizer.get_vocab()) == (changed.tokens != "words")


def test_other_labels_are_learned_anew(reviews):
    one = datasets.learn_text(reviews, config(), 1).ngrams.ratios
    turned = reviews._replace(labels=1 - reviews.labels)
    other = datasets.learn_text(turned, config(), 1).ngrams.ratios
    np.testing.assert_allclose(other, -one, atol=1e-6)
    assert np.abs(one).max() > 0


def test_another_number_of_logits_is_learned_anew(reviews):
    for num_logits in (1, 2):
        ratios = datasets.learn_text(reviews, config(), num_logits).ngrams.ratios
        assert ratios.shape[1] == num_logits and len(ratios) > 0


CHANGES = {
    "texts": lambda text, reviews: (text, reviews._replace(texts=reviews.texts[::-1])),
    "tokenizer": lambda text, reviews: (
        text._replace(tokenizer=train_tokenizer(["film good"], 9)),
        reviews,
    ),
    "ngrams": lambda text, reviews: (
        text._replace(ngrams=text.ngrams._replace(keys=text.ngrams.keys[::2])),
        reviews,
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_reviews_are_encoded_anew(what, reviews, monkeypatch):
    text = datasets.learn_text(reviews, config(), 1)
    before = datasets.encode_reviews(text, reviews, config())
    text, changed = CHANGES[what](text, reviews)
    encoded = datasets.encode_reviews(text, changed, config())
    monkeypatch.setattr(datasets, "_WORTH_KEEPING", 10**9)
    same(encoded, datasets.encode_reviews(text, changed, config()))
    with pytest.raises(AssertionError):
        same(encoded, before)


def change_the_code(patch, folder):
    path = folder / "tokenizer.py"
    path.write_text(Path(datasets.tokenizer_module.__file__).read_text() + "# new\n")
    patch.setattr(datasets.tokenizer_module, "__file__", str(path))


def change_the_version(patch, folder):
    patch.setattr(datasets, "version", lambda name: "0.0.1")


@pytest.mark.parametrize("change", [change_the_code, change_the_version])
def test_the_code_is_part_of_what_it_depends_on(reviews, change, monkeypatch, tmp_path):
    text = datasets.learn_text(reviews, config(), 1)
    datasets.encode_reviews(text, reviews, config())
    change(monkeypatch, tmp_path)
    monkeypatch.setattr(datasets, "train_tokenizer", refuse)
    monkeypatch.setattr(datasets, "encode", refuse)
    with pytest.raises(AssertionError, match="computed again"):
        datasets.learn_text(reviews, config(), 1)
    with pytest.raises(AssertionError, match="computed again"):
        datasets.encode_reviews(text, reviews, config())


def test_words_that_are_given_are_not_those_that_were_learned(reviews):
    learned = datasets.learn_text(reviews, config(), 1).tokenizer.get_vocab()
    for words in ("film good", "film nice"):
        given = train_tokenizer([words], 9)
        text = datasets.learn_text(reviews, config(), 1, given)
        assert text.tokenizer.get_vocab() == given.get_vocab() != learned
