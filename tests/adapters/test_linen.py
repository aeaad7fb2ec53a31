"""Linen: our cells inside ``nn.RNN``, and our layers with the batch first."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from sequences import (
    BATCH,
    HIDDEN,
    INPUT,
    LENGTHS,
    STEPS,
    assert_close,
    assert_same_bits,
    random_like,
    random_params,
    random_xs,
    real_steps,
)

from lstm_jax import (
    CELLS,
    bidirectional,
    convert,
    lstm,
    one_way,
    stack,
    unroll,
    zoneout_lstm,
)
from lstm_jax import linen as ours

CELL = {"lstm": ours.LSTMCell, "gru": ours.GRUCell, "rnn": ours.RNNCell}
LAYER = {"lstm": ours.LSTM, "gru": ours.GRU, "rnn": ours.RNN}
over_cells = pytest.mark.parametrize("cell", CELL)
lengths = jnp.asarray(LENGTHS)


def flip(ys, lengths=LENGTHS):
    """The real steps of each row of ``[B, T, H]`` backwards."""
    flipped = np.array(ys)
    for row, length in zip(flipped, lengths, strict=True):
        row[:length] = row[:length][::-1]
    return flipped


def our_run(cell, params, xs, **how):
    carry, ys = unroll(CELLS[cell](HIDDEN), params, xs.swapaxes(0, 1), **how)
    return carry, ys.swapaxes(0, 1)


def in_rnn(cell, params, xs, *, run=None, **options):
    """``nn.RNN`` over our cell with these params: ``(carry, ys)``."""
    rnn = nn.RNN(CELL[cell](HIDDEN), return_carry=True, **options)
    apply = jax.jit(partial(rnn.apply, **(run or {})))
    return apply({"params": {"cell": params}}, xs)


# --- the cell inside Flax' own RNN ------------------------------------------------


@over_cells
@pytest.mark.parametrize("reverse", [False, True])
def test_inside_rnn_with_lengths_it_is_unroll(cell, reverse):
    params, xs = random_params(CELLS[cell](HIDDEN)), random_xs()
    carry = random_like(CELLS[cell](HIDDEN).initial_carry((BATCH,)), 3)
    expected = our_run(cell, params, xs, lengths=lengths, reverse=reverse, carry=carry)
    how = {"seq_lengths": lengths, "initial_carry": carry}
    last, ys = in_rnn(cell, params, xs, run=how, reverse=reverse, keep_order=True)
    assert type(last) is type(carry)
    assert_close(last, expected[0])
    assert_close(real_steps(ys), real_steps(expected[1]))
    assert not np.allclose(ys[1, :1], ys[1, 1:2], atol=1e-3)


def test_without_keep_order_a_reversed_rnn_gives_the_outputs_backwards():
    params, xs = random_params(CELLS["gru"](HIDDEN)), random_xs()
    how = {"seq_lengths": lengths}
    kept = in_rnn("gru", params, xs, run=how, reverse=True, keep_order=True)
    _, ys = in_rnn("gru", params, xs, run=how, reverse=True)
    assert_close(real_steps(ys), real_steps(flip(kept[1])))
    assert not np.allclose(ys[1], kept[1][1], atol=1e-3)


def test_time_major():
    params, xs = random_params(CELLS["lstm"](HIDDEN)), random_xs()
    carry, ys = in_rnn("lstm", params, xs)
    time_first = in_rnn("lstm", params, xs.swapaxes(0, 1), time_major=True)
    assert_close((carry, ys.swapaxes(0, 1)), time_first)


def test_the_carry_goes_on_where_it_stopped():
    params, xs = random_params(CELLS["lstm"](HIDDEN)), random_xs()
    carry, first = in_rnn("lstm", params, xs[:, :2])
    last, rest = in_rnn("lstm", params, xs[:, 2:], run={"initial_carry": carry})
    whole = in_rnn("lstm", params, xs)
    assert_close((last, np.concatenate([first, rest], axis=1)), whole)


def test_bidirectional_is_our_bidirectional():
    layer = bidirectional(CELLS["gru"](HIDDEN))
    params, xs = random_params(layer), random_xs()
    theirs = nn.Bidirectional(
        nn.RNN(ours.GRUCell(HIDDEN)), nn.RNN(ours.GRUCell(HIDDEN)), return_carry=True
    )
    ways = {f"{way}_rnn": {"cell": params[way]} for way in ("forward", "backward")}
    run = jax.jit(partial(theirs.apply, seq_lengths=lengths))
    carry, ys = run({"params": ways}, xs)
    run = jax.jit(layer.apply)
    expected, zs = run(params, xs.swapaxes(0, 1), lengths=lengths)
    assert_close(carry, expected)
    assert_close(real_steps(ys), real_steps(zs.swapaxes(0, 1)))


def test_nothing_of_a_trace_is_kept():
    """Flax traces the initialisers again, to compare shapes."""
    layer, xs = ours.LSTM(HIDDEN), random_xs()
    variables = layer.init(jax.random.key(0), xs)
    with jax.checking_leaks():
        jax.jit(layer.apply)(variables, xs)


def test_nested_in_a_module_of_ones_own():
    class Tagger(nn.Module):
        @nn.compact
        def __call__(self, xs):
            ys = nn.RNN(ours.LSTMCell(HIDDEN))(xs)
            ys = nn.RNN(ours.GRUCell(HIDDEN))(ys)
            return nn.Dense(2)(ys)

    xs = random_xs()
    variables = random_like(jax.eval_shape(Tagger().init, jax.random.key(0), xs))
    params = variables["params"]
    shapes = jax.tree.map(jnp.shape, params["LSTMCell_0"])
    assert shapes == {"w_ih": (3, 20), "w_hh": (5, 20), "b": (20,)}
    ys = in_rnn("lstm", params["LSTMCell_0"], xs)[1]
    ys = in_rnn("gru", params["GRUCell_0"], ys)[1]
    expected = nn.Dense(2).apply({"params": params["Dense_0"]}, ys)
    assert_close(jax.jit(Tagger().apply)(variables, xs), expected)


def test_more_than_one_batch_dimension():
    params, xs = random_params(CELLS["rnn"](HIDDEN)), random_xs()
    folded = xs.reshape(2, 2, STEPS, INPUT)
    carry, ys = in_rnn("rnn", params, folded)
    expected, zs = in_rnn("rnn", params, xs)
    assert_close(ys.reshape(zs.shape), zs)
    assert_close(carry.h.reshape(expected.h.shape), expected.h)


def test_the_cell_starts_as_the_core_does():
    """Drawn by Flax' keys, but from the same distributions: the forget bias is 1."""
    xs = random_xs()
    variables = jax.jit(nn.RNN(ours.LSTMCell(HIDDEN)).init)(jax.random.key(0), xs)
    params = variables["params"]["cell"]
    assert params["b"].tolist() == [0] * 5 + [1] * 5 + [0] * 10
    for block in np.split(np.asarray(params["w_hh"]), 4, axis=1):
        assert_close(block.T @ block, np.eye(5))
    plain = ours.LSTMCell(HIDDEN, cell=partial(lstm, forget_bias=0.0))
    carry = plain.initialize_carry(jax.random.key(0), (BATCH, INPUT))
    params = jax.jit(plain.init)(jax.random.key(0), carry, xs[:, 0])["params"]
    assert not params["b"].any()


def random_variables(module):
    """Random weights for a layer, from the shapes that its ``init`` gives."""
    return random_like(jax.eval_shape(module.init, jax.random.key(0), random_xs()))


# --- the layer ----------------------------------------------------------------------


@over_cells
@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
def test_a_layer_is_a_stack_with_the_batch_first(cell, both):
    build = bidirectional if both else one_way
    layer = stack([build(CELLS[cell](HIDDEN))] * 2)
    params, xs = random_params(layer), random_xs()
    start = random_like(layer.initial_carry((BATCH,)), 3)
    how = {"lengths": jnp.array([4, STEPS, 0, 3]), "carry": start}
    carry, ys = jax.jit(layer.apply)(params, xs.swapaxes(0, 1), **how)
    module = LAYER[cell](HIDDEN, num_layers=2, bidirectional=both)
    got = jax.jit(module.apply)({"params": params}, xs, **how)
    assert jax.tree.structure(got[0]) == jax.tree.structure(carry)
    assert_close(got, (carry, ys.swapaxes(0, 1)))


def test_weights_of_torch_drop_in():
    layer = stack([bidirectional(CELLS["lstm"](HIDDEN))] * 2)
    state = convert.to_torch("LSTM", random_params(layer))
    params, xs = convert.from_torch("LSTM", state), random_xs()
    module = ours.LSTM(HIDDEN, num_layers=2, bidirectional=True)
    declared = jax.eval_shape(module.init, jax.random.key(0), xs)["params"]
    assert jax.tree.map(jnp.shape, declared) == jax.tree.map(jnp.shape, params)
    _, ys = jax.jit(module.apply)({"params": params}, xs)
    _, expected = jax.jit(layer.apply)(params, xs.swapaxes(0, 1))
    assert_close(ys, expected.swapaxes(0, 1))


def test_the_last_carry_can_be_handed_in_again():
    module, xs = ours.GRU(HIDDEN, num_layers=2), random_xs()
    variables, apply = random_variables(module), jax.jit(module.apply)
    zeros = module.initial_carry(BATCH)
    carry, first = apply(variables, xs[:, :3], carry=zeros)
    last, rest = apply(variables, xs[:, 3:], carry=carry)
    whole = apply(variables, xs)
    assert_close((last, jnp.concatenate([first, rest], axis=1)), whole)


def test_dropout_is_for_training_and_between_layers_alone():
    xs, two = random_xs(), ours.LSTM(HIDDEN, num_layers=2, dropout_rate=0.5)
    variables, apply = (
        random_variables(two),
        jax.jit(two.apply, static_argnames="train"),
    )

    def run(seed):
        return apply(variables, xs, train=True, rngs={"dropout": jax.random.key(seed)})

    one, other = run(0), run(1)
    assert_same_bits(run(0), one)
    assert not np.allclose(one[1], other[1], atol=1e-3)
    assert not np.allclose(one[1], apply(variables, xs)[1], atol=1e-3)
    alone = ours.LSTM(HIDDEN, dropout_rate=0.5)
    variables, apply = (
        random_variables(alone),
        jax.jit(partial(alone.apply, train=True)),
    )
    assert_close(apply(variables, xs), jax.jit(alone.apply)(variables, xs))


def test_what_a_cell_draws_is_for_training_alone():
    module = ours.Recurrent(HIDDEN, cell=zoneout_lstm)
    variables, xs = random_variables(module), random_xs()
    run = jax.jit(partial(module.apply, train=True))
    one, other = (
        run(variables, xs, rngs={"dropout": jax.random.key(n)})[1] for n in range(2)
    )
    assert not np.allclose(one, other, atol=1e-3)
    assert not np.allclose(one, jax.jit(module.apply)(variables, xs)[1], atol=1e-3)


def test_the_layers_do_not_start_from_the_same_weights():
    module, xs = ours.RNN(INPUT, num_layers=2, bidirectional=True), random_xs()
    params = jax.jit(module.init)(jax.random.key(0), xs)["params"]
    hidden = [w for path, w in jax.tree.leaves_with_path(params) if "w_hh" in str(path)]
    assert len(hidden) == 4
    for n, w in enumerate(hidden):
        assert not any(np.allclose(w, other) for other in hidden[:n])


def test_parameters_and_carry_in_bfloat16_and_float32():
    module, xs = ours.LSTM(HIDDEN, param_dtype=jnp.bfloat16), random_xs()
    variables = jax.jit(module.init)(jax.random.key(0), xs)
    assert {w.dtype for w in jax.tree.leaves(variables)} == {jnp.dtype("bfloat16")}
    carry, ys = jax.eval_shape(module.apply, variables, xs.astype(jnp.bfloat16))
    assert (carry[0].c.dtype, ys.dtype) == (jnp.float32, jnp.bfloat16)


@pytest.mark.parametrize("param_dtype", [jnp.bfloat16, jnp.float16])
def test_carries_are_float32_where_promotion_is_strict(param_dtype):
    cell = ours.LSTMCell(HIDDEN, param_dtype=param_dtype)
    layer = ours.LSTM(HIDDEN, param_dtype=param_dtype)
    with jax.numpy_dtype_promotion("strict"):
        carries = [cell.initialize_carry(jax.random.key(0), (2, INPUT))]
        carries += layer.initial_carry(2)
    assert {a.dtype for a in jax.tree.leaves(carries)} == {jnp.dtype("float32")}


def test_a_layer_learns():
    """Whether the first feature adds up to more than nothing over the real steps."""
    rng = np.random.default_rng(2)
    xs = jnp.asarray(rng.standard_normal((64, STEPS, INPUT)), "float32")
    counts = jnp.asarray(rng.integers(1, STEPS + 1, 64))
    real = (jnp.arange(STEPS) < counts[:, None])[..., None]
    labels = ((xs * real)[..., 0].sum(axis=1) > 0).astype("float32")

    class Classifier(nn.Module):
        @nn.compact
        def __call__(self, xs, counts):
            carry, _ = ours.LSTM(8)(xs, counts)
            return nn.Dense(1)(carry[0].h)[:, 0]

    model, optimizer = Classifier(), optax.adam(0.03)
    variables = jax.jit(model.init)(jax.random.key(0), xs, counts)
    state = optimizer.init(variables)

    def loss(variables):
        logits = model.apply(variables, xs, counts)
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

    @jax.jit
    def train(variables, state):
        updates, state = optimizer.update(jax.grad(loss)(variables), state)
        return optax.apply_updates(variables, updates), state

    for _ in range(100):
        variables, state = train(variables, state)
    assert loss(variables) < 0.2


MISTAKES = {
    "a batch without time": (
        {"xs": jnp.ones((BATCH, INPUT))},
        r"xs: expected floats \[B, T, D\], got float32 \[4, 3\]",
    ),
    "token ids": (
        {"xs": jnp.ones((BATCH, STEPS, INPUT), jnp.int32)},
        r"xs: expected floats \[B, T, D\], got int32 \[4, 6, 3\]",
    ),
    "lengths of another batch": (
        {"lengths": jnp.ones(3, jnp.int32)},
        r"lengths: expected the batch shape of xs, \(4,\), got \(3,\)",
    ),
    "a carry of another batch": (
        {"carry": ours.LSTM(HIDDEN).initial_carry(3)},
        r"carry: expected the shapes \(LSTMCarry\(c=\(4, 5\), h=\(4, 5\)\),\), got",
    ),
    "a carry without layers": (
        {"carry": CELLS["lstm"](HIDDEN).initial_carry((BATCH,))},
        r"carry: expected the shapes \(LSTMCarry\(c=\(4, 5\), h=\(4, 5\)\),\), got",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_does_not_fit_is_refused(mistake):
    changes, message = MISTAKES[mistake]
    module = ours.LSTM(HIDDEN)
    variables = random_variables(module)
    given = {"xs": random_xs(), **changes}
    with pytest.raises(ValueError, match=f"^{message}"):
        module.apply(variables, **given)


def test_weights_of_another_width_are_refused():
    variables = random_variables(ours.LSTM(HIDDEN))
    with pytest.raises(Exception, match="shape"):
        ours.LSTM(HIDDEN + 1).apply(variables, random_xs())


@over_cells
def test_a_cell_takes_no_integers(cell):
    """Nothing says how many numbers there are; the batch would be taken for it."""
    made = CELL[cell](HIDDEN)
    carry = made.initialize_carry(jax.random.key(0), (BATCH, INPUT))
    with pytest.raises(ValueError, match=r"^inputs: expected floats .*, got int32"):
        made.init(jax.random.key(0), carry, jnp.zeros(BATCH, jnp.int32))
