"""Learning rates by depth: what lies further below the logits moves less, or later."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array


def scale_by_depth(decay: float, unfreeze_steps: int) -> optax.GradientTransformation:
    """Multiply updates by what their depth gives.

    Args:
      decay: of the rate from one depth to the next, to 1.
      unfreeze_steps: steps after which one depth more begins to move; 0 moves all
        from the start.

    The names at the top of the parameters are those of ``TextClassifier``.

    Source: discriminative rates and gradual unfreezing from Howard & Ruder (2018).

    Example:
      >>> params = {"embedding": 1.0, "layers": {"layer_0": 1.0}, "logits": 1.0}
      >>> optimizer = scale_by_depth(0.5, unfreeze_steps=1)
      >>> state = optimizer.init(params)
      >>> for _ in range(2):
      ...     updates, state = optimizer.update(params, state)
      >>> [float(x) for x in jax.tree.leaves(updates)]
      [0.0, 0.5, 1.0]
    """

    def update(updates: Any, step: Array, params: Any = None) -> tuple[Any, Array]:
        """Scale one step's updates."""
        moving = jnp.inf if unfreeze_steps == 0 else step // unfreeze_steps

        def scale(depth: int, tree: Any) -> Any:
            """The updates of one depth."""
            factor = jnp.where(depth <= moving, decay**depth, 0.0)
            return jax.tree.map(lambda u: u * factor.astype(jnp.result_type(u)), tree)

        return _map_depths(scale, updates), step + 1

    return optax.GradientTransformation(
        lambda params: jnp.zeros((), jnp.int32),
        update,  # pyright: ignore[reportArgumentType]
    )


def _map_depths(scale: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Call ``scale`` on every part, with its depth: 0 at the logits."""
    layers = params["layers"]
    mapped = {name: scale(0, part) for name, part in params.items()}
    mapped["layers"] = {
        name: scale(len(layers) - n, layers[name])
        for n, name in enumerate(f"layer_{n}" for n in range(len(layers)))
    }
    if "embedding" in params:
        mapped["embedding"] = scale(len(layers) + 1, params["embedding"])
    return mapped
