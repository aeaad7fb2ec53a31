"""Several models asked as one."""

import numpy as np
import pytest
from trained import TEXTS, make_predictor, make_trained

from lstm_jax import Ensemble, Predictor
from lstm_jax.errors import UserError

SMALL = {"model.cell": "rnn", "model.bidirectional": False}


@pytest.mark.parametrize("num_logits", [1, 0], ids=["two classes", "three classes"])
def test_it_gives_the_mean_of_the_probabilities(num_logits):
    settings = {**SMALL, "model.num_logits": num_logits}
    one = make_predictor(**settings)
    other = make_predictor(**settings, **{"data.vocab_size": 12, "data.max_length": 9})
    both = Ensemble([one, other])
    chances = [each.probabilities(TEXTS) for each in (one, other)]
    assert np.abs(chances[0] - chances[1]).max() > 0.01
    mean = np.mean(chances, axis=0)
    np.testing.assert_allclose(both.probabilities(TEXTS), mean, rtol=1e-12)
    np.testing.assert_array_equal(both.predict(TEXTS), mean.argmax(axis=1))
    assert both.logits(TEXTS).shape == (len(TEXTS), num_logits or 3)
    assert both.label_names == one.label_names


def test_of_one_it_is_that_one():
    one = make_predictor(**SMALL)
    found = Ensemble([one]).logits(TEXTS)
    np.testing.assert_allclose(found, one.logits(TEXTS), rtol=1e-6)


def test_models_of_other_classes_are_refused():
    trained = make_trained(**SMALL)
    about = trained.about._replace(label_names=("good", "bad"))
    other = Predictor(trained._replace(about=about).loaded())
    with pytest.raises(UserError, match="got bad, good and good, bad"):
        Ensemble([Predictor(trained.loaded()), other])
    with pytest.raises(UserError, match="one model or more, got none"):
        Ensemble([])
