"""A model as a run leaves it, with random parameters: nothing is trained."""

import jax
import numpy as np

from lstm_jax.data.corpus import Reviews
from lstm_jax.data.datasets import learn_text
from lstm_jax.inference import Predictor
from lstm_jax.loaded import About
from lstm_jax.models.build import build_classifier, example_inputs
from lstm_jax.trained import Trained
from lstm_jax.training.config import default_config, from_dict

TEXTS = [
    "A great, great film!<br /><br />It's what they make films for.",
    "Don't go. The plot is awful, and the actors are dull; awful!",
    "great",
    "Zebras.",
    "the the the film is a film of a film and it is what the actors make of it " * 2,
]


def make_trained(**settings):
    """Make one; ``settings`` are such as ``{"model.cell": "gru"}``."""
    config = default_config()
    config.update_from_flattened_dict(
        {
            "data.max_length": 24,
            "data.vocab_size": 20,
            "model.embedding_size": 6,
            "model.hidden_size": 5,
            **settings,
        }
    )
    config = from_dict(config.to_dict())
    num_classes = config.model.num_logits or 3
    labels = np.arange(len(TEXTS)) % max(2, num_classes)
    reviews = Reviews(TEXTS * 2, np.tile(labels, 2).astype(np.int32))
    text = learn_text(reviews, config.data, num_classes)
    model = build_classifier(
        config.model,
        vocab_size=text.tokenizer.get_vocab_size(),
        num_classes=max(2, num_classes),
        num_ngrams=len(text.ngrams.keys),
    )
    params = jax.jit(model.init)(jax.random.key(0), *example_inputs(model))["params"]
    # Larger than they begin: n-grams begin at 0, and say nothing.
    params = jax.tree.map(lambda x: 2 * x + 0.1, params)
    names = ("bad", "good", "mixed")[: max(2, num_classes)]
    about = About(names, config.name, "made_up", "made up")
    return Trained(config, text, model, jax.device_get(params), about)


class Known(Predictor):
    """A predictor whose model can be looked at."""

    def __init__(self, trained, **settings):
        self.trained = trained
        super().__init__(trained.loaded(), **settings)


def make_predictor(*, batch_size=11, **settings):
    """A predictor of one; a batch that is not split over devices compiles faster."""
    return Known(make_trained(**settings), batch_size=batch_size)
