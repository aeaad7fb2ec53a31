"""Dropout inside the cell: one mask a sequence, on what the gates read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    Problem,
    assert_close,
    assert_same_bits,
    make_cell,
    make_problem,
    over_cells,
    over_runs,
    param_shapes,
    probe,
    random_like,
)

from lstm_jax import bidirectional, one_way, unroll
from lstm_jax.layers import dropout

MASK = jnp.asarray(np.random.default_rng(3).choice([0.0, 1.25, 2.5], (4, 4)), "float32")


def mask_of(cell):
    """A mask as wide as the hidden state of the cell."""
    return MASK[:, : make_cell(cell).output_size]


@over_runs
def test_a_mask_is_a_scaling_of_the_rows_of_w_hh(cell, implementation, reverse=True):
    problem, mask = make_problem(cell), mask_of(cell)
    how = {"reverse": reverse, "implementation": implementation}

    @jax.jit
    def outputs(problem, h_mask=None):
        arguments = {"carry": problem.carry, "lengths": problem.lengths, **how}
        return unroll(
            make_cell(cell), problem.params, problem.xs, h_mask=h_mask, **arguments
        )[1]

    ys = outputs(problem, mask)
    for row in range(4):
        w_hh = problem.params["w_hh"] * mask[row][:, None]
        alone = Problem(
            {**problem.params, "w_hh": w_hh},
            jax.tree.map(lambda a, row=row: a[row], problem.carry),
            problem.xs[:, row],
            problem.lengths[row],
        )
        assert_close(ys[:, row], outputs(alone))
    plain = unroll(make_cell(cell), problem.params, problem.xs, **how)[1]
    assert not np.allclose(ys[1], plain[1], atol=1e-3)


@over_cells
def test_gradients_through_a_mask_are_those_of_the_plain_scan(cell):
    problem = make_problem(cell)

    def loss(params, xs, implementation):
        how = {"lengths": problem.lengths, "implementation": implementation}
        return probe(unroll(make_cell(cell), params, xs, h_mask=mask_of(cell), **how))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)), static_argnums=2)
    plain = gradient(problem.params, problem.xs, "scan")
    assert_close(gradient(problem.params, problem.xs, "fused"), plain)


@pytest.mark.parametrize("implementation", ["fused", "pallas"])
def test_the_mask_is_not_rounded_to_the_dtype_of_the_products(implementation):
    """1 / 0.9 is 1.1094 in bfloat16: the gradient of w_hh would be off by as much."""
    cell = make_cell("lstm", 16)
    rng = np.random.default_rng(0)
    xs = jnp.asarray(rng.standard_normal((20, 16, 8)), jnp.float32)
    params, h_mask = cell.init(jax.random.key(0), 8), jnp.full((16, 16), 1 / 0.9)

    def gradient(xs, implementation):
        def loss(params):
            how = {"h_mask": h_mask, "implementation": implementation}
            return (unroll(cell, params, xs, **how)[1].astype(jnp.float32) ** 2).sum()

        return jax.jit(jax.grad(loss))(params)["w_hh"]

    exact = gradient(xs, "scan")
    half = gradient(xs.astype(jnp.bfloat16), implementation)
    assert abs((half * exact).sum() / (exact**2).sum() - 1) < 7e-4


def test_the_mask_is_not_rounded_to_the_dtype_of_the_carry():
    cell = make_cell("lstm", 16)
    xs = np.random.default_rng(0).standard_normal((40, 16, 8))
    xs = jnp.asarray(xs, jnp.bfloat16)
    params = cell.init(jax.random.key(0), 8, jnp.bfloat16)
    how = {
        "carry": cell.initial_carry((16,), jnp.bfloat16),
        "h_mask": jnp.full((16, 16), 1 / 0.9),
    }
    runs = (
        unroll(cell, params, xs, **how, implementation=n) for n in ("scan", "fused")
    )
    plain, fused = (np.asarray(ys, np.float32) for _, ys in runs)
    np.testing.assert_array_equal(fused, plain)


@over_runs
def test_a_mask_of_ones_changes_nothing_but_rounding(cell, implementation):
    problem = make_problem(cell)
    how = {"lengths": problem.lengths, "implementation": implementation}
    plain = unroll(make_cell(cell), problem.params, problem.xs, **how)
    ones = jnp.ones_like(mask_of(cell))
    masked = unroll(make_cell(cell), problem.params, problem.xs, h_mask=ones, **how)
    # A CPU may compile the product of a step otherwise where a mask stands before it.
    for a, b in zip(jax.tree.leaves(masked), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_mask_of_another_shape_is_refused():
    problem = make_problem("lstm")
    message = r"^h_mask: expected the shape of h, \(4, 4\), got \(4, 3\)$"
    with pytest.raises(ValueError, match=message):
        unroll(make_cell("lstm"), problem.params, problem.xs, h_mask=MASK[:, :3])


def layer_inputs(layer):
    params = random_like(param_shapes(layer.init, 3), seed=5)
    xs = jnp.asarray(np.random.default_rng(6).standard_normal((5, 4, 3)), "float32")
    return params, xs


@over_cells
def test_a_layer_draws_one_mask_for_inputs_and_one_for_h(cell):
    """The draw is repeated by hand, from the same two keys."""
    layer = one_way(
        make_cell(cell), input_dropout_rate=0.5, recurrent_dropout_rate=0.25
    )
    params, xs = layer_inputs(layer)
    key = jax.random.key(7)
    _, ys = layer.apply(params, xs, key=key)
    key_input, key_recurrent = jax.random.split(key)
    x_mask = dropout(key_input, jnp.ones((1, 4, 3)), 0.5)
    assert set(np.unique(x_mask)) == {0.0, 2.0}
    xs = xs * x_mask
    if make_cell(cell).noise is not None:
        key_recurrent, key_noise = jax.random.split(key_recurrent)
        xs = make_cell(cell).noise(key_noise, xs)
    h_mask = dropout(key_recurrent, jnp.ones_like(mask_of(cell)), 0.25)
    by_hand = unroll(make_cell(cell), params, xs, h_mask=h_mask)[1]
    assert_close(ys, by_hand)


@pytest.mark.parametrize("name", ["input_dropout_rate", "recurrent_dropout_rate"])
def test_a_layer_is_random_by_its_key_and_plain_without_one(name):
    layer = one_way(make_cell("lstm"), **{name: 0.5})
    params, xs = layer_inputs(layer)

    def apply(seed):
        return np.asarray(layer.apply(params, xs, key=jax.random.key(seed))[1])

    assert_same_bits(apply(1), apply(1))
    assert not np.allclose(apply(1), apply(2))
    plain = one_way(make_cell("lstm")).apply(params, xs)
    assert_same_bits(layer.apply(params, xs), plain)


def test_the_two_directions_draw_masks_of_their_own():
    """Both directions get one cell's weights and a sequence of a single step."""
    layer = bidirectional(make_cell("lstm"), input_dropout_rate=0.5)
    params, xs = layer_inputs(layer)
    params = {"forward": params["forward"], "backward": params["forward"]}
    both = layer.apply(params, xs[:1], key=jax.random.key(0))[1]
    assert not np.allclose(both[..., :4], both[..., 4:])


@pytest.mark.parametrize("rate", [-0.1, 1.0])
@pytest.mark.parametrize("name", ["input_dropout_rate", "recurrent_dropout_rate"])
def test_rates_out_of_range_are_refused(name, rate):
    with pytest.raises(ValueError, match=f"^{name}: expected 0 <= rate < 1, got"):
        bidirectional(make_cell("gru"), **{name: rate})


def test_the_share_dropped_is_the_rate():
    mask = dropout(jax.random.key(1), jnp.ones((3, 200, 100)), 0.3, along=(0,))
    assert (mask[0] == mask[1]).all() and (mask[0] == mask[2]).all()
    assert np.asarray(mask == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert float(mask.mean()) == pytest.approx(1.0, abs=0.02)
