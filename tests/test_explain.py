"""A predictor and what it explains, against the model applied by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from trained import TEXTS, make_predictor

from lstm_jax.cells import CELLS
from lstm_jax.data.ngrams import find_ngrams
from lstm_jax.data.tokenizer import UNKNOWN_ID, train_tokenizer, truncate
from lstm_jax.explain import (
    _spans,
    _words,
    occlusion,
    occlusions,
    read,
    word_logits,
)
from lstm_jax.explain_run import explain
from lstm_jax.explanations import load_explanations, save_explanations
from lstm_jax.unroll import unroll

KINDS = {
    "lstm with n-grams, one logit": {"data.ngram_order": 2},
    "gru, one-hot words, three classes, one way": {
        "model.inputs": "one_hot",
        "model.cell": "gru",
        "model.num_logits": 0,
        "model.bidirectional": False,
    },
    "rnn, the tail alone": {"model.cell": "rnn", "data.truncate": "tail"},
}


@pytest.fixture(scope="module", params=KINDS)
def predictor(request):
    return make_predictor(**KINDS[request.param])


@functools.cache
def jitted(predictor):
    return jax.jit(predictor.trained.module.apply)


def by_hand(predictor, ids):
    """The logits of one review of token ids, which is a batch of its own."""
    trained = predictor.trained
    config, ngrams = trained.config.data, trained.text.ngrams
    cut = truncate(ids, config.max_length, config.truncate)
    found = find_ngrams(ids, ngrams)
    token_ids, ngram_ids = np.zeros((1, 30), np.int32), np.zeros((1, 70), np.int32)
    values = np.zeros((1, 70, ngrams.ratios.shape[1]), np.float32)
    token_ids[0, : len(cut)], ngram_ids[0, : len(found)] = cut, found
    values[0, : len(found)] = ngrams.ratios[found]
    inputs = (token_ids, np.array([len(cut)]), ngram_ids, values)
    return np.asarray(jitted(predictor)({"params": trained.params}, *inputs))[0]


def ids_of(predictor, text):
    return np.array(predictor.trained.text.tokenizer.encode(text).ids, np.int32)


def near(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_logits_are_those_of_the_model(predictor):
    expected = [by_hand(predictor, ids_of(predictor, text)) for text in TEXTS]
    near(predictor.logits(TEXTS), np.stack(expected))


def test_what_is_said_of_a_text_does_not_depend_on_the_others(predictor):
    many = [TEXTS[n % len(TEXTS)] for n in range(23)]
    together = predictor.logits(many)
    alone = [predictor.logits([text])[0] for text in TEXTS]
    # To rounding: a product may add up the rows at the end of a batch otherwise.
    for n, logits in enumerate(together):
        np.testing.assert_allclose(logits, alone[n % len(TEXTS)], rtol=1e-6, atol=1e-6)


def test_probabilities_and_predictions_are_of_the_logits(predictor):
    logits, chance = predictor.logits(TEXTS), predictor.probabilities(TEXTS)
    assert chance.shape == (len(TEXTS), len(predictor.label_names))
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    np.testing.assert_array_equal(predictor.predict(TEXTS), chance.argmax(axis=1))
    if logits.shape[1] == 1:
        np.testing.assert_array_equal(predictor.predict(TEXTS), logits[:, 0] > 0)


def test_no_texts_and_empty_texts(predictor):
    assert predictor.logits([]).shape == (0, predictor.trained.module.num_logits)
    near(predictor.logits([""])[0], by_hand(predictor, np.zeros(0, np.int32)))
    assert occlusions(predictor, []) == []
    assert occlusion(predictor, "").effects.shape[0] == 0


def test_few_shapes_are_compiled(predictor):
    predictor.logits([" ".join(["film"] * n) for n in range(0, 60, 3)])
    assert predictor._logits._cache_size() <= 2


@pytest.mark.parametrize("text", TEXTS)
def test_occlusion_is_what_each_logit_loses(predictor, text):
    ids, found = ids_of(predictor, text), occlusion(predictor, text)
    config = predictor.trained.config.data
    positions = truncate(np.arange(len(ids)), config.max_length, config.truncate)
    whole = by_hand(predictor, ids)
    for n in range(len(ids)):
        if n not in positions:
            assert np.isnan(found.effects[n]).all()
            continue
        without = ids.copy()
        without[n] = UNKNOWN_ID
        near(found.effects[n], whole - by_hand(predictor, without))
    assert len(found.spans) == len(found.effects) == len(ids)


def test_spans_point_at_the_words(predictor):
    text = TEXTS[0]
    spans = occlusion(predictor, text).spans
    words = [text[a:b] for a, b in spans]
    assert words[:6] == ["A", "great", ",", "great", "film", "!"]
    # The line break is one token, and covers nothing.
    assert words[6:9] == ["", "It's", "what"]


def test_texts_together_are_explained_as_alone(predictor):
    for text, found in zip(TEXTS, occlusions(predictor, TEXTS), strict=True):
        alone = occlusion(predictor, text)
        np.testing.assert_array_equal(found.spans, alone.spans)
        np.testing.assert_allclose(found.effects, alone.effects, rtol=0, atol=3e-6)


def test_words_alone_and_prefixes(predictor):
    ids = ids_of(predictor, TEXTS[1])
    alone = word_logits(predictor)
    assert len(alone) == predictor.trained.text.tokenizer.get_vocab_size()
    near(alone[ids[2]], by_hand(predictor, ids[2:3]))
    running = read(predictor, TEXTS[1]).logits
    assert len(running) == len(ids)
    for n in (0, 3, len(ids) - 1):
        near(running[n], by_hand(predictor, ids[: n + 1]))


def test_gates_are_those_of_the_first_layer_forward(predictor):
    trained, text = predictor.trained, TEXTS[1]
    traced, name = read(predictor, text).gates, trained.config.model.cell
    expected = {"lstm": "ifgoch", "gru": "rznh", "rnn": "h"}[name]
    assert set(traced) == set(expected)
    cell = CELLS[name](trained.config.model.hidden_size)
    layer = trained.params["layers"]["layer_0"]
    xs = ids_of(predictor, text)
    if "embedding" in trained.params:
        xs = trained.params["embedding"]["embedding"][xs]
    _, ys = unroll(cell, layer.get("forward", layer), jnp.asarray(xs)[:, None])
    near(traced["h"], ys[:, 0])
    if name == "lstm":
        before = np.vstack([0 * traced["c"][:1], traced["c"][:-1]])
        near(traced["c"], traced["f"] * before + traced["i"] * traced["g"])
        near(traced["h"], traced["o"] * np.tanh(traced["c"]))
    if name == "gru":
        before = np.vstack([0 * traced["h"][:1], traced["h"][:-1]])
        near(traced["h"], (1 - traced["z"]) * traced["n"] + traced["z"] * before)


def test_gates_of_one_hot_words_are_rounded_as_the_verdict_is():
    predictor = make_predictor(**{"model.inputs": "one_hot", "model.dtype": "bfloat16"})
    trained, text = predictor.trained, TEXTS[1]
    cell = CELLS["lstm"](trained.config.model.hidden_size)
    layer = trained.params["layers"]["layer_0"]["forward"]
    half = jax.tree.map(lambda w: w.astype(jnp.bfloat16), layer)
    xs = jnp.asarray(ids_of(predictor, text))[:, None]
    _, ys = unroll(cell, half, xs, implementation="scan")
    traced = read(predictor, text).gates["h"].astype(jnp.bfloat16)
    np.testing.assert_array_equal(traced, ys[:, 0])


def test_a_reading_names_unknown_words_and_line_breaks(predictor):
    words = read(predictor, "A zebra<br />great").words
    assert words == ["A", "(zebra)", "\N{RETURN SYMBOL}", "great"]


def test_explanations_come_back_from_their_file(predictor, tmp_path):
    examples = {
        "short": {"text": TEXTS[0]},
        "mistakes": [{"text": text} for text in TEXTS[1:]],
    }
    found = explain(predictor, examples)
    save_explanations(found, tmp_path / "explanations.npz")
    again = load_explanations(tmp_path / "explanations.npz")
    assert again.short.words == found.short.words
    np.testing.assert_array_equal(again.word_logits, found.word_logits)
    assert again.short.gates.keys() == found.short.gates.keys()
    for ours, theirs in zip(again.mistakes, found.mistakes, strict=True):
        np.testing.assert_array_equal(ours.effects, theirs.effects)
        np.testing.assert_array_equal(ours.spans, theirs.spans)


def test_a_break_that_the_vocabulary_has_not_is_a_break():
    """Learned from texts without one: the token is unknown, and covers no markup."""
    tokenizer = train_tokenizer(["good film > bad"], 50)
    text = "nice<br /><br  > food \n\ngood > film"
    encoding = tokenizer.encode(text)
    expected = ["(nice)", "\N{RETURN SYMBOL}", "(food)", "\N{RETURN SYMBOL}"]
    assert _words(text, encoding) == [*expected, "good", ">", "film"]
    assert [stop - start for start, stop in _spans(text, encoding)][1] == 0
