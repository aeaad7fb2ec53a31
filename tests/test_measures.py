"""The measures against scikit-learn and SciPy, on random logits with ties."""

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from lstm_jax import measures


def random_split(num_logits, count=300, seed=0):
    """Logits with many ties, and labels that they say something about."""
    rng = np.random.default_rng(seed)
    num_classes = max(2, num_logits)
    labels = rng.integers(num_classes, size=count)
    logits = rng.normal(size=(count, num_logits)).round(1)
    if num_logits == 1:
        logits[:, 0] += labels - 0.5
    else:
        logits[np.arange(count), labels] += 1
    return logits.astype(np.float32), labels.astype(np.int32)


SPLITS = [random_split(k, seed=k) for k in (1, 2, 3, 7)]
IDS = ["one logit", "two logits", "three classes", "seven classes"]
every_split = pytest.mark.parametrize(("logits", "labels"), SPLITS, ids=IDS)


@every_split
def test_probabilities_and_losses(logits, labels):
    wide = np.hstack([0 * logits, logits]) if logits.shape[1] == 1 else logits
    expected = log_softmax(wide.astype(float), axis=1)
    found = measures.probabilities(logits)
    np.testing.assert_allclose(found, np.exp(expected), rtol=1e-12)
    rows = np.arange(len(labels))
    found = measures.losses(logits, labels)
    np.testing.assert_allclose(found, -expected[rows, labels], rtol=1e-10)
    for label in range(wide.shape[1]):
        chance = np.exp(expected[:, label])
        log_odds = np.log(chance / (1 - chance))
        found = measures.log_odds(logits, label)
        np.testing.assert_allclose(found, log_odds, rtol=1e-7, atol=1e-9)


@every_split
def test_confusion(logits, labels):
    said, size = measures.predicted(logits), max(2, logits.shape[1])
    expected = metrics.confusion_matrix(labels, said, labels=range(size))
    np.testing.assert_array_equal(measures.confusion(labels, said, size), expected)


@every_split
def test_logits_of_mean_probabilities(logits, labels):
    others = logits[::-1] * 3
    mean = (measures.probabilities(logits) + measures.probabilities(others)) / 2
    found = measures.probabilities(measures.averaged([logits, others]))
    np.testing.assert_allclose(found, mean, rtol=1e-12)


def test_one_logit_and_two_are_averaged_and_sure_models_stay_finite():
    one, two = np.array([[2.0], [-900.0]]), np.array([[0.5, 1.0], [0.0, -800.0]])
    found = measures.averaged([one, two])
    mean = (1 / (1 + np.exp(-2.0)) + 1 / (1 + np.exp(-0.5))) / 2
    expected = [[np.log(mean / (1 - mean))], [-800 - np.log(2)]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_logit_of_zero_is_class_zero_as_in_training():
    assert measures.predicted(np.zeros((1, 1))).tolist() == [0]


@every_split
def test_roc_and_its_area(logits, labels):
    for label in range(max(2, logits.shape[1])):
        score, positive = measures.log_odds(logits, label), labels == label
        curve = measures.roc(positive, score)
        x, y, _ = metrics.roc_curve(positive, score, drop_intermediate=False)
        np.testing.assert_allclose(curve.x, x, atol=1e-12)
        np.testing.assert_allclose(curve.y, y, atol=1e-12)
        assert curve.area == pytest.approx(metrics.roc_auc_score(positive, score))


@every_split
def test_precision_recall_and_its_area(logits, labels):
    for label in range(max(2, logits.shape[1])):
        score, positive = measures.log_odds(logits, label), labels == label
        curve = measures.precision_recall(positive, score)
        y, x, _ = metrics.precision_recall_curve(positive, score)
        # Theirs begins at full recall, and has a point of precision 1 at none.
        np.testing.assert_allclose(curve.x[1:], x[-2::-1], atol=1e-12)
        np.testing.assert_allclose(curve.y[1:], y[-2::-1], atol=1e-12)
        expected = metrics.average_precision_score(positive, score)
        assert curve.area == pytest.approx(expected)


@pytest.mark.parametrize("positive", [np.zeros(4, bool), np.ones(4, bool)])
def test_one_kind_alone_has_no_roc(positive):
    score = np.arange(4.0)
    assert measures.roc(positive, score) is None
    curve = measures.precision_recall(positive, score)
    assert curve is None if not positive.any() else curve.area == 1.0


@every_split
def test_calibration(logits, labels):
    chance, came_true = measures.chances(logits, labels)
    bins = measures.calibration(chance, came_true, 10)
    share, mean = calibration_curve(came_true, chance, n_bins=10)
    np.testing.assert_allclose(bins.share, share, rtol=1e-12)
    np.testing.assert_allclose(bins.mean, mean, rtol=1e-12)
    assert bins.count.sum() == len(labels)
    far = np.abs(share - mean)
    expected = np.average(far, weights=bins.count)
    assert measures.calibration_error(bins) == pytest.approx(expected)


def test_the_event_of_two_classes_is_class_one_and_of_more_to_be_right():
    logits, labels = random_split(1)
    chance, came_true = measures.chances(logits, labels)
    np.testing.assert_allclose(chance, 1 / (1 + np.exp(-logits[:, 0].astype(float))))
    np.testing.assert_array_equal(came_true, labels == 1)
    logits, labels = random_split(3)
    chance, came_true = measures.chances(logits, labels)
    assert chance.min() >= 1 / 3
    np.testing.assert_array_equal(came_true, logits.argmax(axis=1) == labels)


def test_a_sure_chance_is_in_the_last_bin():
    ones = np.ones(3)
    assert measures.calibration(ones, ones.astype(bool), 10).count.tolist() == [3]


def test_the_interval_is_the_one_of_wilson():
    right, count = np.array([0, 3, 17, 20]), np.array([5, 9, 20, 20])
    low, high = measures.interval(right / count, count)
    for k, n, a, b in zip(right.tolist(), count.tolist(), low, high, strict=True):
        expected = binomtest(k, n).proportion_ci(method="wilson")
        assert a == pytest.approx(expected.low, abs=1e-6)
        assert b == pytest.approx(expected.high, abs=1e-6)


@pytest.mark.parametrize("count", [1, 5, 100])
def test_every_length_is_in_one_bin(count):
    lengths = np.random.default_rng(count).integers(1, 50, size=count)
    bins, edges = measures.equal_bins(lengths, 8)
    assert bins.min() == 0 and bins.max() == len(edges) - 2
    for n in range(len(edges) - 1):
        inside = lengths[bins == n]
        assert len(inside) and inside.max() == edges[n + 1]
        assert inside.min() > edges[n] or (n == 0 and inside.min() == edges[0])
