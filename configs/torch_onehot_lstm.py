"""A PyTorch tutorial: one-hot words straight into an LSTM, without an embedding.

    python train.py --config configs/torch_onehot_lstm.py

Its settings: lower case, 10,000 words, 500 at most, batches of 32 reviews of like
length, LSTM 128, the last output; Adam, 10 epochs.  As written it cannot train: its
log-softmax over one output is always 0.  Here that output is a logit.  It publishes no
figure; this has 86.44 % on test (mean of three seeds).  A one-hot word times a matrix
is a row of the matrix, and is computed as one.
"""

from ml_collections import ConfigDict

from configs import keras_lstm_500


def get_config() -> ConfigDict:
    """The settings."""
    config = keras_lstm_500.get_config()
    config.name = "torch_onehot_lstm"
    config.data.validation_fraction = 0.1
    config.model.gates_drawn = "apart"
    config.model.inputs = "one_hot"
    config.model.embedding_stddev = 0.0
    config.model.hidden_size = 128
    config.optim.optimizer = "adam"
    config.train.batch_size = 32
    return config
