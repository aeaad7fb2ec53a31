"""One direction, both, stacks of them, and dropout on the way up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    assert_close,
    assert_same_bits,
    both_ways,
    make_cell,
    over_runs,
    param_shapes,
    random_like,
)

from lstm_jax import BothCarries, Layer, bidirectional, one_way, stack, unroll

LENGTHS = jnp.array([5, 0, 1, 3], jnp.int32)


def make_inputs(layer, steps=5, input_size=3):
    """Random params, carry and xs for a batch of four."""
    shapes = (
        param_shapes(layer.init, input_size),
        layer.initial_carry((4,)),
        jax.ShapeDtypeStruct((steps, 4, input_size), jnp.float32),
    )
    return random_like(shapes, seed=4)


def passing(size):
    """A layer that hands on what it gets: what dropout does shows in its output."""

    def apply(params, xs, *, carry=None, lengths=None, key=None):
        return (), xs

    return Layer(lambda *_: {}, lambda *_: (), apply, size)


def pass_through(num_layers, rate, key, xs, along=()):
    layers = [passing(xs.shape[-1])] * num_layers
    layer = stack(layers, dropout_rate=rate, along=along)
    params = {f"layer_{n}": {} for n in range(num_layers)}
    return layer.apply(params, xs, key=key)[1]


@both_ways
@over_runs
def test_one_way_is_unroll(cell, implementation, reverse):
    made = make_cell(cell)
    layer = one_way(made, reverse=reverse, implementation=implementation)
    params, carry, xs = make_inputs(layer)
    got = layer.apply(params, xs, carry=carry, lengths=LENGTHS)
    expected = unroll(made, params, xs, carry=carry, lengths=LENGTHS, reverse=reverse)
    assert_close(got, expected)
    assert layer.output_size == made.output_size


@over_runs
def test_bidirectional_puts_forward_before_backward(cell, implementation):
    made = make_cell(cell)
    width = made.output_size
    layer = bidirectional(made, implementation=implementation)
    params, carry, xs = make_inputs(layer)
    got, ys = layer.apply(params, xs, carry=carry, lengths=LENGTHS)
    first, forward = unroll(
        made, params["forward"], xs, carry=carry.forward, lengths=LENGTHS
    )
    last, backward = unroll(
        made,
        params["backward"],
        xs,
        carry=carry.backward,
        lengths=LENGTHS,
        reverse=True,
    )
    assert_close(got, BothCarries(first, last))
    assert_close(ys[..., :width], forward)
    assert_close(ys[..., width:], backward)
    assert layer.output_size == 2 * width


def test_the_two_directions_do_not_start_from_the_same_weights():
    params = bidirectional(make_cell("rnn")).init(jax.random.key(0), input_size=3)
    assert (params["forward"]["w_ih"] != params["backward"]["w_ih"]).all()


def test_the_layers_of_a_stack_do_not_start_from_the_same_weights():
    layer = stack([one_way(make_cell("rnn"))] * 2)
    params = layer.init(jax.random.key(0), input_size=4)
    assert (params["layer_0"]["w_ih"] != params["layer_1"]["w_ih"]).all()


def test_a_stack_hands_each_layers_outputs_to_the_next():
    lstm, gru = make_cell("lstm"), make_cell("gru", 5)
    layers = [bidirectional(lstm), one_way(gru), one_way(lstm, reverse=True)]
    layer = stack(layers, dropout_rate=0.5)
    params, carry, xs = make_inputs(layer)
    got = layer.apply(params, xs, carry=carry, lengths=LENGTHS)
    carries, ys = [], xs
    for n, below in enumerate(layers):
        options = {"carry": carry[n], "lengths": LENGTHS}
        last, ys = below.apply(params[f"layer_{n}"], ys, **options)
        carries.append(last)
    assert_same_bits(got, (tuple(carries), ys))
    assert layer.output_size == 4


def test_the_carry_that_comes_back_can_be_handed_in_again():
    layer = stack([one_way(make_cell("lstm")), one_way(make_cell("gru", 5))])
    params, _, xs = make_inputs(layer)
    carry, first = layer.apply(params, xs[:3])
    carry, second = layer.apply(params, xs[3:], carry=carry)
    expected = layer.apply(params, xs)
    assert_close((carry, jnp.concatenate([first, second])), expected)


def test_no_carry_means_the_initial_carry():
    layer = stack([bidirectional(make_cell("lstm")), one_way(make_cell("gru"))])
    params, carry, xs = make_inputs(layer)
    zeros = layer.initial_carry((4,))
    assert jax.tree.structure(zeros) == jax.tree.structure(carry)
    assert_close(layer.apply(params, xs, carry=zeros), layer.apply(params, xs))


def test_padded_outputs_of_a_stack_are_zero_with_dropout_too():
    layer = stack([bidirectional(make_cell("lstm"))] * 2, dropout_rate=0.5)
    params, carry, xs = make_inputs(layer)
    padding = (np.arange(5)[:, None] >= np.asarray(LENGTHS))[..., None]
    xs = jnp.where(padding, jnp.float32(np.nan), xs)
    options = {"carry": carry, "lengths": LENGTHS, "key": jax.random.key(0)}
    _, ys = jax.jit(layer.apply)(params, xs, **options)
    np.testing.assert_array_equal(ys == 0, np.broadcast_to(padding, ys.shape))


# --- dropout ----------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_scales_up_the_rest(rate):
    xs = random_like(jax.ShapeDtypeStruct((100, 10, 10), jnp.float32), seed=0)
    ys = np.asarray(pass_through(2, rate, jax.random.key(0), xs))
    dropped = ys == 0
    sd = (rate * (1 - rate) / dropped.size) ** 0.5
    assert abs(dropped.mean() - rate) < 4 * sd
    kept = np.asarray(xs)[~dropped] / (1 - rate)
    np.testing.assert_allclose(ys[~dropped], kept, rtol=1e-6)


def test_dropout_is_drawn_anew_for_each_layer_and_key():
    xs = jnp.ones((100, 10, 10))
    one = pass_through(2, 0.5, jax.random.key(0), xs) == 0
    other = pass_through(2, 0.5, jax.random.key(1), xs) == 0
    two = pass_through(3, 0.5, jax.random.key(0), xs) == 0
    assert 0.45 < float((one == other).mean()) < 0.55
    assert 0.72 < float(two.mean()) < 0.78


def test_dropout_along_time_is_one_draw_a_row():
    xs = random_like(jax.ShapeDtypeStruct((7, 10, 100), jnp.float32), seed=0)
    ys = np.asarray(pass_through(2, 0.5, jax.random.key(0), xs, along=(0,)))
    dropped = ys == 0
    assert (dropped == dropped[0]).all() and 0.4 < dropped.mean() < 0.6
    assert not (dropped[0] == dropped[0, 0]).all()


def test_the_same_key_gives_the_same_dropout():
    layer = stack([one_way(make_cell("gru"))] * 2, dropout_rate=0.5)
    params, carry, xs = make_inputs(layer)
    apply = jax.jit(layer.apply)
    first = apply(params, xs, carry=carry, key=jax.random.key(3))
    again = apply(params, xs, carry=carry, key=jax.random.key(3))
    other = apply(params, xs, carry=carry, key=jax.random.key(4))
    assert_same_bits(first, again)
    assert (first[1] != other[1]).any()


def test_no_key_means_no_dropout():
    xs = random_like(jax.ShapeDtypeStruct((5, 4, 3), jnp.float32), seed=0)
    assert_same_bits(pass_through(3, 0.5, None, xs), xs)


def test_neither_the_inputs_nor_the_last_layers_outputs_are_dropped():
    xs = jnp.ones((50, 10, 10))
    assert_same_bits(pass_through(1, 0.9, jax.random.key(0), xs), xs)
    layer = stack([one_way(make_cell("lstm"))] * 2, dropout_rate=0.9)
    params, carry, xs = make_inputs(layer)
    carries, ys = layer.apply(params, xs, carry=carry, key=jax.random.key(0))
    assert (ys != 0).all()
    below, _ = unroll(make_cell("lstm"), params["layer_0"], xs, carry=carry[0])
    assert_close(carries[0], below)
    assert_close(ys[-1], carries[1].h)


def test_rate_zero_leaves_every_bit_in_place():
    xs = random_like(jax.ShapeDtypeStruct((5, 4, 3), jnp.float32), seed=0)
    assert_same_bits(pass_through(3, 0.0, jax.random.key(0), xs), xs)


def test_dropout_keeps_the_dtype():
    xs = jnp.ones((5, 4, 3), jnp.bfloat16)
    assert pass_through(2, 0.5, jax.random.key(0), xs).dtype == jnp.bfloat16


def test_no_key_is_used_twice_in_a_stack_of_stacks():
    inner = stack([one_way(make_cell("rnn"))] * 2, dropout_rate=0.5)
    layer = stack([inner, inner], dropout_rate=0.5)
    params, _, xs = make_inputs(layer, input_size=4)
    with jax.debug_key_reuse(True):
        layer.apply(params, xs, key=jax.random.key(0))
