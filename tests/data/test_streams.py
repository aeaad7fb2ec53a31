import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.streams import END_ID, count_windows, lay_out

TEXTS = st.lists(
    st.lists(st.integers(2, 50), max_size=9).map(lambda ids: np.array(ids, np.int32)),
    min_size=1,
    max_size=12,
)


def read(streams):
    """The pairs of a word and the next that are counted, window after window."""
    rows = [[] for _ in streams.token_ids]
    for index in range(streams.num_windows):
        window = streams.at(index)
        assert window.token_ids.shape == (len(rows), streams.window + 1)
        assert window.fresh.tolist() == [index == 0] * len(rows)
        pairs = zip(window.token_ids, window.weights, strict=True)
        for row, (ids, weights) in zip(rows, pairs, strict=True):
            row += [p for p, w in zip(zip(ids[:-1], ids[1:]), weights) if w]  # noqa: B905
    return [pair for row in rows for pair in row]


@given(TEXTS, st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_every_word_is_foretold_once_from_the_one_before(texts, rows, window, backward):
    step = -1 if backward else 1
    words = [END_ID, *(int(w) for text in texts for w in [*text[::step], END_ID])]
    expected = list(zip(words[:-1], words[1:], strict=True))
    found = read(lay_out(texts, rows=rows, window=window, backward=backward))
    # All but at most the end of the last text.
    assert found in (expected, expected[:-1])


@given(TEXTS, st.integers(1, 4), st.integers(1, 5), st.integers(0, 9))
def test_an_epoch_has_as_many_windows_in_any_order(texts, rows, window, epoch):
    streams = lay_out(texts, rows=rows, window=window, shuffle=(0, epoch))
    assert streams.num_windows == count_windows(texts, rows, window)


def test_the_order_is_that_of_the_seed_and_the_epoch():
    texts = [np.array([n, n + 1], np.int32) for n in range(2, 40, 2)]

    def order(*shuffle):
        return lay_out(texts, rows=2, window=4, shuffle=shuffle).token_ids.tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_a_host_reads_its_rows():
    texts = [np.arange(2, 30, dtype=np.int32)]
    streams = lay_out(texts, rows=4, window=3)
    whole, half = streams.at(1), streams.at(1, slice(2, 4))
    np.testing.assert_array_equal(half.token_ids, whole.token_ids[2:])
    np.testing.assert_array_equal(half.weights, whole.weights[2:])


@pytest.mark.parametrize("backward", [False, True])
def test_a_row_goes_on_where_the_one_before_ends(backward):
    texts = [np.arange(2, 31, dtype=np.int32)]
    ids = lay_out(texts, rows=3, window=5, backward=backward).token_ids
    assert ids[:-1, -1].tolist() == ids[1:, 0].tolist()
