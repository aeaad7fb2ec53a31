"""What single cells promise beyond the contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import make_cell, make_problem

from lstm_jax import layer_norm_lstm, lstm, lstmp, one_way, unroll, zoneout_lstm

HELD = "zoneout_lstm"


def test_units_held_in_training_are_those_that_were_drawn():
    """At each step a unit has its old value, or that which an LSTM gives it."""
    made, problem = make_cell(HELD), make_problem(HELD)
    xs = made.noise(jax.random.key(0), problem.xs)
    hold = np.asarray(xs[..., 3:]) == 1
    assert hold.any() and not hold.all()
    carry = problem.carry
    for t, x in enumerate(xs):
        plain, _ = lstm(4).step(problem.params, carry, problem.xs[t])
        new, y = made.step(problem.params, carry, x)
        for name, held in (("c", hold[t, :, :4]), ("h", hold[t, :, 4:])):
            old, free = (np.asarray(getattr(s, name)) for s in (carry, plain))
            expected = np.where(held, old, free)
            np.testing.assert_allclose(getattr(new, name), expected, rtol=1e-5)
        carry = new
    got, _ = unroll(made, problem.params, xs, carry=problem.carry)
    np.testing.assert_allclose(got.c, carry.c, rtol=1e-5, atol=1e-6)


def test_a_layer_holds_units_when_it_gets_a_key():
    layer, problem = one_way(make_cell(HELD)), make_problem(HELD)
    plain = layer.apply(problem.params, problem.xs)[1]
    seeds = [jax.random.key(n) for n in (0, 0, 1)]
    one, same, other = (
        layer.apply(problem.params, problem.xs, key=k)[1] for k in seeds
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other, atol=1e-3)
    assert not np.allclose(one, plain, atol=1e-3)


def test_the_share_of_units_held_is_the_rate():
    made = zoneout_lstm(100, c_rate=0.3, h_rate=0.1)
    hold = made.noise(jax.random.key(0), jnp.zeros((20, 10, 3)))[..., 3:]
    assert float(hold[..., :100].mean()) == pytest.approx(0.3, abs=0.01)
    assert float(hold[..., 100:].mean()) == pytest.approx(0.1, abs=0.01)
    assert (hold[0] != hold[1]).any()


def test_no_gradient_goes_to_what_was_drawn():
    problem, made = make_problem(HELD), make_cell(HELD)
    xs = made.noise(jax.random.key(0), problem.xs)
    grad = jax.grad(lambda xs: unroll(made, problem.params, xs)[1].sum())(xs)
    assert grad[..., :3].any() and not grad[..., 3:].any()


def test_a_layer_norm_does_not_see_the_scale_of_its_weights():
    problem, made = make_problem("layer_norm_lstm"), make_cell("layer_norm_lstm")
    scaled = {**problem.params, "w_ih": 100 * problem.params["w_ih"]}
    _, ys = unroll(made, problem.params, 100 * problem.xs)
    np.testing.assert_allclose(unroll(made, scaled, 100 * problem.xs)[1], ys, rtol=2e-3)


def test_without_what_is_special_a_cell_is_an_lstm():
    """Zoneout that holds nothing; a projection that changes nothing."""
    problem = make_problem("lstm")
    expected = unroll(make_cell("lstm"), problem.params, problem.xs)[1]
    free = zoneout_lstm(4, c_rate=0.0, h_rate=0.0)
    np.testing.assert_allclose(
        unroll(free, problem.params, problem.xs)[1], expected, rtol=1e-5
    )
    same = {**problem.params, "w_hr": jnp.eye(4)}
    np.testing.assert_allclose(
        unroll(lstmp(4, 4), same, problem.xs)[1], expected, rtol=1e-5
    )


MISTAKES = {
    "a rate": (
        lambda: zoneout_lstm(4, c_rate=1.0),
        "c_rate: expected 0 <= rate < 1, got 1.0",
    ),
    "half of what is held": (
        lambda: make_cell(HELD).step(*make_problem(HELD)[:2], jnp.ones((4, 7))),
        "x: expected 3 features, or 11 with what is held, got 7",
    ),
    "words": (
        lambda: make_cell(HELD).noise(jax.random.key(0), jnp.ones(3, jnp.int32)),
        "zoneout: expected vectors for training, got integer xs",
    ),
    "a projection": (
        lambda: lstmp(4, projection_size=0),
        "projection_size: expected an integer >= 1, got 0",
    ),
    "one unit, normalised": (
        lambda: layer_norm_lstm(1),
        "hidden_size: expected an integer >= 2, got 1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_cell_cannot_compute_is_refused(mistake):
    act, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=f"^{message}$"):
        act()
