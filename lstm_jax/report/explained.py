"""A page about one text: what is said of it, and what its words do."""

from html import escape

import numpy as np

from lstm_jax.explanations import Explanation
from lstm_jax.loaded import About
from lstm_jax.measures import verdicts
from lstm_jax.plots.gates import draw_gates
from lstm_jax.plots.style import names_of, to_png
from lstm_jax.report.mistakes import mark_words
from lstm_jax.report.page import figure, in_columns, notice, page, section, table


def explanation_page(explanation: Explanation, about: About) -> str:
    """The whole page: one file that fetches nothing."""
    names = about.label_names
    verdict = verdicts(explanation.logits[None], names)[0]
    said, chances = verdict["label"], verdict["probabilities"]
    body = [
        f"<h1>{escape(said)}, {verdict['probability']:.1%}</h1>\n",
        notice(f"the model knows {escape(about.notice)}") if about.notice else "",
        _legend(names[explanation.one], names[explanation.other]),
        section("Each word taken out", _taken_out(explanation)),
        section("What each word adds", _added(explanation)),
    ]
    if len(explanation.positions):
        body.append(section("While it is read", _gates(explanation, about)))
    rows = {name: f"{p:.2%}" for name, p in chances.items()}
    model = {"config": about.name, "trained on": about.dataset}
    tables = in_columns(table("Probability", rows), table("Model", model))
    body.append(section("Numbers", tables))
    return page(f"Why {said}?", body)


def _legend(one: str, other: str) -> str:
    """What the marks mean; colour is never all that tells them apart."""
    return (
        f'<p><span class="p3">Blue, solid line</span>: speaks for {escape(repr(one))}. '
        f'<span class="n3">Orange, dashed line</span>: for {escape(repr(other))}. The '
        "stronger, the darker and thicker, measured by the strongest word. What the "
        "network does not read is left out.</p>\n"
    )


def _taken_out(explanation: Explanation) -> str:
    marks = mark_words(
        explanation.text, explanation.gradients.spans, explanation.lost()
    )
    return (
        "<p>Marked is what the verdict loses when a word is made unknown.</p>\n"
        f'<p class="review">{marks}</p>\n'
    )


def _added(explanation: Explanation) -> str:
    gradients = explanation.gradients
    effects = np.where(np.isnan(explanation.lost()), np.nan, gradients.effects)
    marks = mark_words(explanation.text, gradients.spans, effects)
    return (
        "<p>Integrated gradients: marked is what each word adds to the log-odds on the "
        "way from a text of unknown words.</p>\n"
        f'<p class="review">{marks}</p>\n<p class="soft">All words together add '
        f"{gradients.effects.sum():+.4f}; the log-odds change by "
        f"{gradients.total:+.4f}. The gap of {gradients.gap:+.4f} is the error of the "
        "integral.</p>\n"
    )


def _gates(explanation: Explanation, about: About) -> str:
    """The heat maps, drawn as in the report of a run."""
    summary = {
        "config_name": about.name,
        "dataset": about.dataset,
        "notice": about.notice,
        "label_names": list(about.label_names),
    }
    names = names_of(summary, len(about.label_names))
    drawn = draw_gates(explanation.reading, summary, names, of="the text")
    return figure(
        to_png(drawn),
        "The probability up to each word, and heat maps of gates and states.",
        "Above, the probability of the text up to each word; below, a row for each "
        "unit of the first layer, a column for each of the first words.",
    )
