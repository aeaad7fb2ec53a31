"""Labelled reviews made ready: how many of them, and in whose words."""

import dataclasses

import numpy as np
import pytest

from lstm_jax.data import datasets
from lstm_jax.data.batches import NO_LABEL, make_batch, plan_epoch
from lstm_jax.data.config import DataConfig
from lstm_jax.data.datasets import load_datasets
from lstm_jax.data.tokenizer import train_tokenizer
from lstm_jax.errors import UserError


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(20)]
    rows = [f"{' '.join(rng.choice(words, 5))} unique{i},{i % 2}" for i in range(50)]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["text,label", *rows]))
    return DataConfig(
        source="files", train_file=str(path), ngram_order=2, vocab_size=1000
    )


def load(config, tmp_path, **settings):
    return load_datasets(config, num_logits=1, text_dir=tmp_path / "none", **settings)


def test_fewer_labels_and_the_same_validation(config, tmp_path):
    whole = load(config, tmp_path)
    few = load(dataclasses.replace(config, num_labelled=12), tmp_path)
    assert (len(whole.train.labels), len(few.train.labels)) == (45, 12)
    assert few.val_texts == whole.val_texts
    # What the others say is not known: neither their words nor their n-grams.
    known = [word for word in few.text.tokenizer.get_vocab() if "unique" in word]
    assert len(known) == 12
    assert len(few.text.ngrams.keys) < len(whole.text.ngrams.keys)
    assert few.digest() != whole.digest()


def test_the_words_of_a_tokenizer_that_is_given(config, tmp_path):
    given = train_tokenizer(["word3 word3 word7"], 10)
    data = load(config, tmp_path, tokenizer=given)
    assert data.text.tokenizer.get_vocab() == given.get_vocab()
    assert set(np.concatenate(data.train.token_ids)) == {1, *range(2, 4)}
    # The n-grams are learned all the same: of those words, from these labels.
    assert data.text.ngrams.order == 2 and len(data.text.ngrams.keys)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (46, "data.num_labelled: all of them, 45, are used"),
        (1, "None of the 1 train reviews is of"),
    ],
)
def test_a_sample_that_is_not_what_one_would_think_is_told(
    count, said, config, tmp_path, caplog
):
    load(dataclasses.replace(config, num_labelled=count), tmp_path)
    assert said in caplog.text


def test_one_logit_for_three_classes_is_refused_before_texts_are_read(
    config, tmp_path, monkeypatch
):
    """The words of a large file take minutes."""
    path = tmp_path / "three.csv"
    path.write_text("text,label\n" + "\n".join(f"word{i},{i % 3}" for i in range(30)))
    monkeypatch.setattr(datasets, "learn_text", None)
    with pytest.raises(UserError) as error:
        load(dataclasses.replace(config, train_file=str(path)), tmp_path)
    message = str(error.value)
    assert message.startswith("model.num_logits: expected 0 (a logit for each class)")
    assert "3 classes, got 1" in message


def test_a_sample_of_both_classes_is_nothing_to_tell(config, tmp_path, caplog):
    load(dataclasses.replace(config, num_labelled=12), tmp_path)
    assert "class" not in caplog.text and "num_labelled" not in caplog.text


@pytest.fixture
def unjudged(monkeypatch):
    """Thirty reviews that nobody has judged, beside those of the file."""
    read, texts = (
        datasets.load_corpus,
        tuple(f"word{i % 20} alone{i}" for i in range(30)),
    )

    def with_more(config, *, unlabelled):
        corpus = read(config)
        return corpus._replace(unlabelled=texts) if unlabelled else corpus

    monkeypatch.setattr(datasets, "load_corpus", with_more)


def test_reviews_without_a_label_come_last_and_teach_no_words(
    config, tmp_path, unjudged
):
    plain = load(config, tmp_path)
    more = load(dataclasses.replace(config, num_unlabelled=8), tmp_path)
    assert more.train.labels.tolist() == plain.train.labels.tolist() + [NO_LABEL] * 8
    assert more.text.tokenizer.to_str() == plain.text.tokenizer.to_str()
    np.testing.assert_array_equal(more.text.ngrams.ratios, plain.text.ngrams.ratios)
    assert len(more.train.token_ids) == len(more.train.ngram_ids) == 53
    assert (more.train.lengths[45:] == 2).all()
    assert len(more.train.whole_lengths) == 53
    assert (more.val.labels >= 0).all() and more.digest() != plain.digest()
    batch = make_batch(more.train, np.array([0, 45, -1]), 8, 4)
    assert batch.labels.tolist() == [plain.train.labels[0], NO_LABEL, 0]
    assert batch.weights.tolist() == [1, 0, 0] and batch.lengths[1] == 2


def test_more_than_there_are_is_told(config, tmp_path, unjudged, caplog):
    data = load(dataclasses.replace(config, num_unlabelled=31), tmp_path)
    assert (data.train.labels == NO_LABEL).sum() == 30
    assert "data.num_unlabelled: all of them, 30, are used" in caplog.text


def test_no_batch_is_wider_than_the_longest_review(config, tmp_path):
    """Of train, validation and test: a large max_length is no width by itself."""
    path = tmp_path / "test.csv"
    path.write_text(f"text,label\n{'word1 ' * 43},0\nword2,1\n")
    wide = dataclasses.replace(config, max_length=5000)
    assert load(wide, tmp_path).widths.tolist() == [8]
    tested = dataclasses.replace(wide, test_file=str(path))
    assert load(tested, tmp_path).widths.tolist() == [8, 48]
    cut = dataclasses.replace(tested, max_length=30)
    assert load(cut, tmp_path).widths.tolist() == [8, 32]


def test_other_splits_change_no_batch_of_train(config, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text(f"text,label\n{'word1 ' * 43},0\nword2,1\n")
    config = dataclasses.replace(config, num_buckets=1)
    alone = load(config, tmp_path)
    tested = load(dataclasses.replace(config, test_file=str(path)), tmp_path)
    assert tested.widths.tolist() == [*alone.widths, 48]
    plans = [
        plan_epoch(x.train.lengths, x.widths, 4, seed=0, epoch=1)
        for x in (alone, tested)
    ]
    for ours, theirs in zip(*plans, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_words_that_hardly_anybody_knows_are_told(config, tmp_path, caplog):
    """A script without spaces: each text is a word of its own."""
    load(config, tmp_path)
    assert "vocabulary" not in caplog.text
    path = tmp_path / "chinese.csv"
    rows = [f"\u597d\u7535\u5f71{chr(0x4E00 + i)},{i % 2}" for i in range(50)]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    load(dataclasses.replace(config, train_file=str(path)), tmp_path)
    assert "100 % of the words of the validation reviews" in caplog.text
