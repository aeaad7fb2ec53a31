"""``configs/finetune.py`` with naive-Bayes weighted n-grams beside the network.

    python train.py --config configs/lm.py
    python train.py --config configs/finetune_ngram.py

Each part is trained by its own loss, on the labelled reviews; their logits are mixed.
The share of the n-grams is the one of lowest loss on validation, for runs of
``configs/finetune.py`` and n-grams trained alone.

93.76 % on test (mean of three seeds), in 48 to 70 minutes of one core after the
language model; averaged with ``configs/finetune_ngram_backward.py`` 94.03 %.
"""

from ml_collections import ConfigDict

from configs import finetune


def get_config() -> ConfigDict:
    """The settings."""
    config = finetune.get_config()
    config.name = "finetune_ngram"
    config.data.ngram_order = 3
    config.model.ngram_share = 0.4
    return config
