"""The language model of ``configs/lm.py``, large: for a GPU.

    python train.py --config configs/lm_large.py

Two layers of 1,280, the dropout of AWD-LSTM.  The perplexity on the validation reviews
was 61.3 (``results/language_models``), after eight minutes of an H100 that trained
``configs/lm_large_backward.py`` at the same time; in that run the dropout between the
layers was drawn for each word, and copies of labelled reviews had been read.
"""

from ml_collections import ConfigDict

from configs import lm


def get_config() -> ConfigDict:
    """The settings."""
    config = lm.get_config()
    config.name = "lm_large"
    config.data.vocab_size = 40_000
    config.model.embedding_size = 384
    config.model.hidden_size = 1280
    config.model.num_layers = 2
    config.model.embedding_dropout_rate = 0.15
    config.model.layer_dropout_rate = 0.2
    config.model.head_dropout_rate = 0.15
    config.language_model.weight_dropout_rate = 0.2
    config.language_model.num_sampled = 4096
    config.optim.learning_rate = 2e-3
    config.train.batch_size = 256
    config.train.eval_batch_size = 256
    config.train.epochs = 18
    config.train.checkpoint_every_steps = 0
    return config
