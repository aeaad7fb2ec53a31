"""The numbers of an evaluation, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from lstm_jax.evaluation import evaluate, to_json
from lstm_jax.measures import probabilities, scores


def make(num_classes, num_logits, count=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=count)
    logits = rng.normal(size=(count, num_logits)).astype(np.float32)
    logits[:, -1] += labels == num_classes - 1
    return logits, labels


@pytest.mark.parametrize(("num_classes", "num_logits"), [(2, 1), (2, 2), (4, 4)])
def test_the_numbers_are_those_of_scikit_learn(num_classes, num_logits):
    logits, labels = make(num_classes, num_logits)
    found, chance = evaluate(logits, labels), probabilities(logits)
    said = scores(logits).argmax(axis=1)
    assert found.count == 200
    assert found.loss == pytest.approx(metrics.log_loss(labels, chance))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, said))
    assert found.confusion.tolist() == metrics.confusion_matrix(labels, said).tolist()
    many = num_classes > 2
    average = "macro" if many else "binary"
    assert found.f1 == pytest.approx(metrics.f1_score(labels, said, average=average))
    one_hot = np.eye(num_classes)[labels]
    brier = ((chance - one_hot) ** 2).sum(axis=1).mean()
    assert found.brier == pytest.approx(brier)
    if many:
        columns = zip(one_hot.T, chance.T, strict=True)
        areas = [metrics.roc_auc_score(y, p) for y, p in columns]
        assert found.auc == pytest.approx(np.mean(areas))
    else:
        assert found.auc == pytest.approx(metrics.roc_auc_score(labels, chance[:, 1]))
        assert brier == pytest.approx(
            2 * metrics.brier_score_loss(labels, chance[:, 1])
        )


def test_calibration_by_hand():
    logits = np.log(np.array([[0.25 / 0.75], [0.25 / 0.75], [3.0], [3.0]]))
    found = evaluate(logits.astype(np.float32), np.array([0, 1, 1, 1]))
    # Two bins: 0.25 said and 0.5 true, 0.75 said and 1 true.
    assert found.calibration_error == pytest.approx(0.25)


def test_a_class_that_is_missing():
    logits, _ = make(3, 3)
    found = evaluate(logits, np.zeros(200, int))
    assert found.auc is None
    # Class 0, true of all, and those that are said of some.
    said = logits.argmax(axis=1)
    expected = metrics.f1_score(np.zeros(200), said, average="macro", zero_division=0)
    assert found.f1 == pytest.approx(expected)
    assert to_json(found, ("a", "b", "c"))["confusion"][0] == [
        int((said == k).sum()) for k in range(3)
    ]
