"""The shift that hurts most: against finite differences and random shifts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.data.batches import Batch
from lstm_jax.models.build import build_classifier
from lstm_jax.models.config import ModelConfig
from lstm_jax.training.adversarial import worst_shift
from lstm_jax.training.losses import metric_sums
from lstm_jax.training.steps import classifier_loss

LENGTHS = np.array([6, 1, 4], np.int32)
VOCAB, WIDTH = 12, 6


@pytest.fixture(scope="module", params=["backward", "both"])
def model(request):
    return build_classifier(
        ModelConfig(
            embedding_size=5,
            hidden_size=4,
            bidirectional=request.param == "both",
            backward=request.param == "backward",
            pooling="last_mean_max",
        ),
        vocab_size=VOCAB,
        num_classes=2,
    )


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    real = np.arange(WIDTH) < LENGTHS[:, None]
    token_ids = np.where(real, rng.integers(2, VOCAB, (3, WIDTH)), 0)
    return Batch(
        token_ids=token_ids.astype(np.int32),
        lengths=LENGTHS,
        labels=np.array([1, 0, 1], np.int32),
        weights=np.ones(3, np.float32),
        ngram_ids=np.zeros((3, 1), np.int32),
        ngram_values=np.zeros((3, 1, 1), np.float32),
    )


@pytest.fixture(scope="module")
def params(model, batch):
    inputs = batch.token_ids, batch.lengths
    return jax.tree.map(
        lambda x: 2.0 * x, model.init(jax.random.key(1), *inputs)["params"]
    )


@partial(jax.jit, static_argnums=0)
def losses(model, params, batch, shift):
    """The loss of each review, with its words shifted."""
    parts = model.apply(
        {"params": params}, batch.token_ids, batch.lengths, shift=shift, method="parts"
    )
    one = jax.vmap(lambda row, label: metric_sums(row[None], label[None], 1.0).loss)
    return one(parts[0], jnp.asarray(batch.labels))


def slope_of(model, params, batch):
    """The gradient of the losses by the vectors of the words."""
    vectors = params["embedding"]["embedding"][batch.token_ids.T]
    zero = jnp.zeros_like(vectors)
    return jax.grad(lambda shift: losses(model, params, batch, shift).sum())(zero)


@pytest.fixture(scope="module")
def shift(model, params, batch):
    vectors = params["embedding"]["embedding"][batch.token_ids.T]
    return worst_shift(slope_of(model, params, batch), vectors, LENGTHS, 0.02)


def test_its_length_is_told_in_the_size_of_the_vectors(params, batch, shift):
    table = np.asarray(params["embedding"]["embedding"])
    real = np.concatenate(
        [table[batch.token_ids[b, :n]] for b, n in enumerate(LENGTHS)]
    )
    expected = 0.02 * np.sqrt((real**2).mean())
    norms = np.sqrt((np.asarray(shift) ** 2).sum(axis=(0, 2)))
    np.testing.assert_allclose(norms, expected, rtol=1e-5)
    for row, length in enumerate(LENGTHS):
        assert (np.asarray(shift)[length:, row] == 0).all()


def test_no_other_shift_of_that_length_hurts_more(model, params, batch, shift):
    rng = np.random.default_rng(2)
    worst = losses(model, params, batch, shift)
    norms = np.sqrt((np.asarray(shift) ** 2).sum(axis=(0, 2), keepdims=True))
    assert (worst > losses(model, params, batch, 0.0)).all()
    for _ in range(20):
        other = rng.normal(size=shift.shape)
        other *= norms / np.sqrt((other**2).sum(axis=(0, 2), keepdims=True))
        assert (worst > losses(model, params, batch, other)).all()


def test_where_nothing_hurts_nothing_is_shifted():
    vectors = jnp.asarray(np.random.default_rng(3).normal(size=(4, 2, 3)))
    shift = worst_shift(jnp.zeros_like(vectors), vectors, jnp.array([4, 2]), 5.0)
    np.testing.assert_array_equal(shift, np.zeros_like(shift))


def test_the_loss_of_a_step_is_that_of_words_shifted_and_not(model, params, batch):
    norm, key = 0.5, jax.random.key(3)
    loss = classifier_loss(model, adversarial_norm=norm)
    gradient_of = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (total, (sums, _)), gradient = gradient_of(params, (), batch, key)
    plain = losses(model, params, batch, 0.0).sum()
    vectors = params["embedding"]["embedding"][batch.token_ids.T]
    shift = worst_shift(slope_of(model, params, batch), vectors, LENGTHS, norm)
    shifted = losses(model, params, batch, shift).sum()
    np.testing.assert_allclose(total, plain + shifted, rtol=1e-5)
    np.testing.assert_allclose(sums.loss, plain, rtol=1e-5)
    # The gradient is that of both at a shift that is held.

    def both(params):
        return sum(losses(model, params, batch, s).sum() for s in (0.0, shift))

    held = jax.jit(jax.grad(both))(params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient,
        held,
    )
