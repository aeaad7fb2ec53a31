"""Whether JAX finds what it is told to compute on."""

import jax

from lstm_jax.errors import UserError


def check_platforms() -> None:
    """Look for a device; what fails later would be blamed on the files being read.

    Raises:
      UserError: JAX finds none of the kind that it is told to use.

    >>> check_platforms()
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter: no plugin for it
        asked = f"JAX_PLATFORMS={getattr(jax.config, 'jax_platforms', None) or ''}"
        reason = " ".join(str(error).split()) or "nothing of that kind is installed"
        raise UserError(
            f"{asked}: expected a device to compute on, got: {reason}"
        ) from error
