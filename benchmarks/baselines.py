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
from lstm_jax.data.ngrams import log_count_ratios
from lstm_jax.data.sources import load_corpus
from lstm_jax.data.splits import split_validation

_TOKEN = r"\w+(?:'\w+)*|[^\w\s]"


def main(output: Path, groups: str = "") -> None:
    """Fit and score every baseline; write one JSON object."""
    config = DataConfig(validation_groups=groups)
    corpus = load_corpus(config)
    if corpus.test is None:
        raise SystemExit("expected a corpus with a test split")
    train_rows, val_rows = split_validation(corpus.train, config.validation_fraction)
    texts = [
        [corpus.train.texts[i] for i in train_rows],
        [corpus.train.texts[i] for i in val_rows],
        corpus.test.texts,
    ]
    labels = [
        corpus.train.labels[train_rows],
        corpus.train.labels[val_rows],
        corpus.test.labels,
    ]
    results, right = {}, {}
    for name, features, strength in _BASELINES:
        started = time.perf_counter()
        matrices = features(texts, labels[0])
        model = LogisticRegression(C=strength, max_iter=200).fit(matrices[0], labels[0])
        val, test = (model.predict(matrices[i]) == labels[i] for i in (1, 2))
        right[name], (val, test) = test, (float(val.mean()), float(test.mean()))
        seconds = round(time.perf_counter() - started, 1)
        results[name] = {"val": val, "test": test, "seconds": seconds}
        print(name, results[name], flush=True)
    output.write_text(json.dumps(results, indent=2) + "\n")
    # Which test reviews each gets right, for comparisons review by review.
    np.savez_compressed(output.with_suffix(".npz"), **right)


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


_BASELINES = (
    ("TF-IDF words, logistic regression", tfidf(1), 4.0),
    ("TF-IDF words and bigrams, logistic regression", tfidf(2), 30.0),
    ("NB-weighted trigrams, logistic regression", naive_bayes_trigrams, 0.1),
)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
