import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.training.losses import (
    cross_entropy,
    metric_sums,
    predict_labels,
    soft_cross_entropy,
)


def random_logits(num_logits, count=17, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(count, num_logits)).astype(np.float32)
    labels = rng.integers(0, max(num_logits, 2), count).astype(np.int32)
    return logits, labels


def losses_by_hand(logits, labels):
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(chances[np.arange(len(labels)), labels])


@pytest.mark.parametrize("num_logits", [1, 2, 5])
def test_cross_entropy_is_minus_the_log_of_the_labels_chance(num_logits):
    logits, labels = random_logits(num_logits)
    losses = cross_entropy(jnp.asarray(logits), labels)
    assert losses.shape == labels.shape
    expected = losses_by_hand(logits, labels)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_logits", [1, 2, 5])
def test_soft_cross_entropy_is_the_mean_over_the_labels_that_may_be(num_logits):
    logits, _ = random_logits(num_logits)
    targets, _ = random_logits(num_logits, seed=4)
    count = max(num_logits, 2)
    each = [np.full(len(logits), label) for label in range(count)]
    chances = [np.exp(-losses_by_hand(targets, labels)) for labels in each]
    losses = [losses_by_hand(logits, labels) for labels in each]
    found = soft_cross_entropy(jnp.asarray(logits), jnp.asarray(targets))
    expected = sum(p * loss for p, loss in zip(chances, losses, strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("num_logits", [1, 3])
def test_cross_entropy_and_its_gradient_stay_finite_far_out(num_logits):
    logits = jnp.array([[1e4] * num_logits, [-1e4] * num_logits]).at[0, 0].set(-1e4)
    labels = np.array([1, 0])

    def loss(logits):
        return cross_entropy(logits, labels).sum()

    value, gradient = jax.value_and_grad(loss)(logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("num_logits", [1, 2, 5])
def test_the_predicted_label_is_the_likeliest(num_logits):
    logits, _ = random_logits(num_logits, seed=1)
    if num_logits == 1:
        expected = (logits[:, 0] > 0).astype(int)
    else:
        expected = logits.argmax(axis=1)
    predicted = predict_labels(jnp.asarray(logits))
    assert predicted.dtype == jnp.int32
    np.testing.assert_array_equal(predicted, expected)


@pytest.mark.parametrize("num_logits", [1, 3])
def test_metric_sums_count_the_weighted_rows_alone(num_logits):
    logits, labels = random_logits(num_logits, seed=2)
    weights = np.random.default_rng(3).integers(0, 2, len(labels)).astype(np.float32)
    sums = metric_sums(jnp.asarray(logits), labels, weights)
    real = weights > 0
    expected = losses_by_hand(logits, labels)[real].sum()
    correct = np.asarray(predict_labels(jnp.asarray(logits))) == labels
    np.testing.assert_allclose(sums.loss, expected, rtol=1e-5)
    assert float(sums.correct) == correct[real].sum()
    assert float(sums.count) == real.sum()
    assert {x.dtype.name for x in sums} == {"float32"}


def test_sums_of_parts_add_up_to_the_sums_of_the_whole():
    logits, labels = random_logits(1, seed=4)
    weights = np.ones(len(labels), np.float32)
    whole = metric_sums(jnp.asarray(logits), labels, weights)
    parts = [
        metric_sums(jnp.asarray(logits[rows]), labels[rows], weights[rows])
        for rows in (slice(0, 6), slice(6, None))
    ]
    for total, *pieces in zip(whole, *parts, strict=True):
        np.testing.assert_allclose(total, sum(map(float, pieces)), rtol=1e-6)
