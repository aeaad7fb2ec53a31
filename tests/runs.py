"""The files of finished runs, made up: nothing is trained."""

import dataclasses
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lstm_jax.data.tokenizer import train_tokenizer
from lstm_jax.explanations import (
    Explanations,
    Occlusion,
    Reading,
    save_explanations,
)
from lstm_jax.plots import load_findings
from lstm_jax.training.config import Config
from lstm_jax.training.predictions import (
    Predictions,
    Split,
    choose_examples,
    save_predictions,
)

NOTICE = "synthetic reviews, not IMDB"
METRICS = [
    {"split": "train", "step": 50, "epoch": 1, "loss": 0.6, "accuracy": 0.7},
    {"split": "val", "step": 70, "epoch": 1, "loss": 0.4, "accuracy": 0.8},
    {"split": "train", "step": 100, "epoch": 2, "loss": 0.3, "accuracy": 0.85},
    {"split": "val", "step": 140, "epoch": 2, "loss": 0.2468, "accuracy": 0.9123},
]
SUMMARY = {
    "config_name": "lstm",
    "dataset": "imdb_reviews",
    "notice": "",
    "validation_by_group": True,
    "counts": {"train": 22_512, "val": 2_488, "test": 25_000},
    "vocab_size": 19_998,
    "num_parameters": 1_346_177,
    "epochs_run": 2,
    "best_epoch": 2,
    "val": {"loss": 0.2468, "accuracy": 0.9123},
    "test": {"loss": 0.2579, "accuracy": 0.9087, "count": 25_000},
    "seconds": {"total": 1812.4, "compile": 31.2, "train": 1701.5},
    "reviews_per_second": 256.6,
    "padding_share": 0.0412,
    "seed": 3,
    "device": "2 x Cray-1",
    "versions": {"python": "3.12.3", "jax": "0.7.2"},
    "commit": "0123456789ab-dirty",
}
SHORT = "It is (zebras) . Not bad at all , they said , and so say I as well".split()
ATTACK = "<script>alert('\"&')</script>"


def write_run(folder, settings=None, **changes):
    """The files that every version of the trainer has left."""
    settings = settings or dataclasses.asdict(Config(seed=3))
    lines = [{"learning_rate": 1e-3, **line} for line in METRICS]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    summary = json.dumps({**SUMMARY, **changes})
    (folder / "summary.json").write_text(summary, encoding="utf-8")


def make_split(count, num_classes, seed):
    """Reviews that are mostly judged right; two classes have one logit."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=count).astype(np.int32)
    logits = rng.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += 1.2
    if num_classes == 2:
        logits = logits[:, 1:] - logits[:, :1]
    lengths = np.exp(rng.normal(5, 0.7, size=count)).astype(np.int32) + 5
    return Split(logits.astype(np.float32), labels, lengths)


def make_predictions(num_classes, *, test=True):
    rng = np.random.default_rng(5)
    counts = np.exp(rng.normal(4, 2, size=300)).astype(np.int64)
    tested = make_split(400, num_classes, seed=1) if test else None
    return Predictions(make_split(300, num_classes, seed=2), tested, counts)


def make_explanations(num_classes, texts):
    """Every word of three letters or more speaks for something."""
    rng = np.random.default_rng(6)
    num_logits = 1 if num_classes == 2 else num_classes

    def logits(count):
        return rng.normal(size=(count, num_logits)).astype(np.float32)

    gates = {letter: np.tanh(rng.normal(size=(len(SHORT), 5))) for letter in "ifgoch"}
    return Explanations(
        word_logits=logits(300),
        short=Reading(SHORT, logits(len(SHORT)), gates),
        mistakes=[Occlusion(s := spans_of(text), logits(len(s))) for text in texts],
    )


def spans_of(text):
    """Words of letters, and all else letter by letter."""
    spans = [m.span() for m in re.finditer(r"\w+|[^\w\s]", text)]
    return np.array(spans, np.int32).reshape(-1, 2)


def write_predictions(folder, num_classes=2, *, text="A film.", test=True, word="word"):
    """What later versions leave beside: predictions, examples, explanations."""
    predictions = make_predictions(num_classes, test=test)
    save_predictions(predictions, folder / "predictions.npz")
    examples = choose_examples(predictions.val, [text] * len(predictions.val.labels))
    (folder / "examples.json").write_text(json.dumps(examples), encoding="utf-8")
    texts = [mistake["text"] for mistake in examples["mistakes"]]
    explanations = make_explanations(num_classes, texts)
    save_explanations(explanations, folder / "explanations.npz")
    words = {"[PAD]": 0, "[UNK]": 1, **{f"{word}{n}": n for n in range(2, 300)}}
    tokenizer = json.loads(train_tokenizer([text], vocab_size=10).to_str())
    tokenizer["model"]["vocab"] = words
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def make_findings(num_classes, *, test=True, **summary):
    """What is read from the files of a run whose reviews are cut to 100 tokens."""
    settings = {"data": {"max_length": 100}}
    names = [f"class {n}" for n in range(num_classes)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_run(folder, settings, **{"label_names": names, **summary})
        write_predictions(folder, num_classes, test=test)
        return load_findings(folder)
