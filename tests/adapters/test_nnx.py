"""NNX: our cells inside ``nnx.RNN`` and ``nnx.Bidirectional``."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from sequences import (
    BATCH,
    HIDDEN,
    INPUT,
    LENGTHS,
    STEPS,
    assert_close,
    random_like,
    random_params,
    random_xs,
    real_steps,
)

from lstm_jax import CELLS, bidirectional, unroll
from lstm_jax import nnx as ours

CELL = {"lstm": ours.LSTMCell, "gru": ours.GRUCell, "rnn": ours.RNNCell}
lengths = jnp.asarray(LENGTHS)


def make(cell, params=None):
    """A cell, with these params if there are any."""
    made = CELL[cell](INPUT, HIDDEN, rngs=nnx.Rngs(0))
    if params is not None:
        nnx.update(made, params)
    return made


def our_run(cell, params, xs, **how):
    carry, ys = unroll(CELLS[cell](HIDDEN), params, xs.swapaxes(0, 1), **how)
    return carry, ys.swapaxes(0, 1)


@nnx.jit(static_argnames=("reverse", "time_major", "keep_order"))
def run_rnn(cell, xs, *, reverse=False, time_major=False, keep_order=True, **how):
    rnn = nnx.RNN(cell, return_carry=True)
    options = {"reverse": reverse, "time_major": time_major, "keep_order": keep_order}
    return rnn(xs, **options, **how)


@pytest.mark.parametrize("cell", CELL)
@pytest.mark.parametrize("reverse", [False, True])
def test_inside_rnn_with_lengths_it_is_unroll(cell, reverse):
    params, xs = random_params(CELLS[cell](HIDDEN)), random_xs()
    carry = random_like(CELLS[cell](HIDDEN).initial_carry((BATCH,)), 3)
    expected = our_run(cell, params, xs, lengths=lengths, reverse=reverse, carry=carry)
    how = {"seq_lengths": lengths, "initial_carry": carry}
    last, ys = run_rnn(make(cell, params), xs, reverse=reverse, **how)
    assert type(last) is type(carry)
    assert_close(last, expected[0])
    assert_close(real_steps(ys), real_steps(expected[1]))


def test_parameters_of_another_cell_are_told():
    """``nnx.update`` takes arrays of any shape."""
    cell = make("lstm", random_params(CELLS["rnn"](HIDDEN)))
    with pytest.raises(ValueError, match="^params: expected b .*, got b"):
        nnx.RNN(cell)(random_xs())


def test_without_keep_order_a_reversed_rnn_gives_the_outputs_backwards():
    cell, xs = make("gru"), random_xs()
    _, kept = run_rnn(cell, xs, reverse=True)
    _, ys = run_rnn(cell, xs, reverse=True, keep_order=False)
    assert_close(ys, kept[:, ::-1])


def test_time_major():
    cell, xs = make("lstm"), random_xs()
    carry, ys = run_rnn(cell, xs)
    time_first = run_rnn(cell, xs.swapaxes(0, 1), time_major=True)
    assert_close((carry, ys.swapaxes(0, 1)), time_first)


def test_the_carry_goes_on_where_it_stopped():
    cell, xs = make("lstm"), random_xs()
    carry, first = run_rnn(cell, xs[:, :2])
    last, rest = run_rnn(cell, xs[:, 2:], initial_carry=carry)
    whole = run_rnn(cell, xs)
    assert_close((last, jnp.concatenate([first, rest], axis=1)), whole)


def test_bidirectional_is_our_bidirectional():
    layer = bidirectional(CELLS["gru"](HIDDEN))
    params, xs = random_params(layer), random_xs()
    ways = [nnx.RNN(make("gru", params[way])) for way in ("forward", "backward")]
    theirs = nnx.Bidirectional(*ways, return_carry=True)
    carry, ys = nnx.jit(lambda m, xs: m(xs, seq_lengths=lengths))(theirs, xs)
    expected, zs = layer.apply(params, xs.swapaxes(0, 1), lengths=lengths)
    assert_close(carry, expected)
    assert_close(real_steps(ys), real_steps(zs.swapaxes(0, 1)))


def test_two_cells_of_one_kind_are_one_program():
    """A graph definition that differed would compile every model anew."""
    one, other = (nnx.split(make("lstm"))[0] for _ in range(2))
    assert one == other and hash(one) == hash(other)


def test_the_parameters_are_those_of_the_core():
    state = nnx.to_pure_dict(nnx.state(make("gru"), nnx.Param))
    shapes = jax.tree.map(jnp.shape, state)
    assert shapes == {"w_ih": (3, 15), "w_hh": (5, 15), "b": (15,), "b_hn": (5,)}
    narrow = ours.RNNCell(INPUT, HIDDEN, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert narrow.w_ih[...].dtype == jnp.bfloat16
    with jax.numpy_dtype_promotion("strict"):
        assert narrow.initialize_carry((BATCH, INPUT)).h.dtype == jnp.float32


def test_nested_in_a_model_it_learns():
    """Whether the first feature adds up to more than nothing over the real steps."""
    rng = np.random.default_rng(2)
    xs = jnp.asarray(rng.standard_normal((64, STEPS, INPUT)), "float32")
    counts = jnp.asarray(rng.integers(1, STEPS + 1, 64))
    real = (jnp.arange(STEPS) < counts[:, None])[..., None]
    labels = ((xs * real)[..., 0].sum(axis=1) > 0).astype("float32")

    class Classifier(nnx.Module):
        def __init__(self, rngs):
            below = ours.LSTMCell(INPUT, 8, rngs=rngs)
            self.below = nnx.RNN(below)
            self.above = nnx.RNN(ours.GRUCell(8, 8, rngs=rngs), return_carry=True)
            self.head = nnx.Linear(8, 1, rngs=rngs)

        def __call__(self, xs, counts):
            carry, _ = self.above(self.below(xs), seq_lengths=counts)
            return self.head(carry.h)[:, 0]

    model = Classifier(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)

    def loss(model):
        logits = model(xs, counts)
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

    @nnx.jit
    def train(model, optimizer):
        optimizer.update(model, nnx.grad(loss)(model))

    for _ in range(80):
        train(model, optimizer)
    assert loss(model) < 0.2
