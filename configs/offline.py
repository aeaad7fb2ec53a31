"""A few thousand made-up reviews, to see everything work without a download.

The reviews are written by a grammar (``lstm_jax/data/grammar.py``), not by people:
this is not IMDB, and its numbers say nothing about IMDB.

    python train.py --config configs/offline.py

Expected: over 95 % test accuracy after about a minute on two CPU cores.
"""

from ml_collections import ConfigDict

from lstm_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The settings."""
    config = default_config()
    config.name = "offline"
    config.data.source = "synthetic_reviews"
    config.data.max_length = 200
    config.data.num_buckets = 4
    config.model.embedding_size = 32
    config.model.hidden_size = 64
    config.model.bidirectional = False
    config.model.pooling = "max"
    config.optim.learning_rate = 4e-3
    config.train.epochs = 10
    config.train.batch_size = 64
    return config
