"""Learning rates by depth: what lies further below the logits moves less, or later."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.tree_util import KeyPath


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

        top = len(updates["layers"])

        def scale(path: KeyPath, u: Array) -> Array:
            """The update of one array; at the logits the depth is 0."""
            name, *below = (str(key.key) for key in path)
            depth = top + 1 if name == "embedding" else 0
            if name == "layers":
                depth = top - int(below[0].removeprefix("layer_"))
            factor = jnp.where(depth <= moving, decay**depth, 0.0)
            return u * factor.astype(jnp.result_type(u))

        return jax.tree.map_with_path(scale, updates), step + 1

    return optax.GradientTransformation(
        lambda params: jnp.zeros((), jnp.int32),
        update,  # pyright: ignore[reportArgumentType]
    )
