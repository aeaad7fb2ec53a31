"""Haiku: its LSTM's weights, and our cell inside its transforms."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax import convert, lstm, unroll

hk = pytest.importorskip("haiku", reason="Haiku is an optional peer")

STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5


def random_like(tree, seed=0):
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return jnp.asarray(0.7 * rng.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree.map(draw, tree)


@hk.without_apply_rng
@hk.transform
def their_lstm(xs):
    core = hk.LSTM(HIDDEN, name="core")
    return hk.dynamic_unroll(core, xs, core.initial_state(BATCH))


def test_equals_haiku_on_ragged_lengths():
    xs = random_like(jax.ShapeDtypeStruct((STEPS, BATCH, INPUT), "float32"), 1)
    theirs = random_like(their_lstm.init(jax.random.key(0), xs))
    params = convert.from_haiku("LSTM", theirs["core/linear"])
    for length in (STEPS, 4, 1):  # Haiku knows no lengths: each is a run of its own
        expected, last = their_lstm.apply(theirs, xs[:length])
        lengths = jnp.full(BATCH, length)
        carry, ys = unroll(lstm(HIDDEN), params, xs, lengths=lengths)
        pairs = (ys[:length], expected), (carry.h, last.hidden), (carry.c, last.cell)
        for got, other in pairs:
            np.testing.assert_allclose(got, other, rtol=1e-5, atol=1e-5)


def test_haiku_computes_the_same_from_our_weights():
    xs = random_like(jax.ShapeDtypeStruct((STEPS, BATCH, INPUT), "float32"), 1)
    params = lstm(HIDDEN).init(jax.random.key(0), INPUT)
    theirs = {"core/linear": convert.to_haiku("LSTM", params)}
    expected, _ = their_lstm.apply(theirs, xs)
    _, ys = unroll(lstm(HIDDEN), params, xs)
    np.testing.assert_allclose(ys, expected, rtol=1e-5, atol=1e-5)


@hk.without_apply_rng
@hk.transform
def last_output(xs, lengths):
    """Our cell with its weights in Haiku's care: what the README shows."""
    cell = lstm(hidden_size=8)
    key = hk.next_rng_key() if hk.running_init() else None
    init = hk.transparent_lift(lambda key: {"lstm": cell.init(key, xs.shape[-1])})
    carry, _ = unroll(cell, init(key)["lstm"], xs, lengths=lengths)
    return hk.Linear(1)(carry.h)[:, 0]


def test_our_cell_learns_in_haikus_training_loop():
    """Random inputs, and whether their first feature adds up to more than nothing."""
    xs = random_like(jax.ShapeDtypeStruct((STEPS, 64, INPUT), "float32"), 2)
    lengths = jnp.asarray(np.random.default_rng(3).integers(1, STEPS + 1, 64))
    real = (jnp.arange(STEPS)[:, None] < lengths)[..., None]
    labels = ((xs * real)[..., 0].sum(axis=0) > 0).astype("float32")
    params = last_output.init(jax.random.key(0), xs, lengths)
    assert params["lstm"]["w_hh"].shape == (8, 32)
    optimizer = optax.adam(0.03)

    def loss(params):
        logits = last_output.apply(params, xs, lengths)
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

    @jax.jit
    def train(params, state):
        grads = jax.grad(loss)(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(100):
        params, state = train(params, state)
    assert loss(params) < 0.2


def test_the_lines_in_the_readme_run():
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    (block,) = [block for block in blocks if "import haiku as hk" in block]
    found = {"lstm": lstm, "unroll": unroll}
    exec(block, found)
    xs = jnp.asarray(np.random.default_rng(0).standard_normal((7, 4, 8)), "float32")
    encode, lengths = found["encode"], jnp.array([7, 2, 0, 1])
    params = encode.init(jax.random.key(0), xs, lengths)
    carry, ys = encode.apply(params, None, xs, lengths)
    assert (ys.shape, carry.c.shape) == ((7, 4, 16), (4, 16))
    assert not ys[2:, 1].any() and ys[:2, 1].all()
