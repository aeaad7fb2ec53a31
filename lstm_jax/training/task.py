"""What a run learns to do: all that the loop knows of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax
from jax.sharding import Mesh

from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree, TrainState
from lstm_jax.training.steps import TrainStep

# index of a step in its epoch -> the batch, on the devices, and its real tokens
Batches = Callable[[int], tuple[Any, int]]


class Task(NamedTuple):
    """Data, a model, and how one is judged on the other.

    Attributes:
      digest: a short name for what is learned from: other data, another digest.
      notice: what every output must say of the data, or "".
      steps_per_epoch: batches in an epoch.
      mesh: the devices that batches are split over.
      schedule: step -> learning rate.
      first_state: the state before the first step.
      train_step: jitted; gives its first argument's memory to the result.
      introduce: () -> what is about to be trained, on what, for people.
      batches: epoch, counted from 0 -> ``Batches``, the same each time.
      validate: parameters -> mean ``loss`` and ``accuracy``.
      conclude: (the best parameters, workdir) -> the scores on the test split, which
        is read here and nowhere else, or None; writes what they say.
      facts: progress -> what ``summary.json`` says of the data and the speed.
    """

    digest: str
    notice: str
    steps_per_epoch: int
    mesh: Mesh
    schedule: optax.Schedule
    first_state: TrainState
    train_step: TrainStep
    introduce: Callable[[], str]
    batches: Callable[[int], Batches]
    validate: Callable[[PyTree], dict[str, float]]
    conclude: Callable[[PyTree, Any], dict[str, float] | None]
    facts: Callable[[Progress], dict[str, Any]]
