"""Write a trained classifier as ONNX, for runtimes that know nothing of JAX."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Jaxpr, Literal

from lstm_jax.drafts import draft_asked_for
from lstm_jax.errors import UserError
from lstm_jax.quiet import quiet
from lstm_jax.trained import Trained

# Operations that call others, and where those stand.
_CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}


# It warns of parts of itself that are for other libraries.
@quiet("jax2onnx", "onnx_ir")
def export_onnx(trained: Trained, path: Path) -> None:
    """Write ``model.onnx``: any number of texts, of any length.

    Its inputs are ``token_ids`` int32 ``[B, T]`` and ``lengths`` int32 ``[B]``, and
    where the model reads n-grams ``ngram_ids`` int32 ``[B, G]`` and ``ngram_values``
    float32 ``[B, G, K]``; its output is ``logits`` float32 ``[B, K]``.  The metadata
    holds the tokenizer, the names of the classes, ``max_length`` and ``truncate``.

    Args:
      trained: what ``load_trained`` read.
      path: of the file; one that is there is replaced.

    Raises:
      UserError: jax2onnx is not installed, or the file cannot be written.
    """
    try:
        import onnx  # pyright: ignore[reportMissingImports]
        from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise UserError(
            f"--format onnx: expected jax2onnx, got no {error.name}; "
            'pip install -e ".[onnx]", where the code is'
        ) from error
    shapes = _shapes(trained)
    model = to_onnx(
        only_forward(_logits(trained)),
        inputs=list(shapes.values()),
        model_name="lstm_jax",
        input_names=list(shapes),
        output_names=["logits"],
    )
    onnx.helper.set_model_props(model, _metadata(trained))
    with draft_asked_for(path) as draft:
        draft.write_bytes(model.SerializeToString())


def _logits(trained: Trained) -> Callable[..., Array]:
    """The logits as a function of a batch, in the plain scan."""
    plain = trained.module.clone(implementation="scan", unroll=1, chunk_size=0)
    params = jax.tree.map(jnp.asarray, trained.params)
    return lambda *inputs: jnp.asarray(plain.apply({"params": params}, *inputs))


def _shapes(trained: Trained) -> dict[str, jax.ShapeDtypeStruct]:
    """What goes in; letters stand for any number."""
    num_logits: Any = trained.module.num_logits
    shapes: dict[str, tuple[tuple[Any, ...], Any]] = {
        "token_ids": (("B", "T"), jnp.int32),
        "lengths": (("B",), jnp.int32),
    }
    if trained.module.num_ngrams:
        shapes["ngram_ids"] = (("B", "G"), jnp.int32)
        shapes["ngram_values"] = (("B", "G", num_logits), jnp.float32)
    return {name: jax.ShapeDtypeStruct(*shape) for name, shape in shapes.items()}


def _metadata(trained: Trained) -> dict[str, str]:
    data = trained.config.data
    return {
        "label_names": json.dumps(list(trained.about.label_names)),
        "tokenizer": trained.text.tokenizer.to_str(),
        "max_length": str(data.max_length),
        "truncate": data.truncate,
    }


def only_forward(function: Callable[..., Array]) -> Callable[..., Array]:
    """The same function with its reversed scans as scans over flipped sequences.

    jax2onnx has no scan from the end.
    """

    def flipped(*args: Array) -> Array:
        """Compute it operation by operation."""
        closed = jax.make_jaxpr(function)(*args)
        return _run(closed.jaxpr, closed.consts, args)[0]

    return flipped


def _run(jaxpr: Jaxpr, consts: Any, args: Any) -> list[Array]:
    """Compute what ``jaxpr`` says."""
    values: dict[Any, Array] = {}
    values.update(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))

    def read(atom: Any) -> Any:
        """The value of a variable or a constant."""
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        outputs = _compute(equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _compute(equation: Any, inputs: list[Array]) -> list[Array]:
    """One operation."""
    primitive, params = equation.primitive, equation.params
    if primitive.name in _CALLS:
        inner = params[_CALLS[primitive.name]]
        return _run(inner.jaxpr, inner.consts, inputs)
    if primitive.name == "scan" and params["reverse"]:
        body = params["jaxpr"].jaxpr
        inputs = _flip_sequences(inputs, body.invars)
        outputs = primitive.bind(*inputs, **{**params, "reverse": False})
        return _flip_sequences(outputs, body.outvars)
    outputs = primitive.bind(*inputs, **params)
    return list(outputs) if primitive.multiple_results else [outputs]


def _flip_sequences(arrays: list[Array], of_a_step: Any) -> list[Array]:
    """Turn round those that have an axis more than in a step: that of time."""
    return [
        jnp.flip(x, 0) if x.ndim > step.aval.ndim else x
        for x, step in zip(arrays, of_a_step, strict=True)
    ]
