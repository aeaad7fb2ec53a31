"""Text from a trained language model, a word at a time."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lstm_jax.data.streams import END_ID
from lstm_jax.data.tokenizer import UNKNOWN_ID, encode
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.training.finished import TrainedLanguageModel
from lstm_jax.training.state import PyTree


def generate(
    trained: TrainedLanguageModel,
    prompt: str = "",
    *,
    key: Array,
    length: int = 100,
    temperature: float = 0.8,
) -> str:
    """Write on from ``prompt``; one that reads backward writes what comes before it.

    Args:
      trained: the model.
      prompt: where to begin; "" is a text of its own.
      key: the words are drawn with.
      length: words at most; the model may end the text before.
      temperature: below 1 likely words become likelier; 0 always takes the likeliest.

    Returns:
      ``prompt`` and what was written, in lower case, as the model reads texts.

    Raises:
      ValueError: a length or a temperature below 0.
    """
    if length < 0 or temperature < 0:
        raise ValueError(
            f"length, temperature: expected 0 or more, got {length}, {temperature}"
        )
    backward = trained.config.model.backward
    read = encode(trained.tokenizer, [prompt])[0][:: -1 if backward else 1]
    start = jnp.concatenate([jnp.array([END_ID]), jnp.asarray(read)])
    drawn = _write(
        trained.module, trained.params, start, key, temperature, length=length
    )
    written = np.asarray(drawn)
    ended = np.flatnonzero(written == END_ID)
    written = written[: ended[0]] if len(ended) else written
    ids = np.concatenate([read, written])[:: -1 if backward else 1]
    return to_text([str(trained.tokenizer.id_to_token(int(i))) for i in ids])


def to_text(words: list[str]) -> str:
    r"""Words and marks as people write them.

    >>> to_text(["don't", "go", "(", "twice", ")", "!", "\n", "a", "-", "b"])
    "don't go (twice)!\na-b"
    """
    text = " ".join(words)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r" (?=[.,;:!?)\]}%])", "", text)
    text = re.sub(r"(?<=[(\[{$]) ", "", text)
    return re.sub(r" ?([-/']) ?", r"\1", text)


@partial(jax.jit, static_argnums=0, static_argnames="length")
def _write(
    model: LanguageModel,
    params: PyTree,
    start: Array,
    key: Array,
    temperature: Array,
    *,
    length: int,
) -> Array:
    """Draw ``length`` words after those of ``start``."""
    variables: Any = {"params": params}

    def foretell(carry: Any, token_ids: Array) -> tuple[Any, Array]:
        """Read words; the scores of the one after the last."""
        read: Any = model.apply(variables, token_ids[None], carry)
        scores: Any = model.apply(variables, read[1][-1, 0], method="scores")
        # A word that is not in the vocabulary cannot be written.
        return read[0], scores.at[UNKNOWN_ID].set(-jnp.inf)

    def step(state: Any, key: Array) -> tuple[Any, Array]:
        """Draw a word and read it."""
        carry, scores = state
        noise = jax.random.gumbel(key, scores.shape) * temperature
        word = jnp.argmax(scores + noise)
        return foretell(carry, word[None]), word

    first = foretell(model.initial_carry(1), start)
    return jax.lax.scan(step, first, jax.random.split(key, length))[1]
