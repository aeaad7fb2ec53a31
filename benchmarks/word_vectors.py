"""Word vectors in the text format of GloVe, learned from the reviews themselves.

    python benchmarks/word_vectors.py --output vectors.txt

Skip-gram vectors (gensim, the ``[bench]`` extra) of the train reviews of a config and
of the unsupervised reviews: for ``configs/torch_bilstm_glove.py`` where GloVe's own
file is not at hand.  Validation and test reviews are not read, nor copies of them among
the unsupervised ones.  Two threads race, so no two runs give quite the same numbers.
"""

# The extra that holds these libraries is not needed to check types elsewhere.
# pyright: reportMissingImports=false

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags
from gensim.models import Word2Vec
from ml_collections import config_flags
from published_flags import ROOT, read_config, report_mistakes

from lstm_jax.data.config import DataConfig
from lstm_jax.data.sources import load_corpus
from lstm_jax.data.splits import split_validation
from lstm_jax.data.tokenizer import train_tokenizer
from lstm_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    str(ROOT / "configs" / "torch_bilstm_glove.py"),
    "Whose data settings tell the train reviews and how words are cut.",
)
_OUTPUT = flags.DEFINE_string("output", "vectors.txt", "The file to write.")
_SIZE = flags.DEFINE_integer("size", None, "Of a vector; by default the config's.")

_MIN_COUNT = 5  # rarer words get no vector


def main(argv: list[str]) -> None:
    """Learn the vectors and write them."""
    config = read_config(_CONFIG, argv)
    if config.data.source != "imdb_reviews":
        raise UserError(
            f"data.source: expected imdb_reviews, got {config.data.source!r}"
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    texts = read_texts(config.data)
    model = Word2Vec(
        cut_words(texts, config.data.tokens),
        vector_size=_SIZE.value or config.model.embedding_size,
        min_count=_MIN_COUNT,
        sg=1,
        workers=os.cpu_count() or 1,
        seed=config.seed,
    )
    write_vectors(Path(_OUTPUT.value), model.wv.index_to_key, model.wv.vectors)
    print(f"{len(model.wv)} words of {len(texts)} reviews in {_OUTPUT.value}")


def read_texts(config: DataConfig) -> list[str]:
    """The reviews that the config trains on, then those without a label.

    Of the latter, copies of any labelled review are left out.
    """
    corpus = load_corpus(config, unlabelled=True)
    rows, _ = split_validation(corpus.train, config.validation_fraction)
    return [*(corpus.train.texts[i] for i in rows), *corpus.unlabelled]


def cut_words(texts: list[str], tokens: str) -> list[list[str]]:
    """Cut texts by the rules of the tokenizer, keeping every word there is.

    A line break is no word: it could not stand in a line of the file.

    >>> cut_words(["Don't<br />GO!"], "words")
    [["don't", 'go']]
    >>> cut_words(["Go.<br />"], "words_and_marks")
    [['go', '.']]
    """
    tokenizer = train_tokenizer([], 4, tokens=tokens)
    normal = tokenizer.normalizer.normalize_str
    cut = tokenizer.pre_tokenizer.pre_tokenize_str
    return [
        [word for word, _ in cut(normal(text)) if not word.isspace()] for text in texts
    ]


def write_vectors(path: Path, words: Sequence, vectors: np.ndarray) -> None:
    """Write a word and its numbers a line, without a header."""
    with path.open("w", encoding="utf-8") as file:
        for word, vector in zip(words, vectors, strict=True):
            print(word, *(f"{x:.5f}" for x in vector), file=file)


if __name__ == "__main__":
    sys.exit(report_mistakes(main, sys.argv))
