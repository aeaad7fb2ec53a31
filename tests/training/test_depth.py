"""Rates by depth, on random parameters with the names of a classifier's."""

import jax
import numpy as np
import optax
import pytest

from lstm_jax.training.config import OptimConfig
from lstm_jax.training.depth import scale_by_depth
from lstm_jax.training.optimizer import make_optimizer, make_schedule

DEPTHS = {"logits": 0, "ngrams": 0, "layer_1": 1, "layer_0": 2, "embedding": 3}


def random_params(seed=0):
    keys = jax.random.split(jax.random.key(seed), len(DEPTHS))
    parts = {
        name: {"weights": jax.random.normal(key, (3, 2))}
        for name, key in zip(DEPTHS, keys, strict=True)
    }
    layers = {name: parts.pop(name) for name in ("layer_0", "layer_1")}
    return {**parts, "layers": layers}


def part(params, name):
    return np.asarray((params | params["layers"])[name]["weights"])


def test_a_layer_further_down_moves_less():
    updates, optimizer = random_params(), scale_by_depth(0.4, 0)
    scaled, _ = optimizer.update(updates, optimizer.init(updates))
    for name, depth in DEPTHS.items():
        expected = 0.4**depth * part(updates, name)
        np.testing.assert_allclose(part(scaled, name), expected, rtol=1e-6)


@pytest.mark.parametrize("step", range(12))
def test_layers_begin_to_move_from_the_logits_down(step):
    updates, optimizer = random_params(), scale_by_depth(1.0, 3)
    state = optimizer.init(updates)
    for _ in range(step):
        _, state = optimizer.update(updates, state)
    scaled, _ = optimizer.update(updates, state)
    for name, depth in DEPTHS.items():
        moves = step >= 3 * depth
        np.testing.assert_array_equal(part(scaled, name), moves * part(updates, name))


def test_it_is_the_rate_that_is_scaled_whatever_the_optimizer_makes_of_gradients():
    rate, decay = 0.1, 0.5
    params, gradient = random_params(), random_params(1)
    config = OptimConfig(
        optimizer="adamw", schedule="constant", learning_rate=rate, layer_decay=decay
    )
    optimizer = make_optimizer(config, make_schedule(config, 10))
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    for name, depth in DEPTHS.items():
        slower = OptimConfig(
            optimizer="adamw", schedule="constant", learning_rate=rate * decay**depth
        )
        alone = make_optimizer(slower, make_schedule(slower, 10))
        expected, _ = alone.update(gradient, alone.init(params), params)
        np.testing.assert_allclose(part(updates, name), part(expected, name), rtol=1e-5)


def test_frozen_vectors_have_no_depth():
    params, gradient = random_params(), random_params(1)
    config = OptimConfig(optimizer="sgd", schedule="constant", layer_decay=0.5)
    optimizer = make_optimizer(
        config, make_schedule(config, 10), frozen=("embedding",), unfreeze_steps=1
    )
    moved, state = params, optimizer.init(params)
    for _ in range(4):
        updates, state = optimizer.update(gradient, state, moved)
        moved = optax.apply_updates(moved, updates)
    for name in DEPTHS:
        same = np.array_equal(part(moved, name), part(params, name))
        assert same == (name == "embedding")
