"""What is computed with a trained classifier: pure functions of its parameters.

Each can be jitted, or exported and called where this code is not at hand.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import zeros

from lstm_jax.cells import CELLS
from lstm_jax.data.tokenizer import PAD_ID
from lstm_jax.loaded import Programs
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.models.fold import fold_embedding
from lstm_jax.unroll import trace

Params = Any


def make_programs(module: TextClassifier) -> Programs:
    """The functions that ``Programs`` describes, for one classifier."""
    folded, prepare = fold_embedding(module)

    def logits(prepared: Params, *inputs: Array) -> Array:
        """Classify a batch."""
        return jnp.asarray(folded.apply({"params": prepared}, *inputs))

    def gates(params: Params, token_ids: Array) -> dict[str, Array]:
        """Look into the first layer."""
        layer = params["layers"]["layer_0"]
        if module.inputs == "one_hot":  # then the weights give the dtype
            layer = jax.tree.map(lambda w: w.astype(module.dtype), layer)
        cell = CELLS[module.cell](module.hidden_size)
        xs = _first_inputs(module, params, token_ids)
        seen = trace(
            cell,
            layer.get("forward", layer),
            xs[:, None],
            lengths=jnp.sum(token_ids != PAD_ID)[None],
            reverse=module.direction == "backward",
        )
        return {name: x[:, 0].astype(jnp.float32) for name, x in seen.items()}

    def gradients(
        params: Params,
        token_ids: Array,
        length: Array,
        ngram_ids: Array,
        ngram_values: Array,
        contrast: Array,
        shares: Array,
    ) -> tuple[Array, Array]:
        """Integrate gradients from a text of unknown words."""
        rows = _tables(params, token_ids)
        start = _tables(params, jnp.full_like(token_ids, module.unknown_id))
        # The words of this text are all there are: one position, one row.
        alone = module.clone(
            vocab_size=token_ids.shape[0],
            train_embedding=True,
            embedding_init=zeros,  # never used, but traced: others divide by the size
        )
        positions = jnp.arange(token_ids.shape[0], dtype=jnp.int32)[None]

        def verdict(tables: list[Array], values: Array) -> Array:
            """The contrast of the logits, for inputs on the way."""
            inputs = (positions, length[None], ngram_ids[None], values[None])
            swapped = _with_tables(params, tables)
            return jnp.asarray(alone.apply({"params": swapped}, *inputs))[0] @ contrast

        def slopes(share: Array) -> tuple[list[Array], Array]:
            """The gradient at one point of the way."""
            at = jax.tree.map(lambda a, b: a + share * (b - a), start, rows)
            return jax.grad(verdict, argnums=(0, 1))(at, share * ngram_values)

        steepness = jax.tree.map(lambda x: x.mean(axis=0), jax.vmap(slopes)(shares))
        way = jax.tree.map(jnp.subtract, rows, start)
        words = [(s * w).sum(axis=-1) for s, w in zip(steepness[0], way, strict=True)]
        return jnp.stack(words).sum(axis=0), (steepness[1] * ngram_values).sum(axis=-1)

    return Programs(prepare, logits, gates, gradients)


def _first_inputs(module: TextClassifier, params: Params, token_ids: Array) -> Array:
    """What the first layer reads: ``[T, E]``, or ids that stand for one-hot."""
    if module.inputs == "one_hot":
        return token_ids
    return params["embedding"]["embedding"][token_ids].astype(module.dtype)


def _tables(params: Params, token_ids: Array) -> list[Array]:
    """All that depends on a word: its vector, or its rows of one-hot weights."""
    if "embedding" in params:
        return [params["embedding"]["embedding"][token_ids]]
    layer = params["layers"]["layer_0"]
    return [way["w_ih"][token_ids] for way in _ways(layer).values()]


def _with_tables(params: Params, tables: list[Array]) -> Params:
    """``params`` with other tables of words."""
    if "embedding" in params:
        return {**params, "embedding": {"embedding": tables[0]}}
    layer = params["layers"]["layer_0"]
    swapped = {
        name: {**way, "w_ih": table}
        for (name, way), table in zip(_ways(layer).items(), tables, strict=True)
    }
    first = swapped if "forward" in layer else swapped["only"]
    return {**params, "layers": {**params["layers"], "layer_0": first}}


def _ways(layer: Params) -> dict[str, Params]:
    """The directions of a layer by name."""
    return layer if "forward" in layer else {"only": layer}
