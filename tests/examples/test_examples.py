"""The examples learn what they say, from the command line that they name."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# What each reaches when it is trained, and cannot reach without.
REACHES = {"tag_sequence": 0.95, "sample_characters": 0.9, "reverse_sequence": 0.9}
UNTRAINED = {"tag_sequence": 0.5, "sample_characters": 0.2, "reverse_sequence": 0.1}


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(REACHES)


@pytest.mark.parametrize("name", REACHES)
def test_an_example_learns(name):
    # In a process of its own, compiled as a user's is: these programs run for long.
    code = f"import {name}; print({name}.main())"
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=EXAMPLES,
        env=environment | {"PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) > REACHES[name]


@pytest.mark.parametrize("name", REACHES)
def test_without_training_it_does_not_pass(name):
    assert load(name).main(num_steps=0) < UNTRAINED[name]


@pytest.mark.parametrize("name", REACHES)
def test_an_example_names_its_own_command(name):
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert re.search(r"^    python examples/(\w+)\.py$", text, re.M)[1] == name


def test_tags_are_those_of_a_loop():
    """first, last, only and between, counted word by word."""
    letters, lengths, tags = load("tag_sequence").draw_words(jax.random.key(0))
    for row, length in enumerate(np.asarray(lengths)):
        word = np.asarray(letters)[:length, row].tolist()
        expected = [
            2 * (a in word[:t]) + (a in word[t + 1 :]) for t, a in enumerate(word)
        ]
        assert np.asarray(tags)[:length, row].tolist() == expected


def test_reversed_digits_are_those_of_a_loop():
    digits, lengths, backwards = load("reverse_sequence").draw_digits(jax.random.key(0))
    for row, length in enumerate(np.asarray(lengths)):
        expected = np.asarray(digits)[:length, row][::-1]
        np.testing.assert_array_equal(np.asarray(backwards)[:length, row], expected)


def test_only_words_in_their_order_count():
    share = load("sample_characters").share_in_order
    assert share("xx one two three fou") == 1
    assert share("xx one two four five seven zero ei") == pytest.approx(2 / 5)
    assert share("nonsense") == 0
