"""A Keras tutorial: the last 200 words, one small LSTM, early stopping.

    python train.py --config configs/keras_lstm_200.py

Its settings: 10,000 words, embedding 64, LSTM 32, the last output, one logit; Adam,
batches of 128; up to 10 epochs, stopping three after the best validation loss, a fifth
of the train reviews held out.  It publishes no figure; this has 86.61 % on test (mean
of six seeds).
"""

from ml_collections import ConfigDict

from lstm_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The settings."""
    config = default_config()
    config.name = "keras_lstm_200"
    config.data.tokens = "words"
    config.data.vocab_size = 10_000
    config.data.max_length = 200
    config.data.truncate = "tail"
    config.data.num_buckets = 1  # batches of all lengths, as in Keras
    config.data.validation_fraction = 0.2
    config.model.embedding_size = 64
    config.model.embedding_stddev = 0.029  # Keras draws from -0.05 to 0.05
    config.model.gates_drawn = "together"
    config.model.hidden_size = 32
    config.model.bidirectional = False
    config.model.pooling = "last"
    config.optim.optimizer = "adam"
    config.optim.learning_rate = 1e-3
    config.optim.schedule = "constant"
    config.optim.clip_norm = 0.0
    config.train.epochs = 10
    config.train.batch_size = 128
    config.train.monitor = "loss"
    config.train.patience = 3
    return config
