"""Integrated gradients: they add up, and are those of a path walked by hand."""

import jax
import numpy as np
import pytest
from trained import TEXTS, make_predictor

from lstm_jax import inference
from lstm_jax.explain import contrast_of, explain_text, integrated_gradients
from lstm_jax.measures import scores

KINDS = {
    "lstm with n-grams, one logit": {"data.ngram_order": 2},
    "gru, one-hot words, three classes, one way": {
        "model.inputs": "one_hot",
        "model.cell": "gru",
        "model.num_logits": 0,
        "model.bidirectional": False,
    },
    "rnn, vectors that stay as they are": {
        "model.cell": "rnn",
        "model.train_embedding": False,
        "model.pooling": "last",
    },
}


@pytest.fixture(scope="module", params=KINDS)
def predictor(request):
    # Over two of the eight simulated devices.
    return make_predictor(batch_size=2, **KINDS[request.param])


@pytest.mark.parametrize("text", [*TEXTS[:3], TEXTS[4], ""])
def test_they_add_up_to_what_the_verdict_moves_by(predictor, text):
    found = explain_text(predictor, text)
    logits = predictor.logits([text])
    (ids,) = predictor.token_ids([text])
    start = predictor.logits_of_unknown(len(ids))[None]
    wide = scores(logits) - scores(start)
    total = float(wide[0, found.one] - wide[0, found.other])
    assert found.gradients.total == pytest.approx(total, abs=1e-5)
    assert found.gradients.effects.sum() == pytest.approx(
        total, abs=0.005 + 0.02 * abs(total)
    )
    gap = total - found.gradients.effects.sum()
    assert found.gradients.gap == pytest.approx(gap, abs=1e-5)


def test_the_verdict_moves_at_all(predictor):
    found = explain_text(predictor, TEXTS[0])
    assert abs(found.gradients.total) > 0.01
    assert np.abs(found.gradients.effects).max() > 0.01


def test_they_are_those_of_the_path_walked_by_hand(predictor):
    """The derivative along the way of one word, by differences of the model itself."""
    module, params = predictor.trained.module, predictor.trained.params
    words = "great film awful".split()
    (ids,) = predictor.token_ids([" ".join(words)])
    if module.num_ngrams:
        module = module.clone(num_ngrams=0)  # the network alone, times its share
    share_of_network = (
        1 - module.ngram_share if predictor.trained.module.num_ngrams else 1
    )
    contrast = contrast_of(module.num_logits, 1, 0)

    def table_of(params):
        if "embedding" in params:
            return params["embedding"]["embedding"]
        return params["layers"]["layer_0"]["w_ih"]

    def verdict(rows):
        """The verdict with other rows for these words."""
        table = np.array(table_of(params))
        table[ids] = rows
        changed = jax.tree.map(lambda x: table if x is table_of(params) else x, params)
        inputs = (ids[None], np.array([len(ids)]))
        return float((apply({"params": changed}, *inputs) @ contrast)[0])

    apply = jax.jit(module.apply)
    end = np.array(table_of(params))[ids]
    start = np.tile(np.array(table_of(params))[1], (len(ids), 1))
    step, by_hand = 1e-2, np.zeros(len(ids))
    for share in (np.arange(16) + 0.5) / 16:
        at = start + share * (end - start)
        for n in range(len(ids)):
            nudge = np.zeros_like(at)
            nudge[n] = step * (end - start)[n]
            slope = (verdict(at + nudge) - verdict(at - nudge)) / (2 * step)
            by_hand[n] += share_of_network * slope / 16
    network, _ = predictor.gradients_of_ids(ids, contrast, 16)
    np.testing.assert_allclose(network, by_hand, atol=2e-3, rtol=2e-2)


def test_an_unknown_word_adds_nothing_to_the_network(predictor):
    (ids,) = predictor.token_ids(["great zebras film"])
    contrast = contrast_of(predictor.loaded.num_logits, 1, 0)
    network, _ = predictor.gradients_of_ids(ids, contrast, 8)
    assert network[1] == 0 and network[0] != 0


def test_points_that_do_not_fit_beside_each_other_are_taken_in_turns(
    predictor, monkeypatch
):
    (ids,) = predictor.token_ids([TEXTS[0]])
    contrast = contrast_of(predictor.loaded.num_logits, 1, 0)
    whole = predictor.gradients_of_ids(ids, contrast, 10)
    program, shares, devices = predictor._gradients, [], set()

    def gradients(*inputs):
        shares.append(len(inputs[-1]))
        outcome = program(*inputs)
        devices.update(*(x.devices() for x in outcome))
        return outcome

    monkeypatch.setattr(predictor, "_gradients", gradients)
    monkeypatch.setattr(inference, "_TOKENS_AT_ONCE", 16 * 5)  # texts of 16 tokens
    found = predictor.gradients_of_ids(ids, contrast, 10)
    assert shares == [4, 4, 2]
    assert len(devices) == 1  # each of the others would do the same
    for ours, expected in zip(found, whole, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_more_points_close_the_gap():
    predictor = make_predictor(**KINDS["rnn, vectors that stay as they are"])
    gaps = [
        abs(integrated_gradients(predictor, TEXTS[0], 1, 0, num_points=n).gap)
        for n in (1, 4, 64)
    ]
    assert gaps[2] < min(gaps[:2]) / 4
