"""One training step and one evaluation step: pure, and not yet jitted."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from lstm_jax.data.batches import Batch
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.training.losses import Sums, metric_sums
from lstm_jax.training.state import PyTree, TrainState

TrainStep = Callable[[TrainState, Any], tuple[TrainState, Sums]]
EvalStep = Callable[[PyTree, Batch], tuple[Sums, Array]]


class Told(NamedTuple):
    """What a loss tells of a batch, beside the sum to make small.

    Attributes:
      sums: what is reported.
      over: float32, how many that sum is added up over: the gradient is divided by it.
      carry: what the model remembers at the end of the batch, or ().
    """

    sums: Sums
    over: Array
    carry: PyTree


# (params, carry, batch, key) -> the sum to make small, and what is told of the batch
Loss = Callable[[PyTree, PyTree, Any, Array], tuple[Array, Told]]


def make_train_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    key: Array,
    *,
    ema_decay: float = 0.0,
    accumulation_steps: int = 1,
    skip_nonfinite: bool = False,
) -> TrainStep:
    """Build ``(state, batch) -> (state, sums)``.

    Args:
      loss: what is to become small, added up over ``Told.over``.
      optimizer: what moves the parameters.
      key: of the run; the randomness of a step is a function of it and of
        ``state.step``, so a resumed run repeats it exactly.
      ema_decay: of the moving average of the parameters; 0 keeps none.
      accumulation_steps: parts that the batch is computed in, one after
        another; the gradient is that of the whole batch.
      skip_nonfinite: a step whose loss or gradient is not finite is counted, and
        changes nothing else.

    The loss of a step whose gradient is not finite is NaN.
    """

    def train_step(state: TrainState, batch: Any) -> tuple[TrainState, Sums]:
        """Move the parameters by one batch."""
        gradient, (sums, _, carry) = _differentiate(
            loss, state, batch, jax.random.fold_in(key, state.step), accumulation_steps
        )
        # The host looks at the loss alone: a broken gradient has to show in it.
        whole = jnp.isfinite(optax.tree.norm(gradient) + sums.loss)
        sums = sums._replace(loss=jnp.where(whole, sums.loss, jnp.nan))
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if ema_decay:
            average = _move_average(average, params, state.step, ema_decay)
        moved = TrainState(state.step + 1, params, opt_state, average, carry)
        if skip_nonfinite:
            stayed = state._replace(step=moved.step)
            moved = jax.tree.map(partial(jnp.where, whole), moved, stayed)
        return moved, sums

    return train_step


def classifier_loss(model: TextClassifier) -> Loss:
    """The loss of a classifier, each part of which is trained by its own."""

    def loss(
        params: PyTree, carry: PyTree, batch: Batch, key: Array
    ) -> tuple[Array, Told]:
        """The losses of the parts, added up; the sums are of them combined."""
        parts = logits_of_parts(model, params, batch, key, 0.0)
        total, sums = add_losses(model, parts, batch)
        return total, Told(sums, sums.count, carry)

    return loss


def add_losses(model: TextClassifier, parts: Array, batch: Batch) -> tuple[Array, Sums]:
    """The losses of the parts, added up; the sums are of them combined."""
    each = jax.vmap(metric_sums, in_axes=(0, None, None))
    total = each(parts, batch.labels, batch.weights).loss.sum()
    return total, metric_sums(model.combine(parts), batch.labels, batch.weights)


def logits_of_parts(
    model: TextClassifier, params: PyTree, batch: Batch, key: Array, shift: ArrayLike
) -> Array:
    """The logits of the parts in training; the same key drops the same."""
    parts = model.apply(
        {"params": params},
        *batch.inputs,
        train=True,
        shift=shift,
        rngs={"dropout": key},
        method="parts",
    )
    return jnp.asarray(parts)


def make_eval_step(model: TextClassifier) -> EvalStep:
    """Build ``(params, batch) -> (sums, logits)``, logits ``[B, K]``.

    Called with a folded classifier, it takes folded parameters.
    """

    def eval_step(params: PyTree, batch: Batch) -> tuple[Sums, Array]:
        """Judge one batch, without dropout."""
        logits = jnp.asarray(model.apply({"params": params}, *batch.inputs))
        return metric_sums(logits, batch.labels, batch.weights), logits

    return eval_step


def _differentiate(
    loss: Loss, state: TrainState, batch: Any, key: Array, count: int
) -> tuple[PyTree, Told]:
    """The mean gradient, and what is told of the batch, from ``count`` parts."""
    gradient_of = jax.grad(loss, has_aux=True)
    if count == 1:
        gradient, told = gradient_of(state.params, state.carry, batch, key)
    else:
        parts = _split((state.carry, batch), count)
        gradient, told = _accumulate(gradient_of, state.params, parts, key)
    # Summed so far over reviews, or tokens: the mean over the real ones.
    gradient = jax.tree.map(lambda g: g / jnp.maximum(told.over, 1), gradient)
    return gradient, told


def _split(tree: PyTree, parts: int) -> PyTree:
    """``[B, ...]`` to ``[parts, B / parts, ...]``.

    Row ``i`` goes to part ``i % parts``: rows that lie on one device stay there.
    """
    return jax.tree.map(
        lambda x: x.reshape(len(x) // parts, parts, *x.shape[1:]).swapaxes(0, 1), tree
    )


def _accumulate(
    gradient_of: Callable[..., Any], params: PyTree, parts: PyTree, key: Array
) -> tuple[PyTree, Told]:
    """Add up the gradients and what is told of the parts of a batch."""
    carries, batches = parts
    count = len(jax.tree.leaves(batches)[0])

    def body(total: PyTree, inputs: Any) -> tuple[PyTree, PyTree]:
        """Add one part."""
        gradient, (sums, over, carry) = gradient_of(params, *inputs)
        return jax.tree.map(jnp.add, total, (gradient, sums, over)), carry

    zero = jnp.zeros((), jnp.float32)
    start = (jax.tree.map(jnp.zeros_like, params), Sums(zero, zero, zero), zero)
    inputs = (carries, batches, jax.random.split(key, count))
    (gradient, sums, over), carries = jax.lax.scan(body, start, inputs)
    carry = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), carries)
    return gradient, Told(sums, over, carry)


def _move_average(average: PyTree, params: PyTree, step: Array, decay: float) -> PyTree:
    """Move the average towards ``params``; faster at first, when it is far off."""
    # Early on the average would mostly hold the random initial weights.
    early = (1.0 + step) / (10.0 + step)
    rate = jnp.minimum(decay, early.astype(jnp.float32))
    # In this form a parameter that never moves stays what it is, to the bit.
    return jax.tree.map(lambda a, p: a + (1 - rate) * (p - a), average, params)
