"""Write a trained classifier to one file that runs without the code that trained it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from lstm_jax.exported import write_model
from lstm_jax.loaded import Loaded
from lstm_jax.programs import make_programs
from lstm_jax.trained import Trained

PLATFORMS = ("cpu", "cuda", "tpu")


def export_model(trained: Trained, path: Path) -> None:
    """Write the file of a model, for every platform and any number of texts.

    Args:
      trained: what ``load_trained`` read.
      path: of the file; one that is there is replaced.

    Raises:
      UserError: the file cannot be written.
    """
    # The plain scan runs wherever JAX does, and over any length, uncut.
    plain = trained.module.clone(implementation="scan", unroll=1, chunk_size=0)
    programs, loaded = make_programs(plain), trained.loaded()
    serialized = {
        name: _serialize(getattr(programs, name), shapes)
        for name, shapes in _shapes(loaded).items()
    }
    write_model(loaded, serialized, PLATFORMS, path)


def _shapes(loaded: Loaded) -> dict[str, tuple[Any, ...]]:
    """What goes into each program; letters stand for any number above 0."""
    b, t, g, s = export.symbolic_shape("b, t, g, s")
    if not loaded.text.ngrams.order:
        g = 0
    num_logits = loaded.num_logits
    params = jax.tree.map(lambda x: _shape(*x.shape, dtype=x.dtype), loaded.params)
    return {
        "prepare": (params,),
        "logits": (
            jax.eval_shape(loaded.programs.prepare, params),
            _shape(b, t, dtype=jnp.int32),
            _shape(b, dtype=jnp.int32),
            _shape(b, g, dtype=jnp.int32),
            _shape(b, g, num_logits),
        ),
        "gates": (params, _shape(t, dtype=jnp.int32)),
        "gradients": (
            params,
            _shape(t, dtype=jnp.int32),
            _shape(dtype=jnp.int32),
            _shape(g, dtype=jnp.int32),
            _shape(g, num_logits),
            _shape(num_logits),
            _shape(s),
        ),
    }


def _shape(*sizes: Any, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, dtype)


def _serialize(program: Any, shapes: tuple[Any, ...]) -> bytes:
    with _without_places():
        exported = export.export(jax.jit(program), platforms=PLATFORMS)(*shapes)
        return bytes(exported.serialize())


@contextmanager
def _without_places() -> Iterator[None]:
    """Leave out which line of which folder an operation comes from."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)
