"""A language model of movie reviews, labelled and unlabelled.

    python train.py --config configs/lm.py

Reads the train reviews, but those held out for validation, and the unlabelled ones, but
641 that are copies of labelled ones; of the test split no more than the 123 reviews
that also stand among the labelled train reviews.  Its perplexity on the validation
reviews was 72.5 after the six epochs (``results/language_models``; it had read the
copies), which take 2.8 hours of two cores at 12,000 words a second, validation apart.

Where /proc/cpuinfo has no avx512_bf16, --config.model.dtype=float32 is faster.
"""

from ml_collections import ConfigDict

from lstm_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The settings."""
    config = default_config()
    config.name = "lm"
    config.task = "language_model"
    config.data.vocab_size = 30_000
    config.model.bidirectional = False
    config.model.embedding_size = 256
    config.model.hidden_size = 512
    config.model.dtype = "bfloat16"
    config.model.embedding_dropout_rate = 0.1
    config.model.head_dropout_rate = 0.1
    config.language_model.weight_dropout_rate = 0.1
    config.language_model.vocabulary_dropout_rate = 0.05
    config.language_model.window = 64
    config.optim.learning_rate = 3e-3
    config.optim.warmup_fraction = 0.1
    config.optim.clip_norm = 0.5
    config.train.batch_size = 64
    config.train.eval_batch_size = 64
    config.train.epochs = 6
    config.train.checkpoint_every_steps = 500
    return config
