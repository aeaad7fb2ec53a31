"""What training carries from step to step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

PyTree = Any


class TrainState(NamedTuple):
    """All that a step reads and writes, and all that resuming needs.

    Attributes:
      step: int32, steps taken.
      params: the parameters.
      opt_state: of the optimizer.
      average: the moving average of the parameters, or () when there is none.
      carry: what a model that reads on where it stopped remembers, or ().
    """

    step: Array
    params: PyTree
    opt_state: PyTree
    average: PyTree
    carry: PyTree = ()


def create_state(
    params: PyTree,
    optimizer: optax.GradientTransformation,
    *,
    average: bool,
    carry: PyTree = (),
) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        # A copy: a step donates both, and one buffer cannot be donated twice.
        average=jax.tree.map(jnp.copy, params) if average else (),
        carry=carry,
    )


def evaluation_params(state: TrainState) -> PyTree:
    """The parameters to judge a run by: the average where there is one."""
    return state.average if state.average != () else state.params
