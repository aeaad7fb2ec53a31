import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data import splits
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.splits import hold_out, sample_rows, split_validation
from lstm_jax.errors import UserError


def reviews_of(groups=None, count=None):
    count = len(groups) if count is None else count
    texts = [f"review {i}" for i in range(count)]
    groups = None if groups is None else np.array(groups, np.int64)
    return Reviews(texts, np.arange(count, dtype=np.int32) % 2, groups)


groups_lists = st.lists(st.integers(0, 12), min_size=2, max_size=60).filter(
    lambda groups: len(set(groups)) > 4
)


@given(groups_lists, st.floats(0.01, 0.4))
def test_a_group_never_stands_on_both_sides(groups, fraction):
    train, val = split_validation(reviews_of(groups), fraction)
    numbers = np.array(groups)
    assert not set(numbers[train]) & set(numbers[val])
    everything = np.sort(np.concatenate([train, val]))
    np.testing.assert_array_equal(everything, np.arange(len(groups)))
    assert len(train) and len(val)
    assert (np.diff(train) > 0).all() and (np.diff(val) > 0).all()


@given(groups_lists, st.floats(0.01, 0.4))
def test_the_fraction_is_met_to_within_one_group(groups, fraction):
    _, val = split_validation(reviews_of(groups), fraction)
    largest = np.bincount(groups).max()
    assert fraction * len(groups) <= len(val) < fraction * len(groups) + largest


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5])
def test_without_groups_the_split_is_random_and_exact(fraction):
    train, val = split_validation(reviews_of(count=1000), fraction)
    assert len(val) == round(fraction * 1000)
    assert not set(train) & set(val)
    # Neither the first nor the last reviews: IMDB is sorted by label.
    middle = np.median(val)
    assert 350 < middle < 650
    assert len(set(np.diff(val))) > 2


@pytest.mark.parametrize("groups", [[7] * 20, [3]])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(groups):
    with pytest.raises(UserError, match="data.validation_fraction: .*groups") as error:
        split_validation(reviews_of(groups), 0.1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("large", "said"), [(30, True), (9, False)])
def test_a_group_larger_than_the_share_is_told(large, said, caplog):
    groups = np.concatenate([np.zeros(large, int), np.arange(1, 101 - large)])
    reviews = Reviews(["a"] * 100, np.zeros(100), groups)
    held_out = 0
    for seed in range(50):
        caplog.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(splits, "_SPLIT_SEED", seed)
            _, val = split_validation(reviews, 0.1)
        whole = 0 in groups[val]
        held_out += whole
        message = f"a group of {large} is held out whole"
        assert (message in caplog.text) == (whole and said)
    assert held_out


@pytest.mark.parametrize(
    ("groups", "notice", "told"),
    [(None, "", True), (np.arange(20) // 2, "", False), (None, "made up", False)],
)
def test_a_random_split_is_told_unless_it_measures_nothing(
    groups, notice, told, caplog
):
    train = Reviews(["a"] * 20, np.zeros(20), groups)
    found = hold_out(Corpus("x", ("a", "b"), train, None, notice), 0.2)
    for ours, theirs in zip(found, split_validation(train, 0.2), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert ("Validation is a random split" in caplog.text) == told


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 70))
def test_a_larger_sample_holds_a_smaller_one(num_rows, fewer, more):
    rows = 3 * np.arange(num_rows) + 5
    small, large = (sample_rows(rows, count, "x") for count in sorted((fewer, more)))
    assert len(small) == min(num_rows, fewer, more)
    assert set(small) <= set(large) <= set(rows)
    assert (np.diff(small) > 0).all() and (np.diff(large) > 0).all()
    np.testing.assert_array_equal(sample_rows(rows, 0, "x"), rows)


def test_a_sample_is_not_the_first_rows():
    # IMDB is sorted by label.
    assert 400 < np.median(sample_rows(np.arange(1000), 100, "x")) < 600


@pytest.mark.parametrize(
    ("groups", "told"),
    [(None, True), (np.arange(20), True), (np.arange(20) % 10, False)],
)
def test_validation_reviews_that_are_learned_from_are_told(groups, told, caplog):
    texts = [f"Text {i % 10}" for i in range(10)] + [f"text  {i}" for i in range(10)]
    train = Reviews(texts, np.zeros(20), groups)
    _, val = hold_out(Corpus("x", ("a", "b"), train, None), 0.1)
    assert ("2 of 2 validation reviews also stand among" in caplog.text) == told
    assert len(val) == 2
    caplog.clear()
    others = train._replace(texts=[f"text {i}" for i in range(20)])
    hold_out(Corpus("x", ("a", "b"), others, None), 0.1)
    assert "also stand" not in caplog.text
