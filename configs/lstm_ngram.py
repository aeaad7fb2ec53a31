"""``configs/lstm_best.py`` with naive-Bayes weighted n-grams beside the network.

    python train.py --config configs/lm_labelled.py
    python train.py --config configs/lstm_ngram.py

Labels only, too.  Each part is trained by its own loss; their logits are mixed.  93.3 %
on test (mean of three seeds, each from a language model of its own), in 53 minutes of
two cores, some of them halted, after the language model's 97; in 4.3 hours on a slower
CPU, in float32.
"""

from ml_collections import ConfigDict

from configs import lstm_best


def get_config() -> ConfigDict:
    """The settings."""
    config = lstm_best.get_config()
    config.name = "lstm_ngram"
    config.data.ngram_order = 3
    config.model.ngram_share = 0.5
    return config
