"""Why a trained model says what it says: words taken out, alone, and one by one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Encoding

from lstm_jax.cells import CELLS
from lstm_jax.data.tokenizer import UNKNOWN_ID, truncate
from lstm_jax.explanations import (
    Explanations,
    Occlusion,
    Reading,
    load_explanations,
    save_explanations,
)
from lstm_jax.inference import Predictor
from lstm_jax.training.workdir import Workdir, read_json
from lstm_jax.unroll import trace


def occlusion(predictor: Predictor, text: str) -> Occlusion:
    """What each word of ``text`` does to the logits of it."""
    return occlusions(predictor, [text])[0]


def occlusions(predictor: Predictor, texts: Sequence[str]) -> list[Occlusion]:
    """The same for many texts, whose words are tried together."""
    if not texts:
        return []
    encodings = predictor.trained.text.tokenizer.encode_batch(list(texts))
    whole = [np.array(e.ids, np.int32) for e in encodings]
    read = [_positions_read(predictor, len(ids)) for ids in whole]
    # An unknown word stays as it is: its effect is 0.
    tried = [r[ids[r] != UNKNOWN_ID] for ids, r in zip(whole, read, strict=True)]
    variants = [v for ids, t in zip(whole, tried, strict=True) for v in _each(ids, t)]
    logits = predictor.logits_of_ids(variants)
    ends = np.cumsum([1 + len(t) for t in tried])
    parts = np.split(logits, ends[:-1])
    return [
        Occlusion(_spans(e), _effects(part, len(e.ids), r, t))
        for e, part, r, t in zip(encodings, parts, read, tried, strict=True)
    ]


def word_logits(predictor: Predictor) -> np.ndarray:
    """The logits of each token of the vocabulary alone, float32 ``[V, K]``."""
    size = predictor.trained.text.tokenizer.get_vocab_size()
    return predictor.logits_of_ids([np.array([n], np.int32) for n in range(size)])


def running_logits(predictor: Predictor, text: str) -> np.ndarray:
    """The logits of ``text`` up to each of its tokens, float32 ``[T, K]``."""
    (ids,) = predictor.token_ids([text])
    return predictor.logits_of_ids([ids[: n + 1] for n in range(len(ids))])


def gates(predictor: Predictor, text: str) -> dict[str, np.ndarray]:
    """Gates and states ``[T, H]`` of the first layer, forward, over ``text``.

    The letters are those of the cell, such as i, f, g, o, c and h of an LSTM.
    """
    trained = predictor.trained
    settings = trained.config.model
    (ids,) = predictor.token_ids([text])
    layer = jax.tree.map(jnp.asarray, trained.params["layers"]["layer_0"])
    inputs = _inputs(trained.params, ids, settings.dtype)[:, None]
    cell = CELLS[settings.cell](settings.hidden_size)
    traced = trace(cell, layer.get("forward", layer), inputs)
    return {name: np.asarray(x[:, 0], np.float32) for name, x in traced.items()}


def read(predictor: Predictor, text: str) -> Reading:
    """Read ``text`` token by token."""
    encoding = predictor.trained.text.tokenizer.encode(text)
    spans = [text[start:stop] for start, stop in _spans(encoding)]
    words = [
        f"({span})" if token == UNKNOWN_ID else span or "\N{RETURN SYMBOL}"
        for token, span in zip(encoding.ids, spans, strict=True)
    ]
    return Reading(words, running_logits(predictor, text), gates(predictor, text))


def explain_run(folder: Path) -> Explanations | None:
    """Explain what a run has learned; read it, once it stands in its folder.

    Returns:
      The explanations, or None where a run left no examples (as older versions do)
      or no checkpoints (they may have been deleted).
    """
    workdir = Workdir(folder)
    if workdir.explanations.exists():
        return load_explanations(workdir.explanations)
    if not (workdir.examples.exists() and workdir.checkpoints.is_dir()):
        return None
    examples = read_json(workdir.examples)
    explanations = explain(Predictor.from_workdir(folder, batch_size=256), examples)
    save_explanations(explanations, workdir.explanations)
    return explanations


def explain(predictor: Predictor, examples: dict[str, Any]) -> Explanations:
    """Explain the vocabulary and the reviews of an ``examples.json``."""
    return Explanations(
        word_logits=word_logits(predictor),
        short=read(predictor, examples["short"]["text"]),
        mistakes=occlusions(predictor, [m["text"] for m in examples["mistakes"]]),
    )


def _positions_read(predictor: Predictor, length: int) -> np.ndarray:
    """The tokens that are left when a text is cut."""
    config = predictor.trained.config.data
    return truncate(np.arange(length), config.max_length, config.truncate)


def _spans(encoding: Encoding) -> np.ndarray:
    """Where each token stands in the text; a line break, at its beginning."""
    spans = np.array(encoding.offsets, np.int32).reshape(-1, 2)
    # Its markup is replaced before the text is cut: what it covers means nothing.
    breaks = np.array([token == "\n" for token in encoding.tokens], bool)
    spans[breaks, 1] = spans[breaks, 0]
    return spans


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


def _inputs(params: Any, ids: np.ndarray, dtype: str) -> jax.Array:
    """What the first layer reads: ``[T, E]``, or the ids where no word has a vector."""
    if "embedding" not in params:
        return jnp.asarray(ids)
    return jnp.asarray(params["embedding"]["embedding"][ids], dtype)
