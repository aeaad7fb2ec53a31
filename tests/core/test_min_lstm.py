"""minLSTM: all steps at once equal one after another, and NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    assert_close,
    assert_same_bits,
    both_ways,
    enable_x64,
    param_shapes,
    probe,
    random_like,
)

from lstm_jax import (
    MinLSTMCarry,
    lstm,
    min_lstm,
    min_lstm_cell,
    min_lstm_unroll,
    stack,
)

STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5
LENGTHS = jnp.array([STEPS, 0, 1, 4], jnp.int32)


def make_inputs(dtype="float32", scale=0.7):
    shapes = (
        param_shapes(min_lstm(HIDDEN).init, INPUT, dtype),
        min_lstm(HIDDEN).initial_carry((BATCH,), dtype),
        jax.ShapeDtypeStruct((STEPS, BATCH, INPUT), dtype),
    )
    return random_like(shapes, seed=0, scale=scale)


def one_by_one(params, carry, xs, reverse):
    """The same by ``lax.scan`` over ``min_lstm_cell``."""

    def step(carry, inputs):
        x, real = inputs
        new, y = min_lstm_cell(params, carry, x)
        h = jnp.where(real[:, None], new.h, carry.h)
        return MinLSTMCarry(h), jnp.where(real[:, None], y, jnp.zeros_like(y))

    real = jnp.arange(STEPS)[:, None] < LENGTHS[None]
    return jax.lax.scan(step, carry, (xs, real), reverse=reverse)


def all_at_once(params, carry, xs, reverse):
    return min_lstm_unroll(params, xs, carry=carry, lengths=LENGTHS, reverse=reverse)


def numpy_row(params, h, xs):
    """One sequence in float64, from the paper's equations."""
    w, b = (np.asarray(params[name], np.float64) for name in ("w_ih", "b"))
    ys = []
    for x in np.asarray(xs, np.float64):
        z_f, z_i, g = np.split(x @ w + b, 3)
        f, i = 1 / (1 + np.exp(-z_f)), 1 / (1 + np.exp(-z_i))
        h = f / (f + i) * h + i / (f + i) * g
        ys.append(h)
    return h, np.reshape(ys, (-1, HIDDEN))


@both_ways
def test_equals_numpy(reverse):
    params, carry, xs = make_inputs()
    last, ys = jax.jit(all_at_once, static_argnums=3)(params, carry, xs, reverse)
    for row, length in enumerate(np.asarray(LENGTHS)):
        tokens = xs[:length, row]
        h, expected = numpy_row(
            params, carry.h[row], tokens[::-1] if reverse else tokens
        )
        assert_close(last.h[row], h)
        assert_close(ys[:length, row], expected[::-1] if reverse else expected)
        assert not ys[length:, row].any()


@both_ways
def test_values_and_gradients_equal_those_of_steps(reverse):
    inputs = make_inputs()

    @partial(jax.jit, static_argnums=0)
    def run(how, params, carry, xs):
        def loss(*inputs):
            outputs = how(*inputs, reverse)
            return probe(outputs), outputs

        return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, carry, xs)

    assert_close(run(all_at_once, *inputs), run(one_by_one, *inputs))


def test_gates_that_are_nearly_closed_are_no_quotient_of_zeros():
    """Both gates at e^-200: 0 in float32, and yet their share is known."""
    params, carry, xs = make_inputs()
    b = jnp.concatenate([jnp.full(2 * HIDDEN, -200.0), jnp.zeros(HIDDEN)])
    given = {"w_ih": params["w_ih"] * 0 + 0.1, "b": b}
    _, ys = min_lstm_unroll(given, xs, carry=carry)
    with enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype("float64"), (given, carry, xs))
        row = numpy_row(wide[0], wide[1].h[0], wide[2][:, 0])[1]
    assert_close(ys[:, 0], row, 1e-4)


@pytest.mark.parametrize("payload", [np.nan, np.inf])
def test_what_stands_in_the_padding_changes_no_bit(payload):
    params, carry, xs = make_inputs()
    real = (np.arange(STEPS)[:, None] < np.asarray(LENGTHS))[..., None]
    filled = jnp.asarray(np.where(real, xs, np.float32(payload)))
    got, expected = (
        jax.grad(lambda p, xs=xs: probe(all_at_once(p, carry, xs, False)))(params)
        for xs in (filled, xs)
    )
    assert_same_bits(got, expected)


def test_length_zero_gives_back_the_initial_carry():
    params, carry, xs = make_inputs()
    last, _ = all_at_once(params, carry, xs, False)
    np.testing.assert_array_equal(last.h[1], carry.h[1])
    nothing, _ = min_lstm_unroll(params, xs, lengths=LENGTHS)
    assert not nothing.h[1].any() and nothing.h[0].all()


def test_dtypes():
    params, carry, xs = make_inputs()
    last, ys = jax.eval_shape(min_lstm_unroll, params, xs.astype("bfloat16"))
    assert (last.h.dtype, ys.dtype) == (jnp.float32, jnp.bfloat16)
    with enable_x64(True):
        params, carry, xs = make_inputs("float64")
        text = jax.jit(min_lstm_unroll).lower(params, xs, carry=carry).as_text()
        assert "f32" not in text


def test_integers_are_one_hot_vectors():
    params, carry, _ = make_inputs()
    ids = jnp.asarray(np.random.default_rng(1).integers(0, INPUT, (STEPS, BATCH)))
    expected = all_at_once(params, carry, jax.nn.one_hot(ids, INPUT), False)
    assert_close(all_at_once(params, carry, ids, False), expected)


def test_a_stack_goes_on_where_it_stopped():
    layer = stack([min_lstm(HIDDEN), min_lstm(2)])
    params = random_like(param_shapes(layer.init, INPUT), seed=2)
    xs = make_inputs()[2]
    carry, first = layer.apply(params, xs[:2])
    last, rest = layer.apply(params, xs[2:], carry=carry)
    expected = layer.apply(params, xs)
    assert_close((last, jnp.concatenate([first, rest])), expected)


def test_parameters_of_others():
    params, _, xs = make_inputs()
    lstm_params = lstm(HIDDEN).init(jax.random.key(0), INPUT)
    narrow = {"b": params["b"][1:], "w_ih": params["w_ih"][:, 1:]}
    others = [lstm_params, {"w_ih": params["w_ih"]}, {"b": params["b"]}, narrow]
    for other in (*others, params | {"b": jnp.zeros(1)}):
        with pytest.raises(ValueError, match=r"^params: expected .*, got "):
            min_lstm_unroll(other, xs)
    with pytest.raises(ValueError, match=rf"^params: expected b \({3 * HIDDEN + 3},\)"):
        min_lstm(HIDDEN + 1).apply(params, xs)


def test_a_run_is_one_program():
    params, _, xs = make_inputs()
    program = jax.make_jaxpr(min_lstm_unroll)(params, xs)
    assert len(program.eqns) == 1


def test_mistakes():
    params, _, xs = make_inputs()
    with pytest.raises(ValueError, match="^hidden_size: expected an integer >= 1"):
        min_lstm(0)
    with pytest.raises(ValueError, match="^lengths: expected the batch shape of xs"):
        min_lstm_unroll(params, xs, lengths=LENGTHS[:2])
    with pytest.raises(ValueError, match="^xs: expected . features, the rows of w_ih"):
        min_lstm_unroll(params, xs[..., 1:])
    with pytest.raises(ValueError, match="^xs: expected a step at least, got shape "):
        min_lstm_unroll(params, xs[:0])
    carry = MinLSTMCarry(jnp.ones((xs.shape[1] + 1, HIDDEN)))
    with pytest.raises(ValueError, match="^carry: expected h "):
        min_lstm_unroll(params, xs, carry=carry)
