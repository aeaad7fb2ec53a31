"""The optimizer and its learning-rate schedule, from the settings."""

from collections.abc import Collection
from typing import Any

import optax

from lstm_jax.training.config import OptimConfig
from lstm_jax.training.depth import scale_by_depth


def make_schedule(config: OptimConfig, num_steps: int) -> optax.Schedule:
    """The learning rate of each step.

    "constant" stays at the peak; "cosine" warms up linearly and falls to 0;
    "one_cycle" rises from a 25th of the peak and falls to a 250,000th, both on a
    cosine (Smith & Topin, 2018).
    """
    peak, warmup = config.learning_rate, int(config.warmup_fraction * num_steps)
    match config.schedule:
        case "constant":
            return optax.constant_schedule(peak)
        case "cosine":
            return optax.warmup_cosine_decay_schedule(
                0.0 if warmup else peak, peak, warmup, max(num_steps, warmup + 1)
            )
        case "one_cycle":
            # optax divides by the lengths of both parts, so neither may be empty.  It
            # rounds their share down: half a step more is what is meant.
            steps = max(num_steps, 2)
            rising = min(max(warmup, 1), steps - 1)
            return optax.cosine_onecycle_schedule(
                steps, peak, pct_start=(rising + 0.5) / steps
            )
    raise ValueError(f"schedule: got {config.schedule!r}")


def make_optimizer(
    config: OptimConfig,
    schedule: optax.Schedule,
    *,
    frozen: Collection[str] = (),
    unfreeze_steps: int = 0,
) -> optax.GradientTransformation:
    """Clipping, the optimizer, then what depends on the depth.

    Args:
      config: the settings.
      schedule: step -> learning rate.
      frozen: top-level names of parameters that stay as they are; they have no
        moments and do not count in the norm.
      unfreeze_steps: see ``scale_by_depth``; what does not move yet counts in the
        norm, and its moments are gathered.
    """
    steps = [_base_optimizer(config, schedule)]
    if config.clip_norm:
        steps.insert(0, optax.clip_by_global_norm(config.clip_norm))
    if config.layer_decay < 1 or unfreeze_steps:
        steps.append(scale_by_depth(config.layer_decay, unfreeze_steps))
    optimizer = optax.chain(*steps)
    if not frozen:
        return optimizer

    def label(params: dict[str, Any]) -> dict[str, str]:
        """Which of the two below each parameter belongs to."""
        return {name: "fixed" if name in frozen else "trained" for name in params}

    return optax.multi_transform(
        {"trained": optimizer, "fixed": optax.set_to_zero()}, label
    )


def _base_optimizer(
    config: OptimConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    momentum = config.momentum or None
    match config.optimizer:
        case "adam":
            return optax.adam(schedule)
        case "adamw":
            return optax.adamw(schedule, weight_decay=config.weight_decay)
        case "rmsprop":
            # Keras's epsilon, under the root as there; optax has a tenth of it.
            return optax.rmsprop(schedule, eps=1e-7, momentum=momentum)
        case "sgd":
            return optax.sgd(schedule, momentum=momentum)
    raise ValueError(f"optimizer: got {config.optimizer!r}")
