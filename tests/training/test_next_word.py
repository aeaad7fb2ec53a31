from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.data.streams import lay_out
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.training import next_word
from lstm_jax.training.devices import make_data_mesh, put_batch, put_copies
from lstm_jax.training.language_modelling import _validate, compile_eval_window
from lstm_jax.training.losses import metric_sums
from lstm_jax.training.next_word import (
    Penalties,
    count_parts,
    draw_words,
    log_expected,
    make_eval_window,
    next_word_loss,
)
from lstm_jax.training.state import create_state
from lstm_jax.training.steps import make_train_step

VOCAB = 23
MODEL = LanguageModel(vocab_size=VOCAB, embedding_size=5, hidden_size=7)
PARAMS = MODEL.init(jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
PARAMS = {**PARAMS, "bias": jax.random.normal(jax.random.key(3), (VOCAB,))}


def streams(seed=0, rows=4):
    rng = np.random.default_rng(seed)
    texts = [rng.integers(1, VOCAB, 17).astype(np.int32) for _ in range(5)]
    return lay_out(texts, rows=rows, window=6)


def carry_of(rows=4, seed=5):
    zeros = MODEL.initial_carry(rows)
    keys = iter(jax.random.split(jax.random.key(seed), 9))
    return jax.tree.map(lambda c: jax.random.normal(next(keys), c.shape), zeros)


def run(window, carry, *, num_sampled=0, penalties=None, key=0):
    loss = next_word_loss(MODEL, penalties or Penalties(), num_sampled=num_sampled)
    return loss(PARAMS, carry, window, jax.random.key(key))


def by_hand(window, carry):
    """Loss and right answers, in float64 from the scores of all words."""
    _, hs, _ = MODEL.apply({"params": PARAMS}, window.token_ids[:, :-1], carry)
    table = np.asarray(PARAMS["embedding"]["embedding"], np.float64)
    scores = np.asarray(hs, np.float64) @ table.T + np.asarray(PARAMS["bias"])
    targets, weights = window.token_ids[:, 1:].T, window.weights.T
    own = np.take_along_axis(scores, targets[..., None], -1)[..., 0]
    losses = np.log(np.exp(scores).sum(-1)) - own
    return (losses * weights).sum(), ((own >= scores.max(-1)) * weights).sum()


def test_the_loss_is_that_of_all_words():
    window, carry = streams().at(2), carry_of(seed=8)
    assert 0 < window.weights.sum() <= window.weights.size
    total, (sums, _, _) = run(window, carry)
    loss, correct = by_hand(window, carry)
    assert correct > 0
    np.testing.assert_allclose(
        [total, sums.loss, sums.correct, sums.count],
        [loss, loss, correct, window.weights.sum()],
        rtol=1e-5,
    )


def test_words_of_weight_0_do_not_count():
    laid = streams(rows=7)
    window = laid.at(laid.num_windows - 1)
    assert 0 < window.weights.sum() < window.weights.size
    sums = run(window, carry_of(7))[1].sums
    loss, _ = by_hand(window, carry_of(7))
    np.testing.assert_allclose(sums.loss, loss, rtol=1e-5)


def test_a_fresh_row_forgets():
    laid = streams()
    forgot = run(laid.at(0), carry_of(seed=1))
    also = run(laid.at(0), carry_of(seed=2))
    jax.tree.map(np.testing.assert_array_equal, forgot, also)
    goes_on = [run(laid.at(1), carry_of(seed=seed))[0] for seed in (1, 2)]
    assert abs(goes_on[0] - goes_on[1]) > 1e-3


def test_the_carry_goes_on_and_the_gradient_does_not():
    laid = streams()
    _, (_, _, carry) = run(laid.at(0), carry_of())
    expected, _, _ = MODEL.apply({"params": PARAMS}, laid.at(0).token_ids[:, :-1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5), carry, expected)

    def through(carry):
        return sum(c.sum() for c in jax.tree.leaves(run(laid.at(1), carry)[1].carry))

    for gradient in jax.tree.leaves(jax.grad(through)(carry)):
        assert not gradient.any()


def test_parts_of_a_batch_move_as_the_whole_and_each_row_keeps_its_carry():
    laid, key = streams(rows=6), jax.random.key(0)
    optimizer, loss = optax.sgd(0.5), next_word_loss(MODEL, Penalties(), num_sampled=0)
    ended = []
    for parts in (1, 3):
        step = make_train_step(loss, optimizer, key, accumulation_steps=parts)
        state = create_state(PARAMS, optimizer, average=False, carry=carry_of(6))
        for index in (1, 2):
            state, sums = jax.jit(step)(state, laid.at(index))
        ended.append((state.params, state.carry, sums))
    rows = np.asarray(jax.tree.leaves(ended[0][1])[0])
    assert (
        np.abs(rows[:, None] - rows).max(axis=-1)[~np.eye(6, dtype=bool)].min() > 0.01
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *ended
    )


def test_told_from_a_large_sample_the_loss_and_its_gradient_are_about_the_same():
    window, carry = streams().at(1), carry_of()

    def loss(params, num_sampled, key):
        own = next_word_loss(MODEL, Penalties(), num_sampled=num_sampled)
        return own(params, carry, window, jax.random.key(key))[0]

    exact, slope = jax.value_and_grad(loss)(PARAMS, 0, 0)
    about, sampled = jax.value_and_grad(loss)(PARAMS, 200_000, 0)
    np.testing.assert_allclose(about, exact, rtol=0.01)
    for a, b in zip(jax.tree.leaves(sampled), jax.tree.leaves(slope), strict=True):
        assert np.linalg.norm(a - b) < 0.1 * np.linalg.norm(b)
    few = [float(loss(PARAMS, 4, key)) for key in range(3)]
    assert len(set(few)) == 3


def test_words_are_drawn_as_often_as_expected():
    drawn = np.asarray(draw_words(jax.random.key(0), 200_000, VOCAB))
    assert drawn.min() == 0 and drawn.max() == VOCAB - 1
    expected = np.exp(log_expected(jnp.arange(VOCAB), 200_000, VOCAB))
    np.testing.assert_allclose(expected.sum(), 200_000, rtol=1e-4)
    counts = np.bincount(drawn, minlength=VOCAB)
    assert (np.abs(counts - expected) < 6 * np.sqrt(expected)).all()


@pytest.mark.parametrize("name", Penalties._fields)
def test_penalties_are_in_the_gradient_and_in_no_sum(name):
    window, carry = streams().at(1), carry_of()
    total, (sums, _, _) = run(window, carry)
    dearer, (same, _, _) = run(window, carry, penalties=Penalties(**{name: 2.0}))
    _, hs, ys = MODEL.apply({"params": PARAMS}, window.token_ids[:, :-1], carry)
    what = {"size": np.asarray(hs), "change": np.diff(np.asarray(ys), axis=0)}[name]
    more = 2.0 * np.mean(what**2) * float(sums.count)
    np.testing.assert_allclose(dearer - total, more, rtol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, sums, same)


@pytest.mark.parametrize("change", [0.0, 2.0])
def test_in_a_window_of_one_word_nothing_changes(change):
    """The mean of no changes would not be finite."""
    window, carry = lay_out([np.arange(1, 20)], rows=4, window=1).at(1), carry_of()
    total, _ = run(window, carry)
    dearer, _ = run(window, carry, penalties=Penalties(change=change))
    assert np.isfinite(total) and dearer == total


def test_windows_are_judged_one_after_another_as_a_whole():
    laid, carry = streams(), MODEL.initial_carry(4)
    judge = jax.jit(make_eval_window(MODEL))
    total = np.zeros(3)
    for index in range(laid.num_windows):
        carry, sums = judge(PARAMS, carry, laid.at(index))
        total += np.array(sums)
    _, hs, _ = MODEL.apply({"params": PARAMS}, laid.token_ids[:, :-1])
    scores = MODEL.apply({"params": PARAMS}, hs, method="scores")
    whole = metric_sums(scores, laid.token_ids[:, 1:].T, laid.weights.T)
    np.testing.assert_allclose(total, np.array(whole), rtol=1e-5)


def test_validation_is_one_program_on_every_device():
    """The carry of the first window lies where those after it do."""
    laid, mesh = streams(), make_data_mesh(4, 4)
    assert laid.num_windows > 2 and mesh.size == 4
    judge = compile_eval_window(MODEL, mesh)
    config = SimpleNamespace(train=SimpleNamespace(eval_batch_size=4))
    work: Any = SimpleNamespace(
        config=config, model=MODEL, mesh=mesh, val=laid, eval_window=judge
    )
    found = _validate(work, put_copies(mesh, PARAMS))
    assert judge._cache_size() == 1
    _, hs, _ = MODEL.apply({"params": PARAMS}, laid.token_ids[:, :-1])
    scores = MODEL.apply({"params": PARAMS}, hs, method="scores")
    whole = metric_sums(scores, laid.token_ids[:, 1:].T, laid.weights.T)
    np.testing.assert_allclose(found["loss"], whole.loss / whole.count, rtol=1e-5)


def test_validation_gathers_no_carry():
    """Beside the sums, on as few threads as devices, the two would wait for ever."""
    laid, mesh = streams(), make_data_mesh(4, 4)
    window = put_batch(mesh, laid.at(0))
    carry = put_batch(mesh, MODEL.initial_carry(4))
    judge = compile_eval_window(MODEL, mesh)
    program = judge.lower(put_copies(mesh, PARAMS), carry, window).compile().as_text()
    assert "all-reduce" in program and "all-gather" not in program


def test_told_from_every_word_the_right_answers_are_those_of_all_words():
    window, carry = streams().at(2), carry_of(seed=8)
    # So many draws that each of the 23 words is among them.
    sums = run(window, carry, num_sampled=4000)[1].sums
    correct = by_hand(window, carry)[1]
    assert 0 < correct < window.weights.sum()
    assert float(sums.correct) == correct


def test_scores_are_cut_into_parts_that_a_cache_holds(monkeypatch):
    def parts(steps, rows, words=2048):
        return count_parts(jax.ShapeDtypeStruct((steps, rows, 8), "float32"), words)

    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert [parts(64, 64), parts(64, 4), parts(64, 15), parts(70, 64)] == [8, 1, 1, 7]
    assert parts(13, 64) == 1 and parts(2, 4096) == 2
    assert parts(64, 64, 4096) == 16
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert parts(64, 64) == 4
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert parts(64, 64) == 1


def test_parts_change_nothing(monkeypatch):
    window, carry = streams().at(1), carry_of()
    results = []
    for size in (9, 10**9):
        monkeypatch.setattr(next_word, "_CACHE", size)
        loss = next_word_loss(MODEL, Penalties(), num_sampled=9)
        both = jax.value_and_grad(loss, has_aux=True)
        results.append(both(PARAMS, carry, window, jax.random.key(0)))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
