"""What was found out about a trained model, as plain arrays; ``explanations.npz``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.arrays import read_arrays
from lstm_jax.drafts import draft_of
from lstm_jax.errors import UserError
from lstm_jax.measures import probabilities, scores, verdicts

# Shares of the strongest effect in a text, from which on a word is marked.
_LEVELS = (0.2, 0.45, 0.75)


def level_of(effect: float, highest: float) -> int:
    """How strongly a word is marked, 0 to 3, by the strongest effect of its text.

    >>> level_of(2.0, 2.0), level_of(-1.0, 2.0), level_of(0.0, 2.0)
    (3, 2, 0)
    """
    return sum(abs(effect) >= share * highest for share in _LEVELS) if effect else 0


def range_of(name: str, values: np.ndarray) -> tuple[float, float]:
    """Between what the colours of a gate or state lie: from 0 to 1, or around 0.

    Most hidden states end at 1; a projection or a ReLU may go beyond.

    >>> range_of("f", np.array([0.2])), range_of("h", np.array([0.2, -3.0]))
    ((0.0, 1.0), (-3.0, 3.0))
    """
    if name in "iforz":
        return 0.0, 1.0
    least = 1.0 if name in "ghn" else 0.0
    top = float(np.abs(values).max(initial=least)) or 1.0
    return -top, top


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
    """A text as the first layer reads it, of one that reads both ways forward.

    Attributes:
      words: the text of each token; in brackets what the vocabulary does not have.
      logits: float32 ``[T, K]``, of the text up to each token.
      gates: float32 ``[T, H]`` for each gate and state, by the cell's letters.
    """

    words: list[str]
    logits: np.ndarray
    gates: dict[str, np.ndarray]


class Gradients(NamedTuple):
    """What each word of a text adds, by integrated gradients.

    Attributes:
      spans: int32 ``[T, 2]``, as in ``Occlusion``.
      effects: float64 ``[T]``, also of n-grams that stand where the text is cut.
      total: what they should sum to: the log-odds of the text, less those of as many
        unknown words without n-grams.
      gap: ``total`` less their sum.
    """

    spans: np.ndarray
    effects: np.ndarray
    total: float
    gap: float


class Explanation(NamedTuple):
    """Why one text is judged as it is.

    Attributes:
      text: what was written.
      logits: float32 ``[K]``.
      one: the class that words speak for.
      other: the class that they speak against.
      words: the text of each token, ``T`` of them.
      known: whether the vocabulary has it.
      positions: int ``[R]``, the tokens that the network reads.
      occlusion: what the logits lose without each word.
      gradients: what each word adds to the log-odds of ``one`` against ``other``.
      reading: the text up to each token that is read, and the gates.
    """

    text: str
    logits: np.ndarray
    one: int
    other: int
    words: list[str]
    known: list[bool]
    positions: np.ndarray
    occlusion: Occlusion
    gradients: Gradients
    reading: Reading

    def lost(self) -> np.ndarray:
        """The log-odds that are lost without each word, ``[T]``; NaN where cut."""
        wide = scores(self.occlusion.effects)
        return wide[:, self.one] - wide[:, self.other]

    def to_json(self, label_names: Sequence[str]) -> dict[str, Any]:
        """All but the gates, as plain values.

        ``words`` has an object a token: where it stands (``start``, ``end``), whether
        the vocabulary has it (``known``), ``without`` (the log-odds that are lost when
        it is made unknown), ``gradient`` (what it adds, by integrated gradients) and
        ``so_far`` (the probability of each class up to it).  ``without`` and
        ``so_far`` are null for tokens that are cut away before the network.
        """
        wide = scores(self.logits[None])[0]
        gradients = self.gradients
        return {
            "text": self.text,
            **verdicts(self.logits[None], label_names)[0],
            "for": label_names[self.one],
            "against": label_names[self.other],
            "log_odds": float(wide[self.one] - wide[self.other]),
            "words": self._words_to_json(label_names),
            "gradients": {
                "sum": float(gradients.effects.sum()),
                "total": gradients.total,
                "gap": gradients.gap,
            },
        }

    def _words_to_json(self, label_names: Sequence[str]) -> list[dict[str, Any]]:
        so_far: list[Any] = [None] * len(self.words)
        for n, row in zip(
            self.positions, probabilities(self.reading.logits), strict=True
        ):
            so_far[n] = dict(zip(label_names, row.tolist(), strict=True))
        lost, spans = self.lost(), self.gradients.spans.tolist()
        return [
            {
                "text": self.text[start:end] or self.words[n],
                "start": start,
                "end": end,
                "known": self.known[n],
                "without": None if np.isnan(lost[n]) else float(lost[n]),
                "gradient": float(self.gradients.effects[n]),
                "so_far": so_far[n],
            }
            for n, (start, end) in enumerate(spans)
        ]


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
    with draft_of(path) as draft:
        np.savez_compressed(draft, **arrays)


def load_explanations(path: Path) -> Explanations:
    """Read what ``save_explanations`` wrote.

    Raises:
      UserError: the file is not whole.
    """
    arrays = read_arrays(path, "explanations")
    try:
        found = {n.removeprefix("gate_"): x for n, x in arrays.items() if "gate_" in n}
        words = arrays["words"].tolist()
        count = sum(name.startswith("spans_") for name in arrays)
        pairs = [(arrays[f"spans_{n}"], arrays[f"effects_{n}"]) for n in range(count)]
        short = Reading(words, arrays["running_logits"], found)
        mistakes = [Occlusion(*pair) for pair in pairs]
        return Explanations(arrays["word_logits"], short, mistakes)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: expected explanations, got: {error}") from error
