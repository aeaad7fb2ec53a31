"""Why a trained model says what it says: words taken out, alone, and one by one."""

import re
from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

from lstm_jax.data.ngrams import spread_over_tokens
from lstm_jax.data.tokenizer import UNKNOWN_ID, truncate, valid_text
from lstm_jax.explanations import (
    Explanation,
    Gradients,
    Occlusion,
    Reading,
)
from lstm_jax.inference import GRADIENT_POINTS, Predictor
from lstm_jax.measures import predicted, scores

_MARKUP = re.compile(r"<br\s*/?>$")


def occlusion(predictor: Predictor, text: str) -> Occlusion:
    """What each word of ``text`` does to the logits of it."""
    return occlusions(predictor, [text])[0]


def occlusions(predictor: Predictor, texts: Sequence[str]) -> list[Occlusion]:
    """The same for many texts, whose words are tried together."""
    if not texts:
        return []
    encodings = [_encode(predictor, text) for text in texts]
    whole = [np.array(e.ids, np.int32) for e in encodings]
    read = [_positions_read(predictor, len(ids)) for ids in whole]
    # An unknown word stays as it is: its effect is 0.
    tried = [r[ids[r] != UNKNOWN_ID] for ids, r in zip(whole, read, strict=True)]
    variants = [v for ids, t in zip(whole, tried, strict=True) for v in _each(ids, t)]
    logits = predictor.logits_of_ids(variants)
    ends = np.cumsum([1 + len(t) for t in tried])
    parts = np.split(logits, ends[:-1])
    return [
        Occlusion(_spans(text, e), _effects(part, len(e.ids), r, t))
        for text, e, part, r, t in zip(
            texts, encodings, parts, read, tried, strict=True
        )
    ]


def word_logits(predictor: Predictor) -> np.ndarray:
    """The logits of each token of the vocabulary alone, float32 ``[V, K]``."""
    size = predictor.loaded.text.tokenizer.get_vocab_size()
    return predictor.logits_of_ids([np.array([n], np.int32) for n in range(size)])


def read(predictor: Predictor, text: str) -> Reading:
    """Read ``text`` token by token, without what is cut away.

    Its logits up to each token, and the gates of the first layer: of one that reads
    both ways, forward.
    """
    encoding = _encode(predictor, text)
    ids = np.array(encoding.ids, np.int32)
    positions = _positions_read(predictor, len(ids))
    words = _words(text, encoding)
    return Reading(
        [words[n] for n in positions],
        predictor.logits_of_ids([ids[: n + 1] for n in positions]),
        predictor.gates_of_ids(ids[positions]),
    )


def integrated_gradients(
    predictor: Predictor,
    text: str,
    one: int,
    other: int,
    *,
    num_points: int = GRADIENT_POINTS,
) -> Gradients:
    """What each word adds to the log-odds of class ``one`` against class ``other``.

    From a text of as many unknown words and no n-grams, the inputs move to what they
    are; the gradient on the way, times the way, is what each of them adds.  That of an
    n-gram is shared by its words.

    Args:
      predictor: what is asked.
      text: the text.
      one: a class.
      other: another one.
      num_points: of the way, where the gradient is computed: the more, the smaller
        the gap.

    Source: Sundararajan, Taly & Yan (2017).
    """
    encoding = _encode(predictor, text)
    ids = np.array(encoding.ids, np.int32)
    contrast = contrast_of(predictor.loaded.num_logits, one, other)
    words, ngrams = predictor.gradients_of_ids(ids, contrast, num_points)
    effects = spread_over_tokens(ngrams, ids, predictor.loaded.text.ngrams)
    effects[_positions_read(predictor, len(ids))] += words
    whole = predictor.logits_of_ids([ids])[0] - predictor.logits_of_unknown(len(ids))
    total = float(whole @ contrast)
    return Gradients(
        _spans(text, encoding), effects, total, total - float(effects.sum())
    )


def contrast_of(num_logits: int, one: int, other: int) -> np.ndarray:
    """What to multiply logits with for the log-odds of one class against another.

    >>> contrast_of(1, 1, 0).tolist(), contrast_of(3, 2, 0).tolist()
    ([1.0], [-1.0, 0.0, 1.0])
    """
    wide = scores(np.eye(num_logits))
    return (wide[:, one] - wide[:, other]).astype(np.float32)


def explain_text(predictor: Predictor, text: str) -> Explanation:
    """Everything about one text that words can show."""
    text = valid_text(text)
    logits = predictor.logits([text])
    one, other = _two_classes(logits)
    found = occlusion(predictor, text)
    encoding = _encode(predictor, text)
    return Explanation(
        text=text,
        logits=logits[0],
        one=one,
        other=other,
        words=_words(text, encoding),
        known=[token != UNKNOWN_ID for token in encoding.ids],
        positions=_positions_read(predictor, len(encoding.ids)),
        occlusion=found,
        gradients=integrated_gradients(predictor, text, one, other),
        reading=read(predictor, text),
    )


def _two_classes(logits: np.ndarray) -> tuple[int, int]:
    """Class 1 against 0; of more classes, the likeliest against the second."""
    wide = scores(logits)[0]
    if len(wide) == 2:
        return 1, 0
    said = int(predicted(logits)[0])
    return said, int(np.delete(np.argsort(-wide, kind="stable"), 0)[0])


def _encode(predictor: Predictor, text: str) -> Encoding:
    return predictor.loaded.text.tokenizer.encode(valid_text(text))


def _words(text: str, encoding: Encoding) -> list[str]:
    """The text of each token; in brackets what the vocabulary does not have."""
    spans = [text[start:stop] for start, stop in _spans(text, encoding)]
    return [
        f"({span})" if span and token == UNKNOWN_ID else span or "\N{RETURN SYMBOL}"
        for token, span in zip(encoding.ids, spans, strict=True)
    ]


def _positions_read(predictor: Predictor, length: int) -> np.ndarray:
    """The tokens that are left when a text is cut."""
    loaded = predictor.loaded
    return truncate(np.arange(length), loaded.max_length, loaded.truncate)


def _spans(text: str, encoding: Encoding) -> np.ndarray:
    """Where each token stands in the text; a line break, at its beginning."""
    spans = np.array(encoding.offsets, np.int32).reshape(-1, 2)
    # Its markup is replaced before the text is cut: what it covers means nothing, and
    # a vocabulary that was learned from texts without breaks knows none.
    breaks = np.array(
        [_ends_break(text[max(0, stop - 40) : stop]) for _, stop in spans], bool
    )
    spans[breaks, 1] = spans[breaks, 0]
    return spans


def _ends_break(text: str) -> bool:
    """Whether the last character is that of a line break, or of its markup."""
    return text[-1:].isspace() or bool(_MARKUP.search(text))


def _each(ids: np.ndarray, positions: np.ndarray) -> list[np.ndarray]:
    """``ids`` as they are, then with one token after another made unknown."""
    variants = np.tile(ids, (1 + len(positions), 1))
    variants[1 + np.arange(len(positions)), positions] = UNKNOWN_ID
    return list(variants)


def _effects(
    logits: np.ndarray, length: int, read: np.ndarray, tried: np.ndarray
) -> np.ndarray:
    """``[T, K]`` from the logits of the whole text, then of each variant of it."""
    effects = np.full((length, logits.shape[1]), np.nan, np.float32)
    effects[read] = 0.0
    effects[tried] = logits[0] - logits[1:]
    return effects
