"""A corpus made ready to train on: split, tokenized, truncated."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from lstm_jax.data.batches import Encoded, bucket_widths
from lstm_jax.data.config import DataConfig
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.sources import load_corpus
from lstm_jax.data.splits import split_validation
from lstm_jax.data.tokenizer import encode, load_tokenizer, train_tokenizer, truncate

logger = logging.getLogger(__name__)


class Datasets(NamedTuple):
    """What a run trains, chooses and reports on.

    Attributes:
      corpus: where it comes from.
      tokenizer: its vocabulary is of the train split alone.
      train: the reviews to learn from.
      val: the reviews to choose on.
      test: the reviews for the last line of the run, or None.
      widths: the lengths that batches are padded to.
    """

    corpus: Corpus
    tokenizer: Tokenizer
    train: Encoded
    val: Encoded
    test: Encoded | None
    widths: np.ndarray


def load_datasets(config: DataConfig, tokenizer_file: Path) -> Datasets:
    """Load, split and tokenize.

    Args:
      config: the settings.
      tokenizer_file: read when it is there (a resumed run).

    Returns:
      The ``Datasets``; nothing is written.
    """
    corpus = load_corpus(config)
    if corpus.train.groups is None:
        logger.warning(
            "Validation is a random split: reviews of one subject may stand on both "
            "sides of it, which flatters a model that memorises. Name a file of groups "
            "in data.validation_groups to hold out whole groups."
        )
    train_rows, val_rows = split_validation(corpus.train, config.validation_fraction)
    train, val = _pick(corpus.train, train_rows), _pick(corpus.train, val_rows)
    if tokenizer_file.exists():
        tokenizer = load_tokenizer(tokenizer_file)
    else:
        tokenizer = train_tokenizer(train.texts, config.vocab_size)
    encoded = encode_reviews(tokenizer, train, config)
    longest = np.array([config.max_length], np.int32)
    widths = bucket_widths(
        np.minimum(np.concatenate([encoded.lengths, longest]), longest),
        config.num_buckets,
    )
    return Datasets(
        corpus=corpus,
        tokenizer=tokenizer,
        train=encoded,
        val=encode_reviews(tokenizer, val, config),
        test=corpus.test and encode_reviews(tokenizer, corpus.test, config),
        widths=widths,
    )


def encode_reviews(
    tokenizer: Tokenizer, reviews: Reviews, config: DataConfig
) -> Encoded:
    """Tokenize and truncate ``reviews``."""
    token_ids = [
        truncate(ids, config.max_length, config.truncate)
        for ids in encode(tokenizer, reviews.texts)
    ]
    lengths = np.array([len(ids) for ids in token_ids], np.int32)
    return Encoded(token_ids, lengths, reviews.labels.astype(np.int32))


def _pick(reviews: Reviews, rows: np.ndarray) -> Reviews:
    texts = [reviews.texts[i] for i in rows]
    return Reviews(texts, reviews.labels[rows])
