"""A predictor: any number of threads, a few shapes, and nothing of a text lost."""

import concurrent.futures
import threading

import numpy as np
import pytest
from trained import TEXTS, make_predictor

from lstm_jax.inference import GivenUpError, text_widths


@pytest.fixture(scope="module")
def predictor():
    # Over two of the eight simulated devices.
    settings = {"model.cell": "rnn", "model.bidirectional": False}
    return make_predictor(batch_size=2, **settings, **{"data.max_length": 70})


def test_threads_get_their_own_answers_and_compile_once(predictor):
    texts = [f"{TEXTS[n % 5]} {'film ' * (n % 90)}" for n in range(160)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda text: predictor.logits([text])[0], texts))
    np.testing.assert_allclose(found, predictor.logits(texts), rtol=0, atol=1e-6)
    assert predictor._logits._cache_size() == len(text_widths(70)) == 4


def test_what_is_warm_compiles_nothing(predictor):
    predictor.warm_up()
    programs = (predictor._logits, predictor._gates, predictor._gradients)
    sizes = [program._cache_size() for program in programs]
    assert sizes == [4, 4, 4]
    predictor.logits([" ".join(["film"] * n) for n in range(0, 150, 7)])
    for n in (0, 1, 16, 17, 70):
        predictor.gates_of_ids(np.full(n, 2, np.int32))
    predictor.gradients_of_ids(np.full(500, 2, np.int32), np.ones(1), 128)
    assert [program._cache_size() for program in programs] == sizes


def test_warming_up_ends_when_it_is_told_to():
    stop = threading.Event()
    predictor = make_predictor()
    predictor.gates_of_ids = lambda ids: stop.set()
    with pytest.raises(GivenUpError):
        predictor.until(stop).warm_up()
    assert predictor._logits._cache_size() == 1


@pytest.mark.parametrize("ask", ["logits", "gradients"])
def test_what_nobody_waits_for_is_given_up(ask, predictor):
    stop = threading.Event()
    asked = predictor.until(stop)
    ids = np.arange(60, dtype=np.int32) % 15 + 2
    questions = {
        "logits": lambda p: p.logits_of_ids([ids]),
        "gradients": lambda p: p.gradients_of_ids(ids, np.ones(1), 8)[0],
    }
    expected = questions[ask](predictor)
    np.testing.assert_array_equal(questions[ask](asked), expected)
    stop.set()
    with pytest.raises(GivenUpError):
        questions[ask](asked)
    np.testing.assert_array_equal(questions[ask](predictor), expected)


def test_a_text_longer_than_what_is_read_keeps_its_ends(predictor):
    ids = np.arange(500, dtype=np.int32) % 15 + 2
    kept = np.concatenate([ids[:17], ids[-53:]])  # of 70 tokens a quarter, and the end
    both = predictor.logits_of_ids([ids, kept])
    np.testing.assert_allclose(both[0], both[1], atol=1e-6)


def test_half_a_character_is_a_question_mark(predictor):
    found = predictor.logits(["great \ud83d film", "great ? film"])
    np.testing.assert_array_equal(found[0], found[1])
