"""Against other people's cells, a NumPy one, and numbers worked out by hand."""

from math import atanh, log, tanh

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    assert_close,
    both_ways,
    enable_x64,
    make_cell,
    make_problem,
    over_cells,
    over_runs,
    param_shapes,
    random_like,
    run_with_grads,
)
from jax.experimental import rnn as jax_rnn

from lstm_jax import GRUCarry, LSTMCarry, RNNCarry, bidirectional, one_way, stack

# --- NumPy, float64, from the published equations -----------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gates(w, names):
    return dict(zip(names, np.split(np.asarray(w), len(names), axis=-1), strict=True))


def numpy_lstm(params, carry, x):
    w, u, b = (gates(params[name], "ifgo") for name in ("w_ih", "w_hh", "b"))
    c, h = carry
    z = {k: x @ w[k] + h @ u[k] + b[k] for k in "ifgo"}
    c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
    h = sigmoid(z["o"]) * np.tanh(c)
    return (c, h), h


def numpy_gru(params, carry, x):
    w, u, b = (gates(params[name], "rzn") for name in ("w_ih", "w_hh", "b"))
    (h,) = carry
    r, z = (sigmoid(x @ w[k] + h @ u[k] + b[k]) for k in "rz")
    candidate = h @ u["n"] + np.asarray(params["b_hn"])
    n = np.tanh(x @ w["n"] + b["n"] + r * candidate)
    h = n + z * (h - n)
    return (h,), h


def numpy_rnn(params, carry, x):
    w, u, b = (np.asarray(params[name]) for name in ("w_ih", "w_hh", "b"))
    h = np.tanh(x @ w + carry[0] @ u + b)
    return (h,), h


def numpy_coupled_lstm(params, carry, x):
    w, u, b = (gates(params[name], "fgo") for name in ("w_ih", "w_hh", "b"))
    c, h = carry
    f, g, o = (x @ w[k] + h @ u[k] + b[k] for k in "fgo")
    c = np.tanh(g) + sigmoid(f) * (c - np.tanh(g))
    h = sigmoid(o) * np.tanh(c)
    return (c, h), h


def numpy_peephole_lstm(params, carry, x):
    w, u, b = (gates(params[name], "ifgo") for name in ("w_ih", "w_hh", "b"))
    w_i, w_f, w_o = np.asarray(params["w_c"], np.float64)
    c, h = carry
    z = {k: x @ w[k] + h @ u[k] + b[k] for k in "ifgo"}
    kept, new = sigmoid(z["f"] + w_f * c) * c, sigmoid(z["i"] + w_i * c)
    c = kept + new * np.tanh(z["g"])
    h = sigmoid(z["o"] + w_o * c) * np.tanh(c)
    return (c, h), h


def standardize(a):
    return (a - a.mean()) / np.sqrt(a.var() + 1e-5)


def numpy_layer_norm_lstm(params, carry, x):
    p = {name: np.asarray(w, np.float64) for name, w in params.items()}
    c, h = carry
    a = p["g_ih"] * standardize(x @ p["w_ih"])
    a = a + p["g_hh"] * standardize(h @ p["w_hh"]) + p["b"]
    z = gates(a, "ifgo")
    c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
    h = sigmoid(z["o"]) * np.tanh(p["g_c"] * standardize(c) + p["b_c"])
    return (c, h), h


def numpy_lstmp(params, carry, x):
    w, u, b = (gates(params[name], "ifgo") for name in ("w_ih", "w_hh", "b"))
    c, h = carry
    z = {k: x @ w[k] + h @ u[k] + b[k] for k in "ifgo"}
    c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
    h = (sigmoid(z["o"]) * np.tanh(c)) @ np.asarray(params["w_hr"], np.float64)
    return (c, h), h


def numpy_zoneout_lstm(params, carry, x, hold_c=0.5, hold_h=0.05):
    c, h = carry
    (new_c, new_h), _ = numpy_lstm(params, carry, x)
    h = hold_h * h + (1 - hold_h) * new_h
    return (hold_c * c + (1 - hold_c) * new_c, h), h


NUMPY = {
    "lstm": numpy_lstm,
    "gru": numpy_gru,
    "rnn": numpy_rnn,
    "coupled_lstm": numpy_coupled_lstm,
    "layer_norm_lstm": numpy_layer_norm_lstm,
    "lstmp": numpy_lstmp,
    "peephole_lstm": numpy_peephole_lstm,
    "zoneout_lstm": numpy_zoneout_lstm,
}


def numpy_run(cell, params, carry, rows, reverse=False):
    """``rows``: each sequence's real tokens ``[length, D]``.  No padding, no mask."""
    last, outputs = [], []
    for row, tokens in enumerate(rows):
        state = tuple(np.asarray(leaf, np.float64)[row] for leaf in carry)
        ys = []
        for x in tokens[::-1] if reverse else tokens:
            state, y = NUMPY[cell](params, state, x)
            ys.append(y)
        last.append(state)
        ys = np.reshape(ys, (-1, state[-1].shape[-1]))  # h is a carry's last field
        outputs.append(ys[::-1] if reverse else ys)
    return type(carry)(*map(np.stack, zip(*last, strict=True))), outputs


def numpy_both(cell, params, carry, rows):
    first, ys = numpy_run(cell, params["forward"], carry[0], rows)
    last, zs = numpy_run(cell, params["backward"], carry[1], rows, reverse=True)
    outputs = [np.concatenate(pair, axis=-1) for pair in zip(ys, zs, strict=True)]
    return type(carry)(first, last), outputs


def to_rows(xs, lengths):
    xs = np.asarray(xs, np.float64)
    return [xs[:length, row] for row, length in enumerate(lengths)]


def pad(rows, steps):
    return np.stack([np.pad(r, ((0, steps - len(r)), (0, 0))) for r in rows], axis=1)


@both_ways
@over_runs
def test_equals_numpy_on_each_rows_real_tokens(cell, implementation, reverse):
    problem = make_problem(cell)
    rows = to_rows(problem.xs, problem.lengths)
    carry, ys = numpy_run(cell, problem.params, problem.carry, rows, reverse)
    got, _ = run_with_grads(problem, cell, implementation, reverse)
    assert_close(got, (carry, pad(ys, len(problem.xs))))


@over_cells
def test_a_bidirectional_stack_equals_numpy_in_float64(cell):
    with enable_x64(True):
        made, steps, lengths = make_cell(cell), 5, (5, 0, 1, 3)
        layer = stack([bidirectional(made), bidirectional(made), one_way(made)])
        params = random_like(param_shapes(layer.init, 3, "float64"), seed=1)
        carry = random_like(layer.initial_carry((4,), "float64"), seed=2)
        xs = random_like(jax.ShapeDtypeStruct((steps, 4, 3), "float64"), seed=3)
        got = jax.jit(layer.apply)(params, xs, carry=carry, lengths=jnp.array(lengths))

    first, rows = numpy_both(cell, params["layer_0"], carry[0], to_rows(xs, lengths))
    second, rows = numpy_both(cell, params["layer_1"], carry[1], rows)
    third, rows = numpy_run(cell, params["layer_2"], carry[2], rows)
    assert_close(got, ((first, second, third), pad(rows, steps)), 1e-12)


# --- by hand ----------------------------------------------------------------------


def column(*numbers):
    return jnp.array([numbers], jnp.float32)


def test_lstm_step_worked_by_hand():
    params = {
        "w_ih": column(2, log(3), atanh(0.5), 0),
        "w_hh": column(-1, 0.5, 0, -log(3) / 2),
        "b": column(0, -1, 0, 0)[0],
    }
    # x = 1, h = 2: i = 1/2, f = 3/4, g = 1/2, o = 1/4
    carry = LSTMCarry(c=column(2), h=column(2))
    carry, y = make_cell("lstm", 1).step(params, carry, column(1))
    assert float(carry.c[0, 0]) == pytest.approx(1.75)  # 3/4 * 2 + 1/2 * 1/2
    assert float(carry.h[0, 0]) == pytest.approx(tanh(1.75) / 4)
    assert y == carry.h


def test_gru_step_worked_by_hand():
    params = {
        "w_ih": column(log(3), 0, -0.3),
        "w_hh": column(0, -log(9), 4),
        "b": column(0, 0, 0.2)[0],
        "b_hn": column(-1.2)[0],
    }
    # x = 1, h = 1/2: r = 3/4, z = 1/4, n = tanh(-0.1 + 3/4 * (2 - 1.2))
    carry = GRUCarry(h=column(0.5))
    carry, y = make_cell("gru", 1).step(params, carry, column(1))
    assert float(carry.h[0, 0]) == pytest.approx(0.75 * tanh(0.5) + 0.125)
    assert y == carry.h


def test_rnn_step_worked_by_hand():
    params = {"w_ih": column(0.3), "w_hh": column(0.4), "b": column(0.1)[0]}
    carry = RNNCarry(h=column(0.5))
    carry, y = make_cell("rnn", 1).step(params, carry, column(1))
    assert float(carry.h[0, 0]) == pytest.approx(tanh(0.6))
    assert y == carry.h


# --- Flax ---------------------------------------------------------------------------


def dense(kernels, biases):
    tree = {name: {"kernel": kernel} for name, kernel in kernels.items()}
    for name, bias in biases.items():
        tree[name]["bias"] = bias
    return {"params": tree}


def to_linen(cell, params):
    """Our parameters in the layout of flax.linen's cells."""
    names = {"lstm": "ifgo", "gru": "rzn", "rnn": [""]}[cell]
    w, u, b = (gates(params[name], names) for name in ("w_ih", "w_hh", "b"))
    kernels = {f"i{k}": w[k] for k in names} | {f"h{k}": u[k] for k in names}
    if cell == "lstm":
        return dense(kernels, {f"h{k}": b[k] for k in names})
    biases = {f"i{k}": b[k] for k in names}
    if cell == "gru":
        biases["hn"] = params["b_hn"]
    return dense(kernels, biases)


LINEN = [
    ("lstm", "LSTMCell"),
    ("lstm", "OptimizedLSTMCell"),
    ("gru", "GRUCell"),
    ("rnn", "SimpleCell"),
]
over_linen = pytest.mark.parametrize(("cell", "linen_name"), LINEN)


def bare(carry):
    """Flax's carry: ``(c, h)``, or ``h`` alone."""
    return tuple(carry) if len(carry) > 1 else carry[0]


@pytest.fixture
def loose_promotion():
    """Flax promotes where our code may not."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@over_linen
def test_a_step_equals_flax_linen(cell, linen_name, loose_promotion):
    linen = pytest.importorskip("flax.linen")
    problem = make_problem(cell)
    theirs = getattr(linen, linen_name)(4)
    expected = theirs.apply(
        to_linen(cell, problem.params), bare(problem.carry), problem.xs[0]
    )
    carry, y = make_cell(cell).step(problem.params, problem.carry, problem.xs[0])
    assert_close((bare(carry), y), expected)


@both_ways
@pytest.mark.parametrize(("cell", "linen_name"), LINEN[1:])
def test_a_sequence_equals_flax_linen_rnn(cell, linen_name, reverse, loose_promotion):
    linen = pytest.importorskip("flax.linen")
    # Flax leaves the padded outputs as they fall, and length 0 unsupported.
    problem = make_problem(cell)._replace(lengths=jnp.array([6, 2, 1, 4]))
    theirs = linen.RNN(
        getattr(linen, linen_name)(4),
        time_major=True,
        return_carry=True,
        reverse=reverse,
        keep_order=True,
    )
    params = {"params": {"cell": to_linen(cell, problem.params)["params"]}}
    expected, ys = jax.jit(theirs.apply)(
        params,
        problem.xs,
        initial_carry=bare(problem.carry),
        seq_lengths=problem.lengths,
    )
    (carry, got), _ = run_with_grads(problem, cell, "scan", reverse)
    assert_close(bare(carry), expected)
    rows = zip(to_rows(got, problem.lengths), to_rows(ys, problem.lengths), strict=True)
    for ours, other in rows:
        assert_close(ours, other)


def test_a_sequence_equals_flax_nnx_rnn(loose_promotion):
    nnx = pytest.importorskip("flax.nnx")
    problem = make_problem("lstm")._replace(lengths=jnp.array([6, 2, 1, 4]))
    theirs = nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0))
    theirs.dense_i.kernel = nnx.Param(problem.params["w_ih"])
    theirs.dense_h.kernel = nnx.Param(problem.params["w_hh"])
    theirs.dense_h.bias = nnx.Param(problem.params["b"])
    expected, ys = nnx.RNN(theirs, time_major=True, return_carry=True)(
        problem.xs, initial_carry=tuple(problem.carry), seq_lengths=problem.lengths
    )
    (carry, got), _ = run_with_grads(problem, "lstm")
    assert_close(tuple(carry), expected)
    assert_close(to_rows(got, problem.lengths), to_rows(ys, problem.lengths))


# --- jax.experimental.rnn -------------------------------------------------------------


def test_a_bidirectional_stack_equals_jaxs_reference():
    """The reference that jax checks its cuDNN LSTM against; lengths from 1."""
    made, lengths = make_cell("lstm"), jnp.array([7, 2, 1, 4], jnp.int32)
    layer = stack([bidirectional(made), bidirectional(made)])
    params = random_like(param_shapes(layer.init, 3), seed=1)
    carry = random_like(layer.initial_carry((4,)), seed=2)
    xs = random_like(jax.ShapeDtypeStruct((7, 4, 3), "float32"), seed=3)

    ways = [params[n][way] for n in params for way in ("forward", "backward")]
    starts = [start for both in carry for start in both]
    ys, h, c = jax_rnn.lstm_ref(
        xs.transpose(1, 0, 2),
        jnp.stack([start.h for start in starts]),
        jnp.stack([start.c for start in starts]),
        {n: way["w_ih"].T for n, way in enumerate(ways)},
        {n: way["w_hh"].T for n, way in enumerate(ways)},
        {n: way["b"] for n, way in enumerate(ways)},
        {n: jnp.zeros_like(way["b"]) for n, way in enumerate(ways)},
        lengths,
        input_size=3,
        hidden_size=4,
        num_layers=2,
        dropout=0.0,
        bidirectional=True,
    )
    carries, got = jax.jit(layer.apply)(params, xs, carry=carry, lengths=lengths)
    last = [end for both in carries for end in both]
    assert_close(got, ys.transpose(1, 0, 2))
    assert_close(jnp.stack([end.h for end in last]), h)
    assert_close(jnp.stack([end.c for end in last]), c)
