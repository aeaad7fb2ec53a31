"""The default: a bidirectional LSTM and naive-Bayes weighted n-grams, on IMDB.

    python train.py --config configs/lstm.py

Labels only: learns from the labelled train reviews and nothing else.  The expected
result and time stand in the README's table; the part of the network alone is
``configs/lstm_words.py``.

Chosen on validation reviews; ``results/tried.jsonl`` has what was tried.
"""

from ml_collections import ConfigDict

from configs import lstm_words


def get_config() -> ConfigDict:
    """The settings."""
    config = lstm_words.get_config()
    config.name = "lstm"
    config.data.ngram_order = 3
    config.model.ngram_share = 0.8
    return config
