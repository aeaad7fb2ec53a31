"""Random settings: a step is trained, or one line says what is wrong with them."""

import dataclasses
import random

import jax
import numpy as np
import pytest

from lstm_jax.data.batches import make_batch, ngram_width, plan_epoch
from lstm_jax.data.datasets import load_datasets
from lstm_jax.errors import UserError
from lstm_jax.training.classification import make_learner
from lstm_jax.training.config import default_config, from_dict, names
from lstm_jax.training.devices import put_batch

DRAWS = 500
NAMES = names(default_config().to_dict())
# What people type, and what they do not; sizes stay small, or are absurd.
ANYTHING = [
    *(True, False, None, 0, 1, 2, 3, 7, -1, 10**6, 10**12, 2**63, -(10**30)),
    *(0.0, 0.5, 0.99, 1.0, -0.5, 1e-300, 1e30, float("nan"), float("inf")),
    *("", " ", "text", "no/such/file.csv", "a\0b", "é\ud800", "two\nlines", "..", "~"),
    *([], {}, (1, 2), b"bytes"),
]
FITTING = {
    "bool": [True, False],
    "int": [0, 1, 2, 3, 5, 8],
    "float": [0.0, 0.1, 0.5, 0.9, 1.0, 3.0],
    "str": [
        *("adam", "adamw", "rmsprop", "sgd", "constant", "cosine", "one_cycle"),
        *("loss", "accuracy", "stop", "skip", "continue", "head", "tail", "head_tail"),
        *("words", "words_and_marks", "embedding", "one_hot", "lstm", "gru", "rnn"),
        *("mean_max", "last", "mean", "max", "float32", "bfloat16"),
        *("auto", "scan", "fused", "text", "label", "film"),
    ],
}


def draw(rng):
    """One to three settings with values, most of them of the right kind."""
    drawn = {}
    for name in rng.sample(NAMES, rng.randint(1, 3)):
        default = dict(_flat(default_config().to_dict()))[name]
        fitting = FITTING[type(default).__name__]
        drawn[name] = rng.choice(fitting if rng.random() < 0.7 else ANYTHING)
    if rng.random() < 0.03:
        drawn[rng.choice(NAMES) + "x"] = 1
    return drawn


def _flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def changed(base, drawn):
    settings = dataclasses.asdict(base)
    for name, value in drawn.items():
        *groups, last = name.split(".")
        place = settings
        for group in groups:
            place = place[group]
        place[last] = value
    return settings


def make_config(base, drawn):
    """The config, or None where a line refuses it."""
    try:
        return from_dict(changed(base, drawn))
    except UserError as error:
        message = str(error)
        assert "\n" not in message and len(message) < 2000, (drawn, message)
        assert "expected" in message and "got" in message or "no such" in message
        assert any(name in message for name in drawn), (drawn, message)
        return None


def train_a_step(config, folder):
    """Take one step, or return the line that says why it cannot be."""
    try:
        data = load_datasets(
            config.data, num_logits=config.model.num_logits, text_dir=folder
        )
        learner = make_learner(config, data)
    except UserError as error:
        assert "\n" not in str(error)
        return str(error)
    train, data_of = config.train, data.train
    plan = plan_epoch(
        data_of.lengths, data.widths, train.batch_size, seed=config.seed, epoch=0
    )
    width = int(plan.widths[0])
    ngrams = ngram_width(width, config.data.max_length, data.text.ngrams.order)
    batch = make_batch(data_of, plan.rows[0], width, ngrams)
    state, sums = learner.train_step(
        learner.first_state, put_batch(learner.mesh, batch)
    )
    assert int(state.step) == 1 and float(sums.count) > 0
    return ""


@pytest.fixture(scope="module")
def base(tiny_config, small):
    return tiny_config({**small, "data.max_length": 8})


@pytest.fixture(scope="module")
def accepted(base):
    """Of so many random draws, those that the settings let through."""
    rng = random.Random(0)
    found = [(d := draw(rng), make_config(base, d)) for _ in range(DRAWS)]
    return [(drawn, config) for drawn, config in found if config is not None]


def wants_much(config):
    """Whether a step would take minutes or gigabytes, as it was asked to."""
    sizes = [config.train.batch_size, config.train.eval_batch_size]
    sizes += [config.optim.accumulation_steps, config.model.unroll]
    return max(sizes) > 10_000 or config.data.source != "files"


def test_random_settings_are_refused_in_a_line_or_accepted(accepted):
    assert 0.2 * DRAWS < len(accepted) < 0.8 * DRAWS


def test_settings_that_are_accepted_train_a_step(accepted, tmp_path):
    trained = 0
    for _, config in accepted:
        if not wants_much(config):
            trained += train_a_step(config, tmp_path) == ""
        if trained == 3:
            return
    pytest.fail(f"only {trained} of {len(accepted)} trained a step")


@pytest.mark.slow
def test_all_settings_that_are_accepted_train_a_step(accepted, tmp_path):
    outcomes = {}
    for drawn, config in accepted:
        if not wants_much(config):
            outcomes[str(drawn)] = train_a_step(config, tmp_path)
            jax.clear_caches()
    refused = {k: v for k, v in outcomes.items() if v}
    print(f"{len(outcomes)} tried, {len(refused)} refused with the data: {refused}")
    assert len(outcomes) - len(refused) > 50
    assert np.mean([bool(v) for v in outcomes.values()]) < 0.5
