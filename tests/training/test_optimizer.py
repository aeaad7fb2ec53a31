import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.training.config import OPTIMIZERS, SCHEDULES, OptimConfig
from lstm_jax.training.optimizer import make_optimizer, make_schedule

PEAK = 0.02


def rates(schedule, num_steps, **settings):
    """The rate of each step, and the one after the last."""
    config = OptimConfig(schedule=schedule, learning_rate=PEAK, **settings)
    rate = make_schedule(config, num_steps)
    return np.asarray(jax.jit(jax.vmap(rate))(jnp.arange(num_steps + 1)))


def test_a_constant_schedule_stays_at_the_peak():
    np.testing.assert_allclose(rates("constant", 7), PEAK)


def test_cosine_rises_in_a_line_to_the_peak_and_falls_to_zero():
    by_step = rates("cosine", 20, warmup_fraction=0.25)
    np.testing.assert_allclose(by_step[:6], PEAK * np.arange(6) / 5, rtol=1e-6)
    halfway = (5 + 20) / 2
    assert by_step[int(halfway)] > PEAK / 2 > by_step[int(halfway) + 1]
    assert (np.diff(by_step[5:]) < 0).all()
    assert by_step[20] == pytest.approx(0, abs=1e-9)


def test_cosine_without_warmup_starts_at_the_peak():
    by_step = rates("cosine", 10, warmup_fraction=0.0)
    assert by_step[0] == pytest.approx(PEAK)
    assert (np.diff(by_step) < 0).all()


def test_one_cycle_rises_from_a_25th_to_the_peak_and_falls_to_a_250000th():
    by_step = rates("one_cycle", 40, warmup_fraction=0.25)
    assert by_step[0] == pytest.approx(PEAK / 25)
    assert by_step[10] == pytest.approx(PEAK)
    assert by_step[40] == pytest.approx(PEAK / 250_000, rel=1e-3)
    assert (np.diff(by_step[:11]) > 0).all()
    assert (np.diff(by_step[10:]) < 0).all()


@pytest.mark.parametrize("num_steps", [23, 48, 49, 98, 103, 1497])
@pytest.mark.parametrize("warmup_fraction", [0.0, 0.25, 0.57])
def test_one_cycle_is_highest_after_as_many_steps_as_were_asked_for(
    num_steps, warmup_fraction
):
    """The share of the rise is a float, which rounds to a step less for some."""
    by_step = rates("one_cycle", num_steps, warmup_fraction=warmup_fraction)
    assert by_step[0] == pytest.approx(PEAK / 25)
    assert by_step.argmax() == max(int(warmup_fraction * num_steps), 1)


@pytest.mark.parametrize("warmup_fraction", [0.0, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_shortest_runs_have_a_rate_that_moves_something(
    schedule, num_steps, warmup_fraction
):
    by_step = rates(schedule, num_steps, warmup_fraction=warmup_fraction)[:num_steps]
    assert np.isfinite(by_step).all()
    assert (by_step >= 0).all() and by_step.max() > 0
    assert by_step.max() <= PEAK * (1 + 1e-6)


def random_params(seed=0):
    keys = jax.random.split(jax.random.key(seed))
    return {
        "w": jax.random.normal(keys[0], (3, 4)),
        "b": jax.random.normal(keys[1], (4,)),
    }


def update(config, gradient, params):
    optimizer = make_optimizer(config, make_schedule(config, 10))
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    return updates


def test_adamw_without_a_gradient_shrinks_the_weights():
    config = OptimConfig(
        optimizer="adamw", schedule="constant", learning_rate=0.1, weight_decay=0.5
    )
    params = random_params()
    zero = jax.tree.map(jnp.zeros_like, params)
    moved = optax.apply_updates(params, update(config, zero, params))
    for name, before in params.items():
        np.testing.assert_allclose(moved[name], (1 - 0.1 * 0.5) * before, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_the_other_optimizers_leave_the_weights_without_a_gradient(optimizer):
    config = OptimConfig(optimizer=optimizer)
    params = random_params()
    zero = jax.tree.map(jnp.zeros_like, params)
    for leaf in jax.tree.leaves(update(config, zero, params)):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


def test_rmsprop_is_that_of_keras():
    """Its epsilon weighs where gradients are small: of unusual words."""
    config = OptimConfig(optimizer="rmsprop", schedule="constant", clip_norm=0.0)
    optimizer = make_optimizer(config, make_schedule(config, 10))
    params = {"w": jnp.zeros(5)}
    state, mean_square = optimizer.init(params), np.zeros(5)
    for n in range(3):
        gradient = np.array([1e-5, 3e-4, 1e-3, 0.1, 2.0]) * (n + 1)
        updates, state = optimizer.update({"w": jnp.asarray(gradient)}, state, params)
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        expected = -config.learning_rate * gradient / np.sqrt(mean_square + 1e-7)
        np.testing.assert_allclose(updates["w"], expected, rtol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_parameters_stay_and_the_others_move_as_if_alone(optimizer):
    config = OptimConfig(optimizer=optimizer, clip_norm=0.5, schedule="constant")
    params, gradient = random_params(), random_params(1)
    move = make_optimizer(config, make_schedule(config, 10), frozen=("b",))
    state = move.init(params)
    updates, _ = move.update(gradient, state, params)
    assert (updates["b"] == 0).all()
    alone = update(config, {"w": gradient["w"]}, {"w": params["w"]})
    np.testing.assert_array_equal(updates["w"], alone["w"])
    # No moments are kept for what does not move.
    assert all(leaf.shape != params["b"].shape for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize(("clip_norm", "scale"), [(0.7, 0.7), (50.0, 9.0), (0.0, 9.0)])
def test_the_whole_gradient_is_clipped_to_its_norm(clip_norm, scale):
    config = OptimConfig(
        optimizer="sgd", schedule="constant", learning_rate=1.0, clip_norm=clip_norm
    )
    params, gradient = random_params(), random_params(1)
    norm = optax.tree.norm(gradient)
    gradient = jax.tree.map(lambda g: 9.0 * g / norm, gradient)
    updates = update(config, gradient, params)
    for name, direction in gradient.items():
        np.testing.assert_allclose(updates[name], -direction * scale / 9, rtol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "schedule", "momentum"),
    [
        *[(optimizer, "constant", 0.0) for optimizer in OPTIMIZERS],
        ("adamw", "one_cycle", 0.0),
        ("sgd", "cosine", 0.9),
        ("rmsprop", "constant", 0.9),
    ],
)
def test_every_optimizer_lowers_a_quadratic(optimizer, schedule, momentum):
    config = OptimConfig(
        optimizer=optimizer,
        schedule=schedule,
        learning_rate=0.05,
        weight_decay=0.0,
        momentum=momentum,
        clip_norm=0.0,
    )
    move = make_optimizer(config, make_schedule(config, 60))
    goal = random_params(2)

    def loss(params):
        squares = jax.tree.map(lambda p, g: jnp.square(p - g).sum(), params, goal)
        return sum(jax.tree.leaves(squares))

    def step(carry, _):
        params, state = carry
        updates, state = move.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    start = random_params()
    run = jax.jit(lambda carry: jax.lax.scan(step, carry, length=60)[0])
    params, _ = run((start, move.init(start)))
    assert loss(params) < 0.4 * loss(start)
