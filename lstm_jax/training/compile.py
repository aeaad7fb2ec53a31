"""The state before the first step, and the compiled step, of any task."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from lstm_jax.training.config import Config
from lstm_jax.training.devices import batch_sharding, copied
from lstm_jax.training.state import PyTree, TrainState, create_state
from lstm_jax.training.steps import Loss, TrainStep, make_train_step


def prepare_training(
    config: Config,
    init: Callable[[Array], PyTree],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    given: Mapping[str, PyTree] = MappingProxyType({}),
    carry: PyTree = (),
) -> tuple[TrainState, TrainStep]:
    """The state before the first step, on every device, and the jitted step.

    Args:
      config: of the run.
      init: key -> parameters.
      loss: of a batch.
      optimizer: whose moments there are to be.
      mesh: the devices.
      given: parameters to begin with in place of those drawn, by their first names.
      carry: of ``TrainState``.
    """
    # Two independent streams from one seed: the first weights, and dropout.
    key_init, key_steps = jax.random.split(jax.random.key(config.seed))
    average = config.optim.ema_decay > 0

    def start(key: Array, given: dict[str, PyTree]) -> TrainState:
        """Draw the parameters where they will lie."""
        params = init(key) | given
        return create_state(params, optimizer, average=average, carry=carry)

    state = jax.jit(start, out_shardings=copied(mesh))(key_init, dict(given))
    return state, _compile_step(config, loss, optimizer, mesh, key_steps)


def _compile_step(
    config: Config,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    key: Array,
) -> TrainStep:
    """The jitted train step of a run with this key."""

    def step(key_data: Array, state: TrainState, batch: Any) -> Any:
        """With the key as an argument: all seeds share what was compiled for one."""
        return make_train_step(
            loss,
            optimizer,
            jax.random.wrap_key_data(key_data),
            ema_decay=config.optim.ema_decay,
            accumulation_steps=config.optim.accumulation_steps,
            skip_nonfinite=config.train.on_nonfinite == "skip",
        )(state, batch)

    compiled = jax.jit(
        step,
        in_shardings=(copied(mesh), copied(mesh), batch_sharding(mesh)),
        out_shardings=copied(mesh),
        donate_argnums=1,
    )
    return partial(compiled, np.asarray(jax.random.key_data(key)))
