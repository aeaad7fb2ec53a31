"""One to many: a character model writes, each character the next step's input.

It learns from numbers in words, which follow one another: "seven eight nine zero ...".
Then it is given one character and goes on by itself.

    python examples/sample_characters.py
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from lstm_jax import gru, unroll

WORDS = "zero one two three four five six seven eight nine"
NUMBERS: tuple[str, ...] = tuple(WORDS.split())
TEXT = " ".join(NUMBERS * 40) + " "
LETTERS = sorted(set(TEXT))
IDS = np.array([LETTERS.index(letter) for letter in TEXT], np.int32)
STEPS, BATCH = 40, 32
CELL = gru(hidden_size=64)
OPTIMIZER = optax.adam(0.01)


def init(key: Array) -> dict[str, Any]:
    """The cell reads letters by their number; a matrix scores the next one."""
    key_cell, key_head = jax.random.split(key)
    head = jax.random.normal(key_head, (CELL.output_size, len(LETTERS))) / 10
    return {"cell": CELL.init(key_cell, len(LETTERS)), "head": head}


def loss(params: dict[str, Any], key: Array) -> Array:
    """Cross-entropy of each next letter, on pieces cut from the text anywhere."""
    starts = jax.random.randint(key, (BATCH,), 0, len(IDS) - STEPS)
    pieces = jnp.asarray(IDS)[jnp.arange(STEPS + 1)[:, None] + starts]  # [T + 1, B]
    _, ys = unroll(CELL, params["cell"], pieces[:-1])
    logits = ys @ params["head"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, pieces[1:]).mean()


@jax.jit
def train_step(params: dict[str, Any], state: Any, key: Array) -> tuple[Any, Any]:
    """One step of Adam."""
    updates, state = OPTIMIZER.update(jax.grad(loss)(params, key), state)
    return optax.apply_updates(params, updates), state


@partial(jax.jit, static_argnames="num_letters")
def sample(params: dict[str, Any], first: Array, key: Array, num_letters: int) -> Array:
    """Letters drawn one after another, ``[num_letters]``."""

    def step(state: tuple[Any, Array], key: Array) -> tuple[tuple[Any, Array], Array]:
        """The last letter goes in; the next one is drawn from what comes out."""
        carry, letter = state
        carry, y = CELL.step(params["cell"], carry, letter)
        letter = jax.random.categorical(key, y @ params["head"]).astype(letter.dtype)
        return (carry, letter), letter

    keys = jax.random.split(key, num_letters)
    return jax.lax.scan(step, (CELL.initial_carry(()), first), keys)[1]


def share_in_order(text: str) -> float:
    """The share of words in a text that are the number after the word before."""
    words = text.split(" ")[1:-1]  # the first and the last may be cut
    after = dict(zip(NUMBERS, [*NUMBERS[1:], NUMBERS[0]], strict=True))
    pairs = list(zip(words[:-1], words[1:], strict=True))
    return sum(after.get(a) == b for a, b in pairs) / max(1, len(pairs))


def main(num_steps: int = 400) -> float:
    """Train, let the model write, and say how much of it makes sense."""
    params = init(jax.random.key(0))
    state = OPTIMIZER.init(params)
    for step in range(num_steps):
        params, state = train_step(params, state, jax.random.key(step + 1))
    first = jnp.int32(LETTERS.index("s"))
    ids = sample(params, first, jax.random.key(0), num_letters=400)
    text = "s" + "".join(LETTERS[i] for i in np.asarray(ids))
    print(text)
    return share_in_order(text)


if __name__ == "__main__":
    main()
