"""The synthetic corpus: repeatable, balanced, and no use to a bag of words."""

import hashlib
import random
import re
import socket
from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from lstm_jax.data import grammar
from lstm_jax.data.synthetic_reviews import SyntheticReviews


def words(text):
    return re.findall(r"[a-z0-9']+", text.replace("<br />", " ").lower())


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """The prepared splits, written and read back with the network shut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _no_network)
        builder = SyntheticReviews(
            data_dir=tmp_path_factory.mktemp("tfds"), file_format="array_record"
        )
        builder.download_and_prepare()
        return {name: list(builder.as_data_source(name)) for name in ("train", "test")}


def _no_network(*_):
    raise AssertionError("the builder reached for the network")


def texts_and_labels(examples):
    texts = [example["text"].decode() for example in examples]
    return texts, np.array([example["label"] for example in examples])


def test_a_seed_gives_the_same_texts_and_another_seed_others():
    first = grammar.write_reviews(seed=3, count=60)
    assert first == grammar.write_reviews(seed=3, count=60)
    assert first == grammar.write_reviews(seed=3, count=80)[:60]
    other = dict(grammar.write_reviews(seed=4, count=60))
    assert not other.keys() & dict(first).keys()


def test_a_changed_grammar_asks_for_a_new_version():
    text = repr(grammar.write_reviews(SyntheticReviews.SEED, 500)).encode()
    assert {str(SyntheticReviews.VERSION): hashlib.sha256(text).hexdigest()} == {
        "1.0.0": "dd4670864cfb282fe9d14acf1c0571f0975ca6ba90f460d03d5902c6a9a3c49d"
    }


def test_reviews_are_distinct_and_balanced():
    reviews = grammar.write_reviews(seed=5, count=1000)
    assert len({text for text, _ in reviews}) == 1000
    assert Counter(label for _, label in reviews) == {"neg": 500, "pos": 500}


def twins(seed):
    return [grammar.write_review(random.Random(seed), x) for x in ("neg", "pos")]


def test_a_twin_has_the_other_label_and_the_same_bag_of_words():
    same_bag = 0
    for seed in range(400):
        neg, pos = twins(seed)
        assert neg != pos
        same_bag += sorted(words(neg)) == sorted(words(pos))
    # All but the plain verdicts, of which there are PLAIN_RATE.
    assert same_bag / 400 == pytest.approx(1 - grammar.PLAIN_RATE, abs=0.06)


def test_exchanging_the_words_of_opinion_makes_the_twin():
    praise = {w for table in grammar.PRAISE.values() for w in table}
    blame = {w for table in grammar.BLAME.values() for w in table}
    assert not praise & blame
    for seed in range(200):
        neg, pos = (words(text) for text in twins(seed))
        changed = [(n, p) for n, p in zip(neg, pos, strict=True) if n != p]
        assert changed
        assert all(
            (n in praise and p in blame) or (n in blame and p in praise)
            for n, p in changed
        )


def test_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match="label: expected one of .* got 'good'"):
        grammar.write_review(random.Random(0), "good")


@pytest.mark.parametrize("name, count", [("train", 4000), ("test", 1000)])
def test_a_prepared_split_holds_ragged_balanced_reviews(splits, name, count):
    texts, labels = texts_and_labels(splits[name])
    assert np.bincount(labels).tolist() == [count // 2, count // 2]
    lengths = [len(words(text)) for text in texts]
    assert 10 <= min(lengths) < 20 and 100 < max(lengths) <= 150
    assert 40 <= np.mean(lengths) <= 70
    assert 0.1 < np.mean(["<br /><br />" in text for text in texts]) < 0.5


def test_the_prepared_labels_are_the_written_ones(splits):
    written = dict(grammar.write_reviews(SyntheticReviews.SEED, 5000))
    texts, labels = texts_and_labels(splits["train"] + splits["test"])
    read = {
        text: grammar.LABELS[label] for text, label in zip(texts, labels, strict=True)
    }
    assert read == written


def test_no_text_is_in_both_splits(splits):
    train, test = (texts_and_labels(splits[name])[0] for name in ("train", "test"))
    assert len({*train, *test}) == 5000


@pytest.mark.parametrize("features", [CountVectorizer, TfidfVectorizer])
@pytest.mark.parametrize("longest, ceiling", [(1, 0.70), (2, 0.80)])
def test_a_bag_of_words_stays_low(splits, features, longest, ceiling):
    counts = features(ngram_range=(1, longest))
    texts, labels = texts_and_labels(splits["train"])
    model = LogisticRegression(solver="liblinear").fit(
        counts.fit_transform(texts), labels
    )
    texts, labels = texts_and_labels(splits["test"])
    assert model.score(counts.transform(texts), labels) < ceiling
