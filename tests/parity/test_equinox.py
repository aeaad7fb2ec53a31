"""Equinox: our cell as a field of a module, trained with its filtered transforms."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax import LSTMCarry, lstm, lstm_cell, unroll

eqx = pytest.importorskip("equinox", reason="Equinox is an optional peer")

STEPS, BATCH, INPUT, HIDDEN = 6, 64, 3, 8


class Classifier(eqx.Module):
    """Our parameters are a field; what the README shows."""

    params: dict
    head: eqx.nn.Linear

    def __init__(self, key):
        key_cell, key_head = jax.random.split(key)
        self.params = lstm(HIDDEN).init(key_cell, INPUT)
        self.head = eqx.nn.Linear(HIDDEN, "scalar", key=key_head)

    def __call__(self, xs, lengths):
        carry, _ = unroll(lstm(HIDDEN), self.params, xs, lengths=lengths)
        return jax.vmap(self.head)(carry.h)


def test_our_cell_learns_in_equinox_training_loop():
    """Random inputs, and whether their first feature adds up to more than nothing."""
    rng = np.random.default_rng(2)
    xs = jnp.asarray(rng.standard_normal((STEPS, BATCH, INPUT)), "float32")
    lengths = jnp.asarray(rng.integers(1, STEPS + 1, BATCH))
    real = (jnp.arange(STEPS)[:, None] < lengths)[..., None]
    labels = ((xs * real)[..., 0].sum(axis=0) > 0).astype("float32")
    model, optimizer = Classifier(jax.random.key(0)), optax.adam(0.03)
    state = optimizer.init(eqx.filter(model, eqx.is_array))

    def loss(model):
        logits = model(xs, lengths)
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

    @eqx.filter_jit
    def train(model, state):
        grads = eqx.filter_grad(loss)(model)
        updates, state = optimizer.update(grads, state)
        return eqx.apply_updates(model, updates), state

    for _ in range(100):
        model, state = train(model, state)
    assert loss(model) < 0.2


def test_a_step_equals_equinox_lstm_cell():
    """Its weights are [out, in], its gates i, f, g, o, and its state is (h, c)."""
    theirs = eqx.nn.LSTMCell(INPUT, HIDDEN, key=jax.random.key(0))
    rng = np.random.default_rng(3)
    h, c = jnp.asarray(rng.standard_normal((2, HIDDEN)), "float32")
    x = jnp.asarray(rng.standard_normal(INPUT), "float32")
    params = {"w_ih": theirs.weight_ih.T, "w_hh": theirs.weight_hh.T, "b": theirs.bias}
    carry, y = lstm_cell(params, LSTMCarry(c=c, h=h), x)
    h, c = theirs(x, (h, c))
    for got, expected in ((carry.h, h), (carry.c, c), (y, h)):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_lines_in_the_readme_run():
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    (block,) = [block for block in blocks if "import equinox as eqx" in block]
    found = {"lstm": lstm, "unroll": unroll}
    exec(block, found)
    xs = jnp.asarray(np.random.default_rng(0).standard_normal((7, 4, 8)), "float32")
    model = found["Encoder"](jax.random.key(0))
    carry, ys = model(xs, jnp.array([7, 2, 0, 1]))
    assert (ys.shape, carry.c.shape) == ((7, 4, 16), (4, 16))
    assert not ys[2:, 1].any() and ys[:2, 1].all()
