"""The best LSTM from labelled reviews alone, without n-grams.

    python train.py --config configs/lm_labelled.py
    python train.py --config configs/lstm_best.py

The first command learns to foretell the words of the labelled train reviews, but those
held out; the second begins there, as ``configs/finetune.py`` does, and reads whole
reviews.  92.4 % on test (mean of three seeds, each from a language model of its
own), in 41 minutes of two cores after the language model's 97; in two and a half
hours on a slower CPU, in float32.
"""

from ml_collections import ConfigDict

from configs import finetune


def get_config() -> ConfigDict:
    """The settings."""
    config = finetune.get_config()
    config.name = "lstm_best"
    config.model.pretrained = "runs/lm_labelled"
    config.model.word_dropout_rate = 0.1
    config.model.embedding_dropout_rate = 0.4
    config.model.head_dropout_rate = 0.5
    config.train.epochs = 3
    return config
