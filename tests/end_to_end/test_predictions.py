"""What a run leaves of its predictions, and a predictor that says the same again."""

import csv
import json

import numpy as np
import pytest

from lstm_jax.data.sources import load_corpus
from lstm_jax.data.splits import split_validation
from lstm_jax.errors import UserError
from lstm_jax.explain_run import explain_run
from lstm_jax.inference import Predictor
from lstm_jax.measures import losses, predicted
from lstm_jax.training.predictions import (
    Split,
    choose_examples,
    load_predictions,
)


@pytest.fixture(scope="module")
def predictions(unbroken):
    return load_predictions(unbroken.folder / "predictions.npz")


@pytest.fixture(scope="module")
def texts(unbroken):
    """The texts of the validation and the test split, read from their files."""
    config = unbroken.config.data
    with open(config.test_file, encoding="utf-8", newline="") as file:
        test = [row["text"] for row in csv.DictReader(file)]
    train = load_corpus(config).train
    _, rows = split_validation(train, config.validation_fraction)
    return {"val": [train.texts[i] for i in rows], "test": test}


def test_the_predictions_give_the_scores_of_the_summary(unbroken, predictions):
    for name in ("val", "test"):
        split, scores = getattr(predictions, name), unbroken.summary[name]
        right = predicted(split.logits) == split.labels
        assert right.mean() == pytest.approx(scores["accuracy"])
        loss = losses(split.logits, split.labels).mean()
        assert loss == pytest.approx(scores["loss"], rel=1e-5)
        assert split.logits.dtype == np.float32
        assert len(split.lengths) == unbroken.summary["counts"][name]


def test_a_predictor_says_what_the_run_said(unbroken, predictions, texts):
    """In batches of other sizes, on other devices: to rounding."""
    predictor = Predictor.from_workdir(unbroken.folder)
    assert predictor.label_names == ("bad", "good")
    for name in ("val", "test"):
        split = getattr(predictions, name)
        found = predictor.logits(texts[name])
        np.testing.assert_allclose(found, split.logits, rtol=1e-5, atol=1e-6)
        tokens = predictor.token_ids(texts[name])
        assert split.lengths.tolist() == [len(ids) for ids in tokens]
    shuffled = np.random.default_rng(0).permutation(len(texts["test"]))
    again = predictor.logits([texts["test"][n] for n in shuffled])
    np.testing.assert_allclose(again, found[shuffled], rtol=1e-6, atol=1e-6)


def test_word_counts_are_those_of_the_train_reviews(unbroken, predictions):
    data = unbroken.run.data
    expected = np.bincount(
        np.concatenate(data.train.token_ids),
        minlength=data.text.tokenizer.get_vocab_size(),
    )
    np.testing.assert_array_equal(predictions.word_counts, expected)


def test_the_examples_are_validation_reviews(unbroken, predictions, texts):
    examples = json.loads((unbroken.folder / "examples.json").read_text())
    val = predictions.val
    wrong = predicted(val.logits) != val.labels
    assert len(examples["mistakes"]) == wrong.sum()
    for example in [*examples["mistakes"], examples["short"]]:
        row = example["row"]
        assert example["text"] == texts["val"][row]
        assert example["label"] == val.labels[row]
        assert np.float32(example["logits"]).tolist() == val.logits[row].tolist()


def make_split(lengths, margins):
    """Reviews of class 1 that are judged right where the margin is above 0."""
    logits = np.array(margins, np.float32)[:, None]
    return Split(logits, np.ones(len(margins), np.int32), np.array(lengths, np.int32))


def test_the_worst_twenty_mistakes_come_first():
    margins = [1.0, *np.linspace(-3, -1, 25).tolist(), 2.0]
    split = make_split([30] * 27, margins)
    examples = choose_examples(split, [f"text {n}" for n in range(27)])
    assert [m["row"] for m in examples["mistakes"]] == list(range(1, 21))


@pytest.mark.parametrize(
    ("lengths", "row"), [([30, 19, 20, 25, 20], 2), ([5, 19, 3, 19, 1], 1)]
)
def test_the_short_review_has_twenty_tokens_or_is_the_longest(lengths, row):
    split = make_split(lengths, [1.0] * 5)
    assert choose_examples(split, list("abcde"))["short"]["row"] == row


def test_a_run_is_explained_once(unbroken, monkeypatch):
    found = explain_run(unbroken.folder)
    assert len(found.short.words) == len(found.short.logits)
    monkeypatch.setattr(Predictor, "from_workdir", None)
    again = explain_run(unbroken.folder)
    np.testing.assert_array_equal(again.word_logits, found.word_logits)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="got no config.json"):
        Predictor.from_workdir(tmp_path)
