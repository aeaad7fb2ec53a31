"""Many to many: a tag for every step, from what stands before it and behind it.

Each letter of a random word is tagged by whether it is the first of its kind in the
word, the last, the only one, or one between: no step can know without the others, so
the layer reads both ways.

    python examples/tag_sequence.py
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from lstm_jax import bidirectional, lstm, time_mask

NUM_LETTERS, NUM_TAGS, STEPS, BATCH, HIDDEN = 6, 4, 10, 64, 48
LAYER = bidirectional(lstm(HIDDEN))
OPTIMIZER = optax.adam(0.01)


def draw_words(key: Array) -> tuple[Array, Array, Array]:
    """Letters ``[T, B]``, lengths ``[B]`` and tags ``[T, B]``."""
    key_letters, key_lengths = jax.random.split(key)
    letters = jax.random.randint(key_letters, (STEPS, BATCH), 0, NUM_LETTERS)
    lengths = jax.random.randint(key_lengths, (BATCH,), 1, STEPS + 1)
    real = time_mask(lengths, STEPS)
    same = (letters[:, None] == letters[None]) & real[:, None] & real[None]
    before = jnp.tril(jnp.ones((STEPS, STEPS), bool), -1)[..., None]
    seen, comes = (
        (same & before).any(axis=1),
        (same.swapaxes(0, 1) & before).any(axis=0),
    )
    return letters, lengths, 2 * seen + comes


def init(key: Array) -> dict[str, Any]:
    """The layer reads letters by their number; a matrix makes tags of its outputs."""
    key_layer, key_head = jax.random.split(key)
    head = jax.random.normal(key_head, (LAYER.output_size, NUM_TAGS)) / 10
    return {"layer": LAYER.init(key_layer, NUM_LETTERS), "head": head}


def tag(params: dict[str, Any], letters: Array, lengths: Array) -> Array:
    """Logits ``[T, B, tags]``."""
    _, ys = LAYER.apply(params["layer"], letters, lengths=lengths)
    return ys @ params["head"]


def loss(params: dict[str, Any], key: Array) -> Array:
    """Cross-entropy over the real steps of new words."""
    letters, lengths, tags = draw_words(key)
    logits = tag(params, letters, lengths)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, tags)
    return losses.mean(where=time_mask(lengths, STEPS))


@jax.jit
def train_step(params: dict[str, Any], state: Any, key: Array) -> tuple[Any, Any]:
    """One step of Adam."""
    updates, state = OPTIMIZER.update(jax.grad(loss)(params, key), state)
    return optax.apply_updates(params, updates), state


@jax.jit
def accuracy(params: dict[str, Any], key: Array) -> Array:
    """The share of right tags on new words."""
    letters, lengths, tags = draw_words(key)
    right = tag(params, letters, lengths).argmax(axis=-1) == tags
    return right.mean(where=time_mask(lengths, STEPS))


def main(num_steps: int = 500) -> float:
    """Train, and say how many tags are right."""
    params = init(jax.random.key(0))
    state = OPTIMIZER.init(params)
    for step in range(num_steps):
        params, state = train_step(params, state, jax.random.key(step + 1))
    right = float(accuracy(params, jax.random.key(0)))
    print(f"{right:.1%} of the tags are right")
    return right


if __name__ == "__main__":
    main()
