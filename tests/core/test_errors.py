"""A mistake is named before anything runs: what was expected, and what was got."""

import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from cases import make_cell, make_problem, over_cells

from lstm_jax import (
    CELLS,
    bidirectional,
    gru,
    gru_cell,
    lstm,
    lstm_cell,
    one_way,
    rnn,
    rnn_cell,
    stack,
    trace,
    unroll,
)
from lstm_jax.kernels import IMPLEMENTATIONS
from lstm_jax.min_lstm import (
    MinLSTMCarry,
    min_lstm,
    min_lstm_cell,
    min_lstm_unroll,
)


def refuses(message):
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


@over_cells
@pytest.mark.parametrize("size", [0, -1, 2.5, "4", np.array(2.5)])
def test_sizes(cell, size):
    with refuses(f"hidden_size: expected an integer >= 1, got {size!r}"):
        CELLS[cell](size)
    with refuses(f"input_size: expected an integer >= 1, got {size!r}"):
        make_cell(cell).init(jax.random.key(0), size)


MISTAKES = {
    "implementation": (
        {"implementation": "fast"},
        f"implementation: expected one of {IMPLEMENTATIONS}, got 'fast'",
    ),
    "unroll": ({"unroll": 0}, "unroll: expected an integer >= 1 or None, got 0"),
    "half a chunk": (
        {"chunk_size": 2.5},
        "chunk_size: expected an integer >= 1 or None, got 2.5",
    ),
    "xs without time": (
        {"xs": jnp.zeros(3), "lengths": None},
        "xs: expected shape [T, B, D], or integers [T, B], got (3,)",
    ),
    "lengths of another batch": (
        {"lengths": jnp.ones(5, jnp.int32)},
        "lengths: expected the batch shape of xs, (4,), got (5,)",
    ),
    "one length for all": (
        {"lengths": jnp.int32(3)},
        "lengths: expected the batch shape of xs, (4,), got ()",
    ),
    "a mask for lengths": (
        {"lengths": jnp.ones((6, 4), bool)},
        "lengths: expected the batch shape of xs, (4,), got (6, 4)",
    ),
    "float lengths": (
        {"lengths": jnp.ones(4)},
        "lengths: expected integers, got float32",
    ),
    "bool lengths": (
        {"lengths": jnp.ones(4, bool)},
        "lengths: expected integers, got bool",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_unroll(mistake):
    changes, message = MISTAKES[mistake]
    problem = make_problem("lstm")
    options = {"xs": problem.xs, "lengths": problem.lengths} | changes
    with refuses(message):
        unroll(make_cell("lstm"), problem.params, **options)


def test_unroll_under_jit():
    problem = make_problem("lstm")

    @jax.jit
    def apply(lengths):
        return unroll(make_cell("lstm"), problem.params, problem.xs, lengths=lengths)

    with pytest.raises(ValueError, match="^lengths: expected the batch shape of xs"):
        apply(jnp.ones(5, jnp.int32))


@pytest.mark.parametrize("make_layer", [one_way, bidirectional])
def test_layers_pass_a_mistake_on(make_layer):
    layer = make_layer(make_cell("gru"), implementation="fast")
    problem = make_problem("gru")
    params = problem.params
    if make_layer is bidirectional:
        params = {"forward": params, "backward": params}
    with pytest.raises(ValueError, match="^implementation: expected one of"):
        layer.apply(params, problem.xs)


def test_a_stack_of_nothing():
    with refuses("layers: expected at least one, got none"):
        stack([])


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_dropout_rate(rate):
    with refuses(f"dropout_rate: expected 0 <= rate < 1, got {rate}"):
        stack([one_way(make_cell("rnn"))], dropout_rate=rate)


def test_a_stack_needs_one_carry_a_layer():
    layer = stack([one_way(make_cell("rnn"))] * 2)
    params = layer.init(jax.random.key(0), 4)
    with refuses("carry: expected 2, one a layer, got 1"):
        layer.apply(params, jnp.ones((5, 2, 4)), carry=layer.initial_carry((2,))[:1])


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_both_directions_need_a_carry_each(cell):
    layer = bidirectional(make_cell(cell))
    params = layer.init(jax.random.key(0), 4)
    with refuses("carry: expected 2, one a direction, got 1"):
        carry = make_cell(cell).initial_carry((2,))
        layer.apply(params, jnp.ones((5, 2, 4)), carry=carry)


CARRIES = {
    "of another batch": lambda carry: jax.tree.map(lambda a: a[1:], carry),
    "a tuple without names": tuple,
    "one array": lambda carry: carry[0],
    "that of a stack": lambda carry: (carry,),
}


@over_cells
@pytest.mark.parametrize("change", CARRIES)
def test_a_carry_that_is_not_the_cells(cell, change):
    params, carry, xs, _ = make_problem(cell)
    wanted = re.escape(f"{jax.tree.map(jnp.shape, carry)}")
    with pytest.raises(ValueError, match=f"^carry: expected the shapes {wanted}, got "):
        unroll(make_cell(cell), params, xs, carry=CARRIES[change](carry))


@over_cells
def test_inputs_and_parameters_that_are_not_the_cells(cell):
    params, _, xs, _ = make_problem(cell)
    made, larger = make_cell(cell), make_cell(cell, 6)
    wide = jnp.concatenate([xs, xs], axis=-1)
    for run in (unroll, trace):
        with pytest.raises(ValueError, match="^xs?: expected 3 features, .*, got "):
            run(made, params, wide)
        with pytest.raises(ValueError, match=r"^params: expected b.* \(6, .*, got b"):
            run(larger, params, xs)


# Their gates would be one unit wide, in another order, or without what they look at.
CONFUSED = [
    ("lstm", "rnn"),
    ("zoneout_lstm", "rnn"),
    ("coupled_lstm", "gru"),
    ("lstm", "peephole_lstm"),
    ("peephole_lstm", "lstm"),
    ("layer_norm_lstm", "lstm"),
]


@pytest.mark.parametrize(("cell", "other"), CONFUSED)
def test_parameters_of_another_cell(cell, other):
    problem = make_problem(other)
    with pytest.raises(ValueError, match="^params: expected b .*, got b"):
        unroll(make_cell(cell), problem.params, problem.xs)


@pytest.mark.parametrize("shape", [(1,), (2, 16), ()])
def test_a_bias_that_would_be_broadcast(shape):
    params, _, xs, _ = make_problem("lstm")
    with pytest.raises(ValueError, match="^params: expected b .*, got b"):
        unroll(make_cell("lstm"), params | {"b": jnp.ones(shape)}, xs)


def test_nothing_is_made_of_weights_that_are_not_there():
    params, _, xs, _ = make_problem("gru")
    for name in params:
        rest = {k: w for k, w in params.items() if k != name}
        with pytest.raises(ValueError, match=f"^params: expected .*{name} "):
            unroll(make_cell("gru"), rest, xs)


def test_numbers_that_are_no_floats():
    """In integers every sum would be rounded; an imaginary part would be lost."""
    params, carry, xs, _ = make_problem("lstm")
    whole = jax.tree.map(lambda a: a.astype(int), carry)
    thin = min_lstm(4).init(jax.random.key(0), xs.shape[-1])
    started = MinLSTMCarry(whole.h)
    for run in (
        lambda: unroll(make_cell("lstm"), params, xs, carry=whole),
        lambda: make_cell("lstm").step(params, whole, xs[0]),
        lambda: min_lstm_unroll(thin, xs, carry=started),
    ):
        with refuses("carry: expected floats, got int32"):
            run()
    for run in (
        lambda: unroll(make_cell("lstm"), params, xs.astype(complex)),
        lambda: min_lstm_unroll(thin, xs.astype(complex)),
    ):
        with pytest.raises(ValueError, match="^x: expected floats, .*, got complex64"):
            run()


def test_lengths_that_are_no_array():
    params, _, xs, _ = make_problem("lstm")
    with refuses("lengths: expected an array of integers, got a list"):
        unroll(make_cell("lstm"), params, xs, lengths=[1, 2])


def test_chunks_of_an_open_number_of_steps():
    params, _, xs, _ = make_problem("lstm")
    (steps,) = jax.export.symbolic_shape("T")
    like = jax.ShapeDtypeStruct((steps, *xs.shape[1:]), xs.dtype)
    run = jax.jit(lambda xs: unroll(make_cell("lstm"), params, xs, chunk_size=2)[1])
    with pytest.raises(ValueError, match="^chunk_size: expected None for .*, T, got 2"):
        jax.export.export(run)(like)


@over_cells
def test_booleans_are_refused(cell):
    """Weights of their dtype would all be true."""
    params, carry, xs, _ = make_problem(cell)
    message = "x: expected floats, or integers for one-hot vectors, got booleans; "
    for run in (
        lambda: unroll(make_cell(cell), params, xs > 0),
        lambda: make_cell(cell).step(params, carry, xs[0] > 0),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            run()


@over_cells
def test_a_step_of_other_rows_than_the_carry(cell):
    """One row would go with any: the carry that comes out would be another."""
    problem, made = make_problem(cell), make_cell(cell)
    carry = made.initial_carry((1,))
    for x in (problem.xs[0], jnp.zeros((1, 3), jnp.int32)):
        with pytest.raises(ValueError, match=r"^x: expected the rows of the carry, "):
            made.step(problem.params, carry, x)


MADE = {lstm_cell: lstm, gru_cell: gru, rnn_cell: rnn, min_lstm_cell: min_lstm}


@pytest.mark.parametrize("step", MADE)
def test_a_cell_of_other_rows_than_the_carry(step):
    made = MADE[step](4)
    params, carry = made.init(jax.random.key(0), 3), made.initial_carry((1,))
    with refuses("x: expected the rows of the carry, (1,), got (4,)"):
        step(params, carry, jnp.ones((4, 3)))
