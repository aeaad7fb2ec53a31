"""Linear baselines on the split of IMDB that the networks train on.

    python benchmarks/baselines.py results/baselines.json [GROUPS]

GROUPS is a file as for ``data.validation_groups``.

Bags of words and of n-grams with logistic regression (scikit-learn, the ``[test]``
extra): what a network has to beat to be worth its time.  They learn from the same
train reviews and are scored on the same validation and test reviews.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from lstm_jax.data.config import DataConfig
from lstm_jax.data.corpus import Reviews
from lstm_jax.data.ngrams import log_count_ratios
from lstm_jax.data.sources import load_corpus
from lstm_jax.data.splits import sample_rows, split_validation

_TOKEN = r"\w+(?:'\w+)*|[^\w\s]"


def main(output: Path, groups: str = "") -> None:
    """Fit and score every baseline; write one JSON object."""
    config = DataConfig(validation_groups=groups)
    splits = read_splits(config)
    results, right = {}, {}
    for name in BASELINES:
        started = time.perf_counter()
        val, right[name] = judge(name, *splits)
        seconds = round(time.perf_counter() - started, 1)
        scores = {"val": float(val.mean()), "test": float(right[name].mean())}
        results[name] = scores | {"seconds": seconds}
        print(name, results[name], flush=True)
    output.write_text(json.dumps(results, indent=2) + "\n")
    # Which test reviews each gets right, for comparisons review by review.
    np.savez_compressed(output.with_suffix(".npz"), **right)


def read_splits(config: DataConfig, num_labelled: int = 0) -> list[Reviews]:
    """Train, validation and test reviews, as a network with such settings has them."""
    corpus = load_corpus(config)
    if corpus.test is None:
        raise SystemExit("expected a corpus with a test split")
    train, val = split_validation(corpus.train, config.validation_fraction)
    train = sample_rows(train, num_labelled, "data.num_labelled")
    return [corpus.train.pick(train), corpus.train.pick(val), corpus.test]


def judge(
    name: str, train: Reviews, val: Reviews, test: Reviews
) -> tuple[np.ndarray, np.ndarray]:
    """Learn from ``train``; which validation and which test reviews are right then."""
    features, strength = BASELINES[name]
    texts = [split.texts for split in (train, val, test)]
    matrices = features(texts, train.labels)
    model = LogisticRegression(C=strength, max_iter=200).fit(matrices[0], train.labels)
    return (
        model.predict(matrices[1]) == val.labels,
        model.predict(matrices[2]) == test.labels,
    )


def tfidf(longest: int):
    """TF-IDF of n-grams of 1 up to ``longest`` words."""

    def features(texts: list[list[str]], labels: np.ndarray) -> list:
        del labels
        vectorizer = TfidfVectorizer(
            ngram_range=(1, longest), min_df=2, sublinear_tf=True, token_pattern=_TOKEN
        )
        return [
            vectorizer.fit_transform(texts[0]),
            *map(vectorizer.transform, texts[1:]),
        ]

    return features


def naive_bayes_trigrams(texts: list[list[str]], labels: np.ndarray) -> list:
    """Which n-grams stand in a text, times their log-count ratio."""
    vectorizer = CountVectorizer(
        ngram_range=(1, 3), min_df=2, binary=True, token_pattern=_TOKEN
    )
    train = vectorizer.fit_transform(texts[0])
    inside, outside = (np.asarray(train[labels == k].sum(axis=0))[0] for k in (1, 0))
    ratios = log_count_ratios(inside, outside)
    matrices = [train, *map(vectorizer.transform, texts[1:])]
    return [m.multiply(ratios).tocsr() for m in matrices]


# What is counted of a text, and the inverse strength of the penalty.
BASELINES = {
    "TF-IDF words, logistic regression": (tfidf(1), 4.0),
    "TF-IDF words and bigrams, logistic regression": (tfidf(2), 30.0),
    "NB-weighted trigrams, logistic regression": (naive_bayes_trigrams, 0.1),
}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
