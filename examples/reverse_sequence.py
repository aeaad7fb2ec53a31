"""Encoder and decoder: read a sequence to its end, then say it backwards.

All that the decoder knows of the input is the encoder's last carry.  It starts from
there, and reads what it said last: in training what it should have said.

    python examples/reverse_sequence.py
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from lstm_jax import lstm, time_mask, unroll

NUM_DIGITS, STEPS, BATCH = 8, 6, 64
START = NUM_DIGITS  # what the decoder reads first
CELL = lstm(hidden_size=64)
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))


def draw_digits(key: Array) -> tuple[Array, Array, Array]:
    """Digits ``[T, B]``, lengths ``[B]``, and each sequence backwards ``[T, B]``."""
    key_digits, key_lengths = jax.random.split(key)
    digits = jax.random.randint(key_digits, (STEPS, BATCH), 0, NUM_DIGITS)
    lengths = jax.random.randint(key_lengths, (BATCH,), 1, STEPS + 1)
    steps = lengths - 1 - jnp.arange(STEPS)[:, None]
    return digits, lengths, jnp.take_along_axis(digits, jnp.maximum(steps, 0), axis=0)


def init(key: Array) -> dict[str, Any]:
    """Two cells, and a matrix that makes digits of the decoder's outputs."""
    key_encoder, key_decoder, key_head = jax.random.split(key, 3)
    head = jax.random.normal(key_head, (CELL.output_size, NUM_DIGITS)) / 10
    return {
        "encoder": CELL.init(key_encoder, NUM_DIGITS),
        "decoder": CELL.init(key_decoder, NUM_DIGITS + 1),
        "head": head,
    }


def loss(params: dict[str, Any], key: Array) -> Array:
    """Cross-entropy of each next digit, when those before it were right."""
    digits, lengths, backwards = draw_digits(key)
    carry, _ = unroll(CELL, params["encoder"], digits, lengths=lengths)
    said = jnp.concatenate([jnp.full((1, BATCH), START), backwards[:-1]])
    _, ys = unroll(CELL, params["decoder"], said, carry=carry, lengths=lengths)
    logits = ys @ params["head"]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, backwards)
    return losses.mean(where=time_mask(lengths, STEPS))


@jax.jit
def train_step(params: dict[str, Any], state: Any, key: Array) -> tuple[Any, Any]:
    """One step of Adam."""
    updates, state = OPTIMIZER.update(jax.grad(loss)(params, key), state)
    return optax.apply_updates(params, updates), state


def decode(params: dict[str, Any], carry: Any) -> Array:
    """The likeliest digit at each step, ``[T, B]``, each read at the next."""

    def step(state: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], Array]:
        """The last digit goes in, the next comes out."""
        carry, digit = state
        carry, y = CELL.step(params["decoder"], carry, digit)
        digit = (y @ params["head"]).argmax(axis=-1).astype(digit.dtype)
        return (carry, digit), digit

    start = jnp.full(carry.h.shape[:1], START)
    return jax.lax.scan(step, (carry, start), length=STEPS)[1]


@jax.jit
def accuracy(params: dict[str, Any], key: Array) -> Array:
    """The share of new sequences that are said backwards without a mistake."""
    digits, lengths, backwards = draw_digits(key)
    carry, _ = unroll(CELL, params["encoder"], digits, lengths=lengths)
    right = decode(params, carry) == backwards
    return (right | ~time_mask(lengths, STEPS)).all(axis=0).mean()


def main(num_steps: int = 1500) -> float:
    """Train, and say how many sequences are reversed without a mistake."""
    params = init(jax.random.key(0))
    state = OPTIMIZER.init(params)
    for step in range(num_steps):
        params, state = train_step(params, state, jax.random.key(step + 1))
    right = float(accuracy(params, jax.random.key(0)))
    print(f"{right:.1%} of the sequences are reversed without a mistake")
    return right


if __name__ == "__main__":
    main()
