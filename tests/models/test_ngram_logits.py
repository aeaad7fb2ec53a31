import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.models.build import build_classifier, example_inputs
from lstm_jax.models.config import ModelConfig
from lstm_jax.models.ngrams import NGramLogits

SETTINGS = ModelConfig(embedding_size=4, hidden_size=4, ngram_share=0.7)


def random_inputs(num_logits=1, batch=3, steps=5, width=6):
    rng = np.random.default_rng(0)
    return (
        rng.integers(0, 20, (batch, steps)).astype(np.int32),
        rng.integers(1, steps + 1, batch).astype(np.int32),
        rng.integers(0, 30, (batch, width)).astype(np.int32),
        rng.normal(size=(batch, width, num_logits)).astype(np.float32),
    )


@pytest.mark.parametrize("num_logits", [1, 3])
def test_logits_are_the_weighted_sum_of_the_values(num_logits):
    _, _, ids, values = random_inputs(num_logits)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(30, num_logits)).astype(np.float32)
    bias = rng.normal(size=num_logits).astype(np.float32)
    params = {"params": {"weights": weights, "bias": bias}}
    got = NGramLogits(30, num_logits).apply(params, ids, values)
    for row in range(3):
        expected = bias + sum(
            weights[g] * v for g, v in zip(ids[row], values[row], strict=True)
        )
        np.testing.assert_allclose(got[row], expected, rtol=1e-5, atol=1e-5)


def test_the_whole_is_the_mix_of_its_parts():
    model = build_classifier(SETTINGS, vocab_size=20, num_classes=2, num_ngrams=30)
    params = model.init(jax.random.key(0), *example_inputs(model))["params"]
    weights = jax.random.normal(jax.random.key(1), (30, 1))
    params["ngrams"]["weights"] = weights
    inputs = random_inputs()
    network, ngrams = model.apply({"params": params}, *inputs, method="parts")
    assert np.abs(np.asarray(ngrams)).max() > 0.1
    whole = model.apply({"params": params}, *inputs)
    np.testing.assert_allclose(whole, 0.3 * network + 0.7 * ngrams, rtol=1e-5)
    alone = build_classifier(SETTINGS, vocab_size=20, num_classes=2)
    words = {name: value for name, value in params.items() if name != "ngrams"}
    np.testing.assert_array_equal(alone.apply({"params": words}, *inputs), network)


def test_padding_ngrams_say_nothing():
    model = build_classifier(SETTINGS, vocab_size=20, num_classes=2, num_ngrams=30)
    variables = model.init(jax.random.key(0), *example_inputs(model))
    variables["params"]["ngrams"]["weights"] = jnp.asarray(
        np.random.default_rng(2).normal(size=(30, 1)).astype(np.float32)
    )
    tokens, lengths, ids, values = random_inputs()
    padded = (
        np.pad(ids, ((0, 0), (0, 4))),
        np.pad(values, ((0, 0), (0, 4), (0, 0))),
    )
    np.testing.assert_allclose(
        model.apply(variables, tokens, lengths, ids, values),
        model.apply(variables, tokens, lengths, *padded),
        rtol=1e-6,
    )


def test_a_model_with_ngrams_asks_for_them():
    model = build_classifier(SETTINGS, vocab_size=20, num_classes=2, num_ngrams=30)
    variables = model.init(jax.random.key(0), *example_inputs(model))
    with pytest.raises(ValueError, match="ngram_ids, ngram_values: expected arrays"):
        model.apply(variables, *random_inputs()[:2])
