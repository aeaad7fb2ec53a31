"""The worst mistakes, with the words that drove them marked."""

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Any

import numpy as np

from lstm_jax.explanations import Occlusion, level_of
from lstm_jax.measures import predicted, probabilities, scores

_NUM_OPEN = 3
# Blanks are looked at from their first alone: from each, it takes n * n steps.
_BREAK = re.compile(r"(?:(?<!\s)\s+)?(?:<br\s*/?>\s*)+", re.IGNORECASE)


def mistakes(
    examples: Sequence[dict[str, Any]],
    found: Sequence[Occlusion],
    label_names: Sequence[str],
) -> str:
    """A part that can be folded for each mistake, the worst first.

    Args:
      examples: of ``examples.json``.
      found: what each word of each of them does.
      label_names: one name a class.
    """
    if not examples:
        return "<p>Every validation review was judged right.</p>\n"
    parts = [
        _mistake(number, example, occlusion, label_names)
        for number, (example, occlusion) in enumerate(
            zip(examples, found, strict=True), start=1
        )
    ]
    return _legend(label_names) + "".join(parts)


def _legend(label_names: Sequence[str]) -> str:
    """What the marks mean; colour is never all that tells them apart."""
    if len(label_names) == 2:
        one, other = (f"speaks for {escape(repr(n))}" for n in reversed(label_names))
    else:
        one, other = "speaks for the predicted class", "for the true one"
    return (
        "<p>The validation reviews that were judged wrong with the highest loss. (Not "
        "test reviews: who looks at those soon chooses by them.) A word is marked by "
        "what the prediction loses when it is replaced by the unknown token: "
        f'<span class="p3">blue, solid line</span> {one}; '
        f'<span class="n3">orange, dashed line</span> {other}. '
        "The stronger, the darker and thicker, measured by the strongest word of the "
        "review. Tokens that are cut away before the network reads a long review are "
        "left out.</p>\n"
    )


def _mistake(
    number: int, example: dict[str, Any], occlusion: Occlusion, names: Sequence[str]
) -> str:
    """One review, with what was said of it."""
    logits = np.array([example["logits"]])
    said, label = int(predicted(logits)[0]), example["label"]
    chance = probabilities(logits)[0, said]
    heading = f"{number}. labelled {names[label]}, predicted {names[said]} "
    shown = " open" if number <= _NUM_OPEN else ""
    one, other = (1, 0) if len(names) == 2 else (said, label)
    text = mark(example["text"], occlusion, one, other)
    return (
        f"<details{shown}>\n<summary>{escape(heading)}({chance:.1%})</summary>\n"
        f'<p class="review">{text}</p>\n</details>\n'
    )


def mark(text: str, occlusion: Occlusion, one: int, other: int) -> str:
    """``text`` as HTML, each word marked by what it does.

    Args:
      text: the review; all of it is escaped.
      occlusion: what its words do.
      one: the class whose words are marked ``p``.
      other: the class whose words are marked ``n``.
    """
    wide = scores(occlusion.effects)
    return mark_words(text, occlusion.spans, wide[:, one] - wide[:, other])


def mark_words(text: str, spans: np.ndarray, effects: np.ndarray) -> str:
    """``text`` as HTML, each word marked by its effect.

    Args:
      text: all of it is escaped.
      spans: int ``[T, 2]``, where each word stands.
      effects: ``[T]``; NaN for what is cut away.
    """
    highest = np.nanmax(np.abs(effects), initial=0.0)
    parts, end = [], 0
    for is_cut, group in groupby(range(len(effects)), lambda n: np.isnan(effects[n])):
        tokens = list(group)
        if is_cut:
            parts.append(f'<span class="soft"> [… {len(tokens):,} tokens …] </span>')
            end = int(spans[tokens[-1], 1])
            continue
        for n in tokens:
            start, stop = spans[n].tolist()
            if start == stop:
                continue  # a line break: part of what stands between two words
            parts.append(_between(text[end:start]))
            parts.append(_word(text[start:stop], float(effects[n]), highest))
            end = stop
    return "".join(parts) + _between(text[end:])


def _between(text: str) -> str:
    """What stands between two words, with line breaks as such."""
    return escape(_BREAK.sub("\n\n", text))


def _word(word: str, effect: float, highest: float) -> str:
    level = level_of(effect, highest)
    if not level:
        return escape(word)
    kind = "p" if effect > 0 else "n"
    return f'<span class="{kind}{level}" title="{effect:+.2f}">{escape(word)}</span>'
