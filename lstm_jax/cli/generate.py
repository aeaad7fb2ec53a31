"""``lstm-jax generate``: text from a language model."""

import argparse

import jax

from lstm_jax.cli.marks import printable
from lstm_jax.generation import generate
from lstm_jax.paths import expand
from lstm_jax.training.finished import load_language_model


def run(options: argparse.Namespace) -> None:
    """Print the texts, with a line between them."""
    trained = load_language_model(expand(options.workdir, "--workdir"))
    trained = trained._replace(params=jax.device_put(trained.params))
    for number in range(options.count):
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        text = generate(
            trained,
            options.prompt,
            key=key,
            length=options.length,
            temperature=options.temperature,
        )
        between = f"\n{'-' * 20}\n" if number else ""
        print(f"{between}{printable(text)}", flush=True)
