import tracemalloc
from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lstm_jax.data import ngrams as ngrams_module
from lstm_jax.data.ngrams import (
    MAX_NGRAMS,
    find_ngrams,
    learn_ngrams,
    load_ngrams,
    no_ngrams,
    review_keys,
    save_ngrams,
    spread_over_tokens,
)
from lstm_jax.errors import UserError

VOCAB = 6
tokens = st.lists(st.integers(0, VOCAB - 1), max_size=12)


def grams(token_ids, order):
    """All distinct n-grams, as tuples."""
    ids = [int(t) for t in token_ids]
    return {
        tuple(ids[i : i + n])
        for n in range(1, order + 1)
        for i in range(len(ids) - n + 1)
    }


def random_reviews(seed, count=60, length=20):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, length, count)
    return [rng.integers(0, VOCAB, n).astype(np.int32) for n in sizes]


@given(tokens, tokens, st.integers(1, 3))
def test_two_reviews_share_as_many_keys_as_ngrams(first, second, order):
    keys = [
        set(review_keys(np.array(t, int), order, VOCAB + 1)) for t in (first, second)
    ]
    both = grams(first, order) & grams(second, order)
    assert len(keys[0] & keys[1]) == len(both)
    assert len(keys[0]) == len(grams(first, order))


def test_ratios_are_those_of_the_formula():
    reviews, labels = random_reviews(0), np.arange(60) % 2
    ngrams = learn_ngrams(reviews, labels, order=3, vocab_size=VOCAB, num_logits=1)
    inside, outside = Counter(), Counter()
    for ids, label in zip(reviews, labels, strict=True):
        (inside if label else outside).update(grams(ids, 3))
    known = [g for g in inside | outside if inside[g] + outside[g] >= 2]
    assert len(known) == len(ngrams.keys)
    sums = [sum(1 + c[g] for g in known) for c in (inside, outside)]
    for gram in known:
        expected = log((1 + inside[gram]) / sums[0]) - log(
            (1 + outside[gram]) / sums[1]
        )
        key = sum((t + 1) * (VOCAB + 1) ** n for n, t in enumerate(reversed(gram)))
        place = np.searchsorted(ngrams.keys, key)
        assert ngrams.keys[place] == key
        assert ngrams.ratios[place, 0] == pytest.approx(expected, abs=1e-6)


def test_each_class_is_weighed_against_the_rest():
    reviews, labels = random_reviews(1), np.arange(60) % 3
    every = learn_ngrams(reviews, labels, order=2, vocab_size=VOCAB, num_logits=3)
    assert every.ratios.shape == (len(every.keys), 3)
    for k in range(3):
        one = learn_ngrams(
            reviews, (labels == k).astype(int), order=2, vocab_size=VOCAB, num_logits=1
        )
        np.testing.assert_array_equal(every.ratios[:, k], one.ratios[:, 0])


def test_unknown_ngrams_are_left_out_and_known_ones_found():
    reviews = random_reviews(2)
    ngrams = learn_ngrams(
        reviews[:30], np.arange(30) % 2, order=3, vocab_size=VOCAB, num_logits=1
    )
    for ids in reviews[30:]:
        expected = [
            i
            for i, key in enumerate(ngrams.keys)
            if key in set(review_keys(ids, 3, VOCAB + 1))
        ]
        assert find_ngrams(ids, ngrams).tolist() == expected


def test_a_review_longer_than_any_keeps_a_bounded_number():
    rng = np.random.default_rng(3)
    long = rng.integers(0, 1000, 9000).astype(np.int32)
    ngrams = learn_ngrams(
        [long, long], np.array([0, 1]), order=3, vocab_size=1000, num_logits=1
    )
    assert len(find_ngrams(long, ngrams)) == MAX_NGRAMS


@pytest.mark.parametrize("ids", [[], [5]])
def test_short_reviews_are_no_special_case(ids):
    ngrams = learn_ngrams(
        random_reviews(4), np.arange(60) % 2, order=3, vocab_size=VOCAB, num_logits=1
    )
    assert len(find_ngrams(np.array(ids, np.int32), ngrams)) == len(ids)


def test_reviews_that_share_no_ngram_leave_none():
    reviews = [np.array([0], np.int32), np.array([1], np.int32)]
    ngrams = learn_ngrams(
        reviews, np.array([0, 1]), order=2, vocab_size=VOCAB, num_logits=1
    )
    assert ngrams.ratios.shape == (0, 1)
    assert len(find_ngrams(reviews[0], ngrams)) == 0


@given(st.lists(tokens, min_size=1, max_size=9), st.integers(1, 9))
@example([[0, 1]], 5)
def test_kept_are_those_of_as_many_reviews(reviews, most):
    reviews = [np.array(ids, np.int32) for ids in reviews]
    counts = Counter(g for ids in reviews for g in review_keys(ids, 2, VOCAB + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams_module, "_MIN_REVIEWS", most)
        labels = np.arange(len(reviews)) % 2
        ngrams = learn_ngrams(reviews, labels, order=2, vocab_size=VOCAB, num_logits=1)
    expected = sorted(key for key, count in counts.items() if count >= most)
    assert ngrams.keys.tolist() == expected


def test_learning_takes_a_few_times_the_bytes_of_what_is_found():
    rng = np.random.default_rng(0)
    reviews = [rng.integers(0, 9999, 500).astype(np.int32) for _ in range(200)]
    found = sum(len(review_keys(ids, 3, 10_000)) for ids in reviews)
    tracemalloc.start()
    learn_ngrams(reviews, np.arange(200) % 2, order=3, vocab_size=9999, num_logits=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 8 * found


def test_without_ngrams_nothing_is_found():
    assert len(find_ngrams(np.array([1, 2, 3], np.int32), no_ngrams(1))) == 0


def test_saved_ngrams_come_back(tmp_path):
    ngrams = learn_ngrams(
        random_reviews(5), np.arange(60) % 2, order=2, vocab_size=VOCAB, num_logits=1
    )
    save_ngrams(ngrams, tmp_path / "ngrams.npz")
    again = load_ngrams(tmp_path / "ngrams.npz")
    assert (again.order, again.base) == (ngrams.order, ngrams.base)
    np.testing.assert_array_equal(again.keys, ngrams.keys)
    np.testing.assert_array_equal(again.ratios, ngrams.ratios)
    assert [p.name for p in tmp_path.iterdir()] == ["ngrams.npz"]


def test_a_torn_file_is_reported_in_one_line(tmp_path):
    path = tmp_path / "ngrams.npz"
    save_ngrams(no_ngrams(1), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="expected a file of n-grams") as raised:
        load_ngrams(path)
    assert "\n" not in str(raised.value)


@given(tokens, st.integers(1, 3))
def test_what_belongs_to_ngrams_is_shared_by_their_tokens(token_ids, order):
    reviews = random_reviews(3)
    ngrams = learn_ngrams(
        reviews, np.arange(60) % 2, order=order, vocab_size=VOCAB, num_logits=1
    )
    ids = np.array(token_ids, np.int32)
    found = find_ngrams(ids, ngrams)
    values = np.random.default_rng(4).normal(size=len(found))
    places = {}
    for n in range(1, order + 1):
        for start in range(len(ids) - n + 1):
            (key,) = review_keys(ids[start : start + n], n, ngrams.base)[-1:]
            places.setdefault(int(key), []).append(range(start, start + n))
    expected = np.zeros(len(ids))
    for key, value in zip(ngrams.keys[found], values, strict=True):
        stands = places[int(key)]
        for tokens_of in stands:
            for token in tokens_of:
                expected[token] += value / (len(stands) * len(tokens_of))
    shared = spread_over_tokens(values, ids, ngrams)
    np.testing.assert_allclose(shared, expected, atol=1e-12)
    assert shared.sum() == pytest.approx(values.sum())


def test_without_ngrams_nothing_is_shared():
    shared = spread_over_tokens(np.zeros(0), np.arange(3), no_ngrams(1))
    assert shared.tolist() == [0, 0, 0]
