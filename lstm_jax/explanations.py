"""``explanations.npz``: what was found out about a trained model, as plain arrays."""

from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from lstm_jax.errors import UserError


class Occlusion(NamedTuple):
    """What each word of a text does.

    Attributes:
      spans: int32 ``[T, 2]``, where each token begins and ends in the text;
        empty for a line break.
      effects: float32 ``[T, K]``, what each logit loses when the token is replaced
        by the unknown one; NaN for tokens that are cut away before the network.
    """

    spans: np.ndarray
    effects: np.ndarray


class Reading(NamedTuple):
    """A text as the first layer reads it from left to right.

    Attributes:
      words: the text of each token; in brackets what the vocabulary does not have.
      logits: float32 ``[T, K]``, of the text up to each token.
      gates: float32 ``[T, H]`` for each gate and state, by the cell's letters.
    """

    words: list[str]
    logits: np.ndarray
    gates: dict[str, np.ndarray]


class Explanations(NamedTuple):
    """What ``explanations.npz`` holds.

    Attributes:
      word_logits: float32 ``[V, K]``, of each token of the vocabulary alone.
      short: the short review of ``examples.json``.
      mistakes: a value for each mistake in ``examples.json``.
    """

    word_logits: np.ndarray
    short: Reading
    mistakes: list[Occlusion]


def save_explanations(explanations: Explanations, path: Path) -> None:
    """Write an ``explanations.npz``, whole or not at all."""
    short = explanations.short
    arrays: dict[str, Any] = {
        "word_logits": explanations.word_logits,
        "words": np.array(short.words, str),
        "running_logits": short.logits,
        **{f"gate_{name}": x for name, x in short.gates.items()},
    }
    for number, mistake in enumerate(explanations.mistakes):
        arrays[f"spans_{number}"] = mistake.spans
        arrays[f"effects_{number}"] = mistake.effects
    draft = path.with_suffix(".tmp.npz")
    np.savez_compressed(draft, **arrays)
    draft.replace(path)


def load_explanations(path: Path) -> Explanations:
    """Read what ``save_explanations`` wrote.

    Raises:
      UserError: the file is not whole.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        found = {n.removeprefix("gate_"): x for n, x in arrays.items() if "gate_" in n}
        words = arrays["words"].tolist()
        count = sum(name.startswith("spans_") for name in arrays)
        pairs = [(arrays[f"spans_{n}"], arrays[f"effects_{n}"]) for n in range(count)]
        short = Reading(words, arrays["running_logits"], found)
        mistakes = [Occlusion(*pair) for pair in pairs]
        return Explanations(arrays["word_logits"], short, mistakes)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}: expected explanations, got: {error}") from error
