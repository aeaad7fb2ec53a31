"""The shift that hurts most: against finite differences and random shifts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.data.batches import NO_LABEL, Batch
from lstm_jax.models.build import build_classifier
from lstm_jax.models.config import ModelConfig
from lstm_jax.training.adversarial import adversarial_loss, worst_shift
from lstm_jax.training.losses import metric_sums, soft_cross_entropy
from lstm_jax.training.state import create_state
from lstm_jax.training.steps import logits_of_parts, make_train_step

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
    for row, length in enumerate(LENGTHS):
        real = table[batch.token_ids[row, :length]]
        expected = 0.02 * np.sqrt((real**2).mean())
        norm = np.sqrt((np.asarray(shift)[:, row] ** 2).sum())
        np.testing.assert_allclose(norm, expected, rtol=1e-5)
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


def test_a_review_without_words_is_not_shifted_and_nothing_breaks():
    slope, vectors = np.random.default_rng(4).normal(size=(2, 4, 3, 2))
    slope[:, 1], lengths = 0, np.array([4, 0, 2])
    shift = np.asarray(worst_shift(slope, vectors, lengths, 5.0))
    assert np.isfinite(shift).all() and (shift[:, 1] == 0).all()
    assert (shift[:, 0] != 0).any()


@pytest.mark.parametrize("steepness", [1e-34, 1e-25, 1e-10, 1.0, 1e18, 1e30])
def test_the_shift_is_as_long_however_steep_it_is(steepness):
    rng = np.random.default_rng(5)
    slope, vectors = rng.normal(size=(2, 4, 1, 3)).astype(np.float32)
    lengths = np.array([4])
    found = worst_shift(np.float32(steepness) * slope, vectors, lengths, 5.0)
    expected = worst_shift(slope, vectors, lengths, 5.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_parts_of_a_batch_move_as_the_whole_and_fillers_do_not_count(
    model, params, batch
):
    """Six rows in two parts: one without a label, the other with two fillers."""
    rows = np.array([0, 1, 2, -1, 0, -1])
    fillers = rows < 0
    wider = Batch(
        *(np.where(fillers[(...,) + (None,) * (x.ndim - 1)], 0, x[rows]) for x in batch)
    )
    known = np.arange(6) == 1  # of the part with the fillers
    weights = known.astype(np.float32)
    labels = np.where(known | fillers, wider.labels, NO_LABEL)
    wider = wider._replace(weights=weights, labels=labels)
    loss = adversarial_loss(model, 0.5)
    moved = []
    for parts in (1, 2):
        step = make_train_step(
            loss, optax.sgd(0.1), jax.random.key(0), accumulation_steps=parts
        )
        state = create_state(params, optax.sgd(0.1), average=False)
        state, sums = jax.jit(step)(state, wider)
        assert float(sums.count) == weights.sum() and np.isfinite(float(sums.loss))
        moved.append(state.params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *moved
    )


def test_the_loss_of_a_step_is_that_of_words_shifted_and_not(model, params, batch):
    norm, key = 0.5, jax.random.key(3)
    loss = adversarial_loss(model, norm)
    gradient_of = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (total, told), gradient = gradient_of(params, (), batch, key)
    plain = losses(model, params, batch, 0.0).sum()
    vectors = params["embedding"]["embedding"][batch.token_ids.T]
    shift = worst_shift(slope_of(model, params, batch), vectors, LENGTHS, norm)
    shifted = losses(model, params, batch, shift).sum()
    np.testing.assert_allclose(total, plain + shifted, rtol=1e-5)
    np.testing.assert_allclose(told.sums.loss, plain, rtol=1e-5)
    # The gradient is that of both at a shift that is held.

    def both(params):
        return sum(losses(model, params, batch, s).sum() for s in (0.0, shift))

    held = jax.jit(jax.grad(both))(params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient,
        held,
    )


@pytest.fixture(scope="module")
def mixed(batch):
    """A model with dropout and n-grams, its parameters, and a batch with n-grams."""
    model = build_classifier(
        ModelConfig(
            embedding_size=5,
            hidden_size=4,
            bidirectional=False,
            head_dropout_rate=0.5,
            embedding_dropout_rate=0.3,
            ngram_share=0.4,
        ),
        vocab_size=VOCAB,
        num_classes=2,
        num_ngrams=7,
    )
    rng = np.random.default_rng(6)
    batch = batch._replace(
        ngram_ids=rng.integers(0, 7, (3, 4)).astype(np.int32),
        ngram_values=rng.normal(size=(3, 4, 1)).astype(np.float32),
    )
    params = model.init(jax.random.key(1), *batch.inputs)["params"]
    return model, jax.tree.map(lambda x: 2.0 * x + 0.1, params), batch


def test_the_same_is_dropped_of_shifted_words_and_ngrams_are_learned_once(mixed):
    model, params, batch = mixed
    norm, key = 0.5, jax.random.key(3)

    def parts(params, shift):
        return logits_of_parts(model, params, batch, key, shift)

    def network(params, shift):
        return metric_sums(parts(params, shift)[0], batch.labels, batch.weights).loss

    vectors = params["embedding"]["embedding"][batch.token_ids.T]
    slope = jax.grad(network, argnums=1)(params, jnp.zeros_like(vectors))
    shift = worst_shift(slope, vectors, LENGTHS, norm)

    def by_hand(params):
        """The network on both, the n-grams once."""
        ngrams = metric_sums(parts(params, 0.0)[1], batch.labels, batch.weights).loss
        return network(params, 0.0) + ngrams + network(params, shift)

    loss = jax.value_and_grad(adversarial_loss(model, norm), has_aux=True)
    (total, told), gradient = jax.jit(loss)(params, (), batch, key)
    expected, slope = jax.jit(jax.value_and_grad(by_hand))(params)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient,
        slope,
    )
    together = model.combine(parts(params, 0.0))
    sums = metric_sums(together, batch.labels, batch.weights)
    np.testing.assert_allclose(told.sums.loss, sums.loss, rtol=1e-5)


def logits_of(model, params, batch, shift=0.0):
    return model.apply(
        {"params": params}, batch.token_ids, batch.lengths, shift=shift, method="parts"
    )[0]


def test_the_entropy_finds_the_direction_that_no_other_beats(model, params, batch):
    """Of all shifts of a review without a label, none makes it say more else."""
    vectors = params["embedding"]["embedding"][batch.token_ids.T]
    said = logits_of(model, params, batch)

    @jax.jit
    def change(shift):
        """What the network says of shifted words, against what it says of them."""
        shifted = logits_of(model, params, batch, shift)
        return soft_cross_entropy(shifted, said) - soft_cross_entropy(said, said)

    @jax.grad
    def slope(shift):
        logits = logits_of(model, params, batch, shift)
        return soft_cross_entropy(logits, logits).sum()

    shift = worst_shift(slope(jnp.zeros_like(vectors)), vectors, LENGTHS, 0.02)
    norms = np.sqrt((np.asarray(shift) ** 2).sum(axis=(0, 2), keepdims=True))
    rng, worst = np.random.default_rng(5), change(shift)
    assert (worst > 0).all()
    for _ in range(20):
        other = rng.normal(size=shift.shape)
        other *= norms / np.sqrt((other**2).sum(axis=(0, 2), keepdims=True))
        assert (worst > change(other)).all()


def test_reviews_without_a_label_add_entropy_and_what_a_shift_changes(
    model, params, batch
):
    labels = np.array([1, NO_LABEL, NO_LABEL], np.int32)
    mixed = batch._replace(labels=labels, weights=(labels >= 0).astype(np.float32))
    norm, key = 0.5, jax.random.key(3)
    loss = jax.jit(jax.value_and_grad(adversarial_loss(model, norm), has_aux=True))
    (total, told), gradient = loss(params, (), mixed, key)
    vectors = params["embedding"]["embedding"][batch.token_ids.T]
    said = logits_of(model, params, batch)

    def plain(params, shift):
        """Labelled: its loss; the others: how unsure the network is."""
        logits = logits_of(model, params, batch, shift)
        known = metric_sums(logits[:1], labels[:1], np.ones(1)).loss
        return known + soft_cross_entropy(logits, logits)[1:].sum()

    slope = jax.grad(plain, argnums=1)(params, jnp.zeros_like(vectors))
    shift = worst_shift(slope, vectors, LENGTHS, norm)

    def both(params):
        """The loss of words shifted and not, at a shift that is held."""
        shifted = logits_of(model, params, batch, shift)
        known = metric_sums(shifted[:1], labels[:1], np.ones(1)).loss
        same = soft_cross_entropy(shifted, said)[1:].sum()
        return plain(params, 0.0) + known + same

    expected, held = jax.jit(jax.value_and_grad(both))(params)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert (float(told.sums.count), float(told.over)) == (1, 3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient,
        held,
    )


def test_a_batch_without_any_label_is_learned_from(model, params, batch):
    """By the mean of what it costs to be unsure, and to change its mind."""
    labels = np.full(3, NO_LABEL, np.int32)
    none = batch._replace(labels=labels, weights=np.zeros(3, np.float32))
    loss, key = adversarial_loss(model, 0.5), jax.random.key(0)
    step = make_train_step(loss, optax.sgd(0.1), key)
    state = create_state(params, optax.sgd(0.1), average=False)
    moved, sums = jax.jit(step)(state, none)
    assert float(sums.count) == 0 and float(sums.loss) == 0
    gradient, _ = jax.jit(jax.grad(loss, has_aux=True))(params, (), none, key)
    assert float(optax.tree.norm(gradient)) > 1e-3
    jax.tree.map(
        lambda a, b, g: np.testing.assert_allclose(a, b - 0.1 / 3 * g, atol=1e-6),
        moved.params,
        params,
        gradient,
    )
