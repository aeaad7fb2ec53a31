"""IMDB."""

from ml_collections import ConfigDict

from lstm_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The settings."""
    return default_config()
