import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.batches import (
    bucket_widths,
    make_batch,
    ngram_width,
    padding_share,
    plan_epoch,
    plan_evaluation,
)
from lstm_jax.data.config import DataConfig
from lstm_jax.data.datasets import load_datasets
from lstm_jax.data.ngrams import MAX_NGRAMS, find_ngrams, learn_ngrams
from lstm_jax.data.tokenizer import PAD_ID

lengths_lists = st.lists(st.integers(0, 90), min_size=1, max_size=40).map(np.array)
batch_sizes = st.integers(1, 12)
bucket_counts = st.integers(1, 5)


def planned(lengths, batch_size, num_buckets, seed=0, epoch=0):
    widths = bucket_widths(lengths, num_buckets)
    return plan_epoch(lengths, widths, batch_size, seed=seed, epoch=epoch)


def assert_every_review_once(plan, count):
    rows = plan.rows.ravel()
    np.testing.assert_array_equal(np.sort(rows[rows >= 0]), np.arange(count))


def assert_all_fit(plan, lengths):
    for rows, width in zip(plan.rows, plan.widths, strict=True):
        assert lengths[rows[rows >= 0]].max() <= width


@given(lengths_lists, batch_sizes, bucket_counts, st.integers(0, 9))
def test_an_epoch_holds_every_review_once_in_the_fewest_batches(
    lengths, batch_size, num_buckets, epoch
):
    plan = planned(lengths, batch_size, num_buckets, epoch=epoch)
    assert_every_review_once(plan, len(lengths))
    assert plan.rows.shape == (-(-len(lengths) // batch_size), batch_size)
    assert_all_fit(plan, lengths)
    assert np.ptp((plan.rows >= 0).sum(axis=1)) <= 1
    assert set(plan.widths) <= set(bucket_widths(lengths, num_buckets))


@given(lengths_lists, batch_sizes, bucket_counts)
def test_evaluation_holds_every_review_once(lengths, batch_size, num_buckets):
    plan = plan_evaluation(lengths, bucket_widths(lengths, num_buckets), batch_size)
    assert_every_review_once(plan, len(lengths))
    assert_all_fit(plan, lengths)
    assert (np.diff(plan.widths) >= 0).all()


def test_no_review_counts_for_several_others():
    """In a step it counts for one of the reviews of its batch."""
    lengths = np.random.default_rng(0).integers(1, 80, 100)
    sizes = (planned(lengths, 32, 3).rows >= 0).sum(axis=1)
    assert sizes.tolist() == [25] * 4


def test_a_plan_is_a_function_of_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(1, 80, 60)
    plan = planned(lengths, 8, 3, seed=4, epoch=2)
    again = planned(lengths, 8, 3, seed=4, epoch=2)
    np.testing.assert_array_equal(plan.rows, again.rows)
    np.testing.assert_array_equal(plan.widths, again.widths)
    others = [(4, 1), (4, 3), (3, 2), (5, 2), (2, 4)]
    for seed, epoch in others:
        other = planned(lengths, 8, 3, seed=seed, epoch=epoch)
        assert not np.array_equal(plan.rows, other.rows), (seed, epoch)


def test_an_epoch_mixes_the_order_of_widths_and_the_mates_of_a_review():
    lengths = np.random.default_rng(1).integers(1, 80, 120)
    plans = [planned(lengths, 8, 3, epoch=epoch) for epoch in range(4)]
    # Not from short to long, as evaluation goes.
    assert all((np.diff(plan.widths) < 0).any() for plan in plans)
    mates = [
        frozenset(next(rows for rows in p.rows if 0 in rows).tolist()) for p in plans
    ]
    assert len(set(mates)) == len(mates)


def brute_force_cost(lengths, num_buckets, multiple):
    padded = np.maximum(-(-lengths // multiple), 1) * multiple
    candidates = sorted(set(padded.tolist()))
    count = min(num_buckets, len(candidates)) - 1
    return min(
        cost_of(lengths, np.array([*chosen, candidates[-1]]))
        for size in range(count + 1)
        for chosen in itertools.combinations(candidates[:-1], size)
    )


def cost_of(lengths, widths):
    return int(sum(min(w for w in widths if w >= length) for length in lengths))


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=15).map(np.array),
    st.integers(1, 4),
    st.sampled_from([1, 4, 8]),
)
def test_bucket_widths_compute_the_least_padding(lengths, num_buckets, multiple):
    widths = bucket_widths(lengths, num_buckets, multiple=multiple)
    assert len(widths) <= num_buckets
    assert (np.diff(widths) > 0).all()
    assert (widths % multiple == 0).all() and widths[0] >= multiple
    assert lengths.max() <= widths[-1] < lengths.max() + multiple or widths[-1] == (
        multiple
    )
    assert cost_of(lengths, widths) == brute_force_cost(lengths, num_buckets, multiple)


def test_padding_share_counts_the_computed_positions():
    lengths = np.random.default_rng(2).integers(1, 60, 37)
    plan = planned(lengths, 5, 3)
    computed = sum(5 * int(width) for width in plan.widths)
    assert padding_share(plan, lengths) == pytest.approx(1 - lengths.sum() / computed)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """A split as a run reads it, with n-grams."""
    rng = np.random.default_rng(3)
    words = [f"word{i}" for i in range(30)]
    path = tmp_path_factory.mktemp("batches") / "reviews.csv"
    lines = [f"{' '.join(rng.choice(words, 1 + i % 12))},{i % 2}" for i in range(15)]
    path.write_text("\n".join(["text,label", *lines]))
    config = DataConfig(
        source="files", train_file=str(path), max_length=10, ngram_order=2
    )
    return load_datasets(config, num_logits=1, text_dir=path.parent).train


def test_make_batch_pads_each_row_with_its_own_review(encoded):
    rows = np.array([7, 0, 4, 2])
    batch = make_batch(encoded, rows, 16, 32)
    assert batch.token_ids.shape == (4, 16)
    assert batch.ngram_ids.shape == (4, 32)
    for i, row in enumerate(rows):
        ids, ngrams = encoded.token_ids[row], encoded.ngram_ids[row]
        values = encoded.ngram_values[ngrams]
        np.testing.assert_array_equal(batch.token_ids[i, : len(ids)], ids)
        assert (batch.token_ids[i, len(ids) :] == PAD_ID).all()
        np.testing.assert_array_equal(batch.ngram_ids[i, : len(ngrams)], ngrams)
        np.testing.assert_array_equal(batch.ngram_values[i, : len(ngrams)], values)
        assert (batch.ngram_values[i, len(ngrams) :] == 0).all()
    np.testing.assert_array_equal(batch.lengths, encoded.lengths[rows])
    np.testing.assert_array_equal(batch.labels, encoded.labels[rows])
    np.testing.assert_array_equal(batch.weights, np.ones(4))
    integers = (batch.token_ids, batch.lengths, batch.labels, batch.ngram_ids)
    assert {x.dtype.name for x in integers} == {"int32"}
    assert {batch.weights.dtype.name, batch.ngram_values.dtype.name} == {"float32"}


def test_make_batch_gives_filler_rows_no_tokens_and_no_weight(encoded):
    batch = make_batch(encoded, np.array([5, -1, 8, -1]), 16, 32)
    np.testing.assert_array_equal(batch.weights, [1, 0, 1, 0])
    assert (batch.token_ids[[1, 3]] == PAD_ID).all()
    assert (batch.lengths[[1, 3]] == 0).all()
    assert (batch.ngram_values[[1, 3]] == 0).all()
    # Any label will do, as long as it is one.
    assert (batch.labels[[1, 3]] >= 0).all()
    real = make_batch(encoded, np.array([5, 8]), 16, 32)
    for ours, theirs in zip(batch, real, strict=True):
        np.testing.assert_array_equal(ours[[0, 2]], theirs)


@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 3))
def test_a_batch_has_room_for_each_ngram_and_for_few_more(length, max_length, order):
    """Those of a review that was cut are of the whole text, however long."""
    whole = np.random.default_rng(length).integers(0, 99, length).astype(np.int32)
    ngrams = learn_ngrams(
        [whole, whole], np.array([0, 1]), order=order, vocab_size=99, num_logits=1
    )
    width = int(bucket_widths(np.array([min(length, max_length)]), 1)[-1])
    room = ngram_width(width, max_length, order)
    assert len(find_ngrams(whole, ngrams)) <= room
    assert room == (order * width if width < max_length else MAX_NGRAMS)


def test_no_batch_has_more_room_than_there_can_be_ngrams():
    assert ngram_width(2000, 5000, 3) == MAX_NGRAMS
