"""The classifier of ``configs/finetune_large.py``, from the last word to the first.

    python train.py --config configs/lm_large_backward.py
    python train.py --config configs/finetune_large_backward.py

To be averaged with the one that reads forward: 94.94 % on test (mean of two seeds).

    lstm-jax predict --workdir runs/finetune_large \
        --workdir runs/finetune_large_backward TEXT
"""

from ml_collections import ConfigDict

from configs import finetune_large


def get_config() -> ConfigDict:
    """The settings."""
    config = finetune_large.get_config()
    config.name = "finetune_large_backward"
    config.model.pretrained = "runs/lm_large_backward"
    config.model.backward = True
    return config
