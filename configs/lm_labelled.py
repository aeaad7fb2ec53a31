"""The language model of ``configs/lm.py``, of the labelled train reviews alone.

    python train.py --config configs/lm_labelled.py

For ``configs/lstm_best.py`` and ``lstm_ngram.py``, which learn from labelled reviews
and nothing else.  A
third of the text is read more often, and more of the network is left out at each step.
Its perplexity was 94.8 after the eight epochs.
"""

from ml_collections import ConfigDict

from configs import lm


def get_config() -> ConfigDict:
    """The settings."""
    config = lm.get_config()
    config.name = "lm_labelled"
    config.language_model.unlabelled = False
    config.model.embedding_dropout_rate = 0.2
    config.model.head_dropout_rate = 0.25
    config.language_model.weight_dropout_rate = 0.3
    config.language_model.vocabulary_dropout_rate = 0.1
    config.train.epochs = 8
    return config
