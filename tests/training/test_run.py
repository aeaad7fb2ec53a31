import dataclasses

import numpy as np
import pytest

from lstm_jax.data.config import DataConfig
from lstm_jax.data.datasets import load_datasets
from lstm_jax.errors import UserError
from lstm_jax.training.progress import Progress
from lstm_jax.training.run import _check_data


def datasets(path, labels, words="good bad"):
    rng = np.random.default_rng(0)
    rows = [f"{rng.choice(words.split())} film {i},{k}" for i, k in enumerate(labels)]
    path.write_text("\n".join(["text,label", *rows]))
    config = DataConfig(source="files", train_file=str(path), validation_fraction=0.3)
    return load_datasets(config, num_logits=1, text_dir=path.parent / "nothing")


def test_other_reviews_or_labels_have_another_digest(tmp_path):
    path, labels = tmp_path / "reviews.csv", [0, 1] * 10
    digest = datasets(path, labels).digest()
    assert datasets(path, labels).digest() == digest
    assert datasets(path, [1, *labels[1:]]).digest() != digest
    assert datasets(path, labels, words="so la").digest() != digest


def test_a_run_does_not_go_on_with_other_reviews():
    saved = Progress(data="0123", step=5)
    _check_data(saved, dataclasses.replace(saved, step=0))
    with pytest.raises(UserError, match=r"the reviews .* \(0123\), got others"):
        _check_data(saved, Progress(data="4567"))


def test_another_vocabulary_has_another_digest(tmp_path):
    """A tokenizer.json that was damaged gives other numbers, and as many."""
    data = datasets(tmp_path / "reviews.csv", [0, 1] * 10)
    ids = [data.train.token_ids[0][::-1], *data.train.token_ids[1:]]
    assert data.train.token_ids[0][0] != ids[0][0]
    other = data._replace(train=data.train._replace(token_ids=ids))
    assert other.digest() != data.digest()
