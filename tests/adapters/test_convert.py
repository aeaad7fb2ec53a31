"""Converted weights: round trips to the bit, and what Flax makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from sequences import (
    BATCH,
    HIDDEN,
    INPUT,
    LENGTHS,
    assert_close,
    assert_same_bits,
    random_like,
    random_params,
    random_xs,
    real_steps,
)

from lstm_jax import CELLS, bidirectional, convert, one_way, stack, unroll

FLAX = {
    "LSTMCell": "lstm",
    "OptimizedLSTMCell": "lstm",
    "GRUCell": "gru",
    "SimpleCell": "rnn",
}
TORCH = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
KERAS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
over_flax = pytest.mark.parametrize("kind", FLAX)


def our_run(cell, params, xs):
    """``(carry, ys [B, T, H])`` of our cell."""
    how = {"lengths": jnp.asarray(LENGTHS)}
    carry, ys = unroll(CELLS[cell](HIDDEN), params, xs.swapaxes(0, 1), **how)
    return carry, ys.swapaxes(0, 1)


def no_inner_bias(params):
    """NNX' GRU has no bias inside its reset gate."""
    return (
        params | {"b_hn": np.zeros(HIDDEN, "float32")} if "b_hn" in params else params
    )


# --- the same function ---------------------------------------------------------------


@over_flax
def test_equals_linen_on_its_own_weights(kind):
    xs, theirs = random_xs(), nn.RNN(getattr(nn, kind)(HIDDEN), return_carry=True)
    variables = random_like(jax.eval_shape(theirs.init, jax.random.key(0), xs))
    run = jax.jit(theirs.apply)
    expected, ys = run(variables, xs, seq_lengths=jnp.asarray(LENGTHS))
    params = convert.from_linen(kind, variables["params"]["cell"])
    carry, got = our_run(FLAX[kind], params, xs)
    assert_close(carry, expected)
    assert_close(real_steps(got), real_steps(ys))
    assert_same_bits(convert.to_linen(kind, params), variables["params"]["cell"])


@over_flax
def test_equals_nnx_on_its_own_weights(kind):
    xs, theirs = random_xs(), getattr(nnx, kind)(INPUT, HIDDEN, rngs=nnx.Rngs(0))
    weights = random_like(nnx.to_pure_dict(nnx.state(theirs, nnx.Param)))
    params = convert.from_nnx(kind, weights)
    assert_same_bits(convert.to_nnx(kind, params), weights)
    nnx.update(theirs, convert.to_nnx(kind, params))
    expected, ys = nnx.RNN(theirs, return_carry=True)(xs, seq_lengths=LENGTHS)
    carry, got = our_run(FLAX[kind], params, xs)
    assert_close(carry, expected)
    assert_close(real_steps(got), real_steps(ys))


# --- round trips ---------------------------------------------------------------------


@over_flax
def test_flax_and_back(kind):
    params = random_params(CELLS[FLAX[kind]](HIDDEN))
    assert_same_bits(convert.from_linen(kind, convert.to_linen(kind, params)), params)
    params = no_inner_bias(params)
    assert_same_bits(convert.from_nnx(kind, convert.to_nnx(kind, params)), params)


@pytest.mark.parametrize("build", [one_way, bidirectional])
@pytest.mark.parametrize("kind", TORCH)
def test_torch_and_back(kind, build):
    layer = stack([build(CELLS[TORCH[kind]](HIDDEN))] * 2)
    params = random_params(layer)
    state = convert.to_torch(kind, params, prefix="encoder.")
    assert all(name.startswith("encoder.") for name in state)
    assert_same_bits(convert.from_torch(kind, state, prefix="encoder."), params)


@pytest.mark.parametrize("build", [one_way, bidirectional])
@pytest.mark.parametrize("kind", KERAS)
def test_keras_and_back(kind, build):
    params = random_params(build(CELLS[KERAS[kind]](HIDDEN)))
    assert_same_bits(convert.from_keras(kind, convert.to_keras(kind, params)), params)


def test_haiku_and_back():
    """The 1 of the forget gate is added and taken away: rounding, there alone."""
    params = random_params(CELLS["lstm"](HIDDEN))
    back = convert.from_haiku("LSTM", convert.to_haiku("LSTM", params))
    assert_same_bits([back["w_ih"], back["w_hh"]], [params["w_ih"], params["w_hh"]])
    assert_close(back["b"], params["b"], 1e-6)


def test_two_biases_are_added():
    rng = np.random.default_rng(0)
    biases = rng.standard_normal((2, 3 * HIDDEN))
    weights = [rng.standard_normal((n, 3 * HIDDEN)) for n in (INPUT, HIDDEN)]
    params = convert.from_keras("GRU", [*weights, biases])
    z, r, n = (slice(k * HIDDEN, (k + 1) * HIDDEN) for k in range(3))
    both = biases.sum(axis=0)
    np.testing.assert_array_equal(params["b"], [*both[r], *both[z], *biases[0, n]])
    np.testing.assert_array_equal(params["b_hn"], biases[1, n])


def test_without_biases_they_are_zero():
    params = random_params(CELLS["lstm"](HIDDEN))
    plain = params | {"b": np.zeros_like(params["b"])}
    assert_same_bits(
        convert.from_keras("LSTM", [params["w_ih"], params["w_hh"]]), plain
    )
    state = convert.to_torch("LSTM", {"layer_0": params})
    state = {name: w for name, w in state.items() if "bias" not in name}
    assert_same_bits(convert.from_torch("LSTM", state), {"layer_0": plain})


def test_converted_weights_run_in_a_stack():
    """The arrays are NumPy's; what runs them takes them as they are."""
    layer = stack([bidirectional(CELLS["gru"](HIDDEN))] * 2)
    state = convert.to_torch("GRU", random_params(layer))
    params = convert.from_torch("GRU", state)
    lengths = jnp.asarray(LENGTHS)
    xs = random_xs(batch_major=False)
    _, ys = layer.apply(params, xs, lengths=lengths)
    assert ys.shape[1:] == (BATCH, 2 * HIDDEN) and np.isfinite(ys).all()
    ids = jnp.asarray(np.random.default_rng(0).integers(0, INPUT, (2, BATCH)))
    _, from_ids = jax.jit(lambda ids: layer.apply(params, ids))(ids)
    assert_close(from_ids, layer.apply(params, jax.nn.one_hot(ids, INPUT))[1])


# --- refusals ------------------------------------------------------------------------


def lstm_state():
    params = random_params(CELLS["lstm"](HIDDEN))
    return convert.to_torch("LSTM", {"layer_0": params})


REFUSED = {
    "a class of torch that does not exist": (
        lambda: convert.from_torch("Lstm", {}),
        "torch.nn: expected one of LSTM, GRU, RNN, got 'Lstm'",
    ),
    "a GRU that resets before the product": (
        lambda: convert.from_haiku("GRU", {}),
        "haiku: expected one of LSTM, got 'GRU'",
    ),
    "the weights of another class": (
        lambda: convert.from_torch("GRU", lstm_state()),
        "w_ih: expected 3 gates of hidden size 5 .gru., got shape .3, 20.",
    ),
    "a name that is missing": (
        lambda: convert.from_torch("LSTM", lstm_state(), prefix="encoder."),
        "encoder.weight_ih_l0: expected it among the weights, got .'weight_ih_l0'",
    ),
    "a bias that is missing": (
        lambda: convert.from_linen(
            "SimpleCell", {k: {"kernel": np.eye(3)} for k in "ih"}
        ),
        "i/bias: expected it among the weights, got .'kernel'.",
    ),
    "Keras' weights of another class": (
        lambda: convert.from_keras("GRU", [np.ones((3, 20)), np.ones((5, 20))]),
        "weights: expected 3 gates side by side, got shape .3, 20.",
    ),
    "too few arrays": (
        lambda: convert.from_keras("LSTM", [np.ones((3, 20))]),
        "weights: expected 2 or 3 arrays a direction, got 1 arrays",
    ),
    "reset_after=False": (
        lambda: convert.from_keras(
            "GRU", [np.ones((3, 15)), np.ones((5, 15)), np.ones(15)]
        ),
        "GRU: expected reset_after=True, whose bias is .2, 3H.; got bias shape",
    ),
    "an inner bias that NNX does not have": (
        lambda: convert.to_nnx("GRUCell", random_params(CELLS["gru"](HIDDEN))),
        "b_hn: expected zeros, for nnx.GRUCell has no such bias",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_does_not_fit_is_refused(mistake):
    act, message = REFUSED[mistake]
    with pytest.raises(ValueError, match=f"^{message}"):
        act()


EXPORTS = {
    "torch": lambda params: convert.to_torch("LSTM", {"layer_0": params}),
    "Keras": lambda params: convert.to_keras("LSTM", params),
    "Linen": lambda params: convert.to_linen("LSTMCell", params),
    "NNX": lambda params: convert.to_nnx("OptimizedLSTMCell", params),
    "Haiku": lambda params: convert.to_haiku("LSTM", params),
}
ONLY_OURS = [
    *((name, "peephole_lstm", "w_c") for name in EXPORTS),
    *((name, "layer_norm_lstm", "b_c, g_c, g_hh, g_ih") for name in EXPORTS),
    *((name, "lstmp", "w_hr") for name in EXPORTS if name != "torch"),
]


@pytest.mark.parametrize(("library", "cell", "unknown"), ONLY_OURS)
def test_a_cell_that_the_other_library_does_not_have_is_refused(library, cell, unknown):
    params = CELLS[cell](HIDDEN).init(jax.random.key(0), INPUT)
    with pytest.raises(ValueError, match=f"plain lstm .*, got {unknown} too"):
        EXPORTS[library](params)


@pytest.mark.parametrize("kind", TORCH)
def test_what_torch_changes_later_changes_nothing_here(kind):
    """One input: its weights lie in memory as ours do."""
    params = CELLS[TORCH[kind]](HIDDEN).init(jax.random.key(0), 1)
    state = convert.to_torch(kind, {"layer_0": params})
    read = jax.tree.leaves(convert.from_torch(kind, state))
    assert not any(np.shares_memory(a, b) for a in read for b in state.values())
