"""The network of ``configs/lstm.py`` alone, without n-grams.

    python train.py --config configs/lstm_words.py

88.48 % on test (mean of three seeds), in 4 minutes of two cores.
"""

from ml_collections import ConfigDict

from lstm_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The settings."""
    config = default_config()
    config.name = "lstm_words"
    config.data.vocab_size = 30_000
    config.model.embedding_size = 64
    config.model.hidden_size = 64
    config.model.word_dropout_rate = 0.2
    config.model.embedding_dropout_rate = 0.3
    config.model.head_dropout_rate = 0.5
    config.optim.learning_rate = 3e-3
    config.optim.warmup_fraction = 0.15
    config.optim.ema_decay = 0.995
    config.train.epochs = 4
    config.train.batch_size = 64
    return config
