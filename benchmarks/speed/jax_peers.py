"""The libraries of JAX: ours, Flax Linen, Flax NNX, Haiku, Equinox.

All but one direction of one recurrent layer is the same code for all of them.
"""

# pyright: reportMissingImports=false

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from speed.case import Arrays, Case, Programs

from lstm_jax import __version__, convert, lstm, unroll
from lstm_jax.training.devices import batch_sharding, copied, make_data_mesh

# One direction of a layer: (params, xs [T, B, D], lengths [B] or None) -> ys [T, B, H]
Recur = Callable[[Any, Array, Array | None], Array]
Weights = dict[str, np.ndarray]


class Way(NamedTuple):
    """What a direction of a layer is made of."""

    hidden: int
    reverse: bool
    dtype: str


def ours(
    way: Way, weights: Weights, implementation: str, unroll_by: int | None = None
) -> tuple[Any, Recur]:
    """``unroll`` with one implementation."""
    cell = lstm(way.hidden)

    def recur(params: Any, xs: Array, lengths: Array | None) -> Array:
        params = jax.tree.map(lambda w: w.astype(way.dtype), params)
        return unroll(
            cell,
            params,
            xs,
            lengths=lengths,
            reverse=way.reverse,
            unroll=unroll_by,
            implementation=implementation,
        )[1]

    return weights, recur


def linen(way: Way, weights: Weights) -> tuple[Any, Recur]:
    """``flax.linen.RNN(OptimizedLSTMCell)``."""
    import flax.linen as nn

    cell = nn.OptimizedLSTMCell(way.hidden, dtype=jnp.dtype(way.dtype))
    layer = nn.RNN(cell, time_major=True, reverse=way.reverse, keep_order=True)
    params = {"cell": convert.to_linen("OptimizedLSTMCell", weights)}

    def recur(params: Any, xs: Array, lengths: Array | None) -> Array:
        ys: Any = layer.apply({"params": params}, xs, seq_lengths=lengths)
        return ys

    return params, recur


def nnx(way: Way, weights: Weights) -> tuple[Any, Recur]:
    """``flax.nnx.RNN(OptimizedLSTMCell)``."""
    from flax import nnx

    rngs = nnx.Rngs(0)
    cell = nnx.OptimizedLSTMCell(
        len(weights["w_ih"]), way.hidden, dtype=jnp.dtype(way.dtype), rngs=rngs
    )
    layer = nnx.RNN(
        cell, time_major=True, reverse=way.reverse, keep_order=True, rngs=rngs
    )
    graph, params, rest = nnx.split(layer, nnx.Param, ...)
    flat = convert.to_nnx("OptimizedLSTMCell", weights)
    nnx.replace_by_pure_dict(params, {"cell": flat})

    def recur(params: Any, xs: Array, lengths: Array | None) -> Array:
        # The layer would draw its first carry, zeros, and count the draw: not here.
        zeros = jnp.zeros((xs.shape[1], way.hidden))
        ys: Any = nnx.merge(graph, params, rest)(
            xs, seq_lengths=lengths, initial_carry=(zeros, zeros)
        )
        return ys

    return params, recur


def haiku(way: Way, weights: Weights) -> tuple[Any, Recur]:
    """``hk.dynamic_unroll(hk.LSTM)``, which knows no lengths."""
    import haiku as hk

    def run(xs: Array) -> Array:
        cell = hk.LSTM(way.hidden)
        start = cell.initial_state(xs.shape[1])
        outputs: Any = hk.dynamic_unroll(cell, xs, start, reverse=way.reverse)
        return outputs[0]

    apply = hk.without_apply_rng(hk.transform(run)).apply
    params = {"lstm/linear": convert.to_haiku("LSTM", weights)}
    return params, lambda params, xs, lengths: apply(params, xs)


def equinox(way: Way, weights: Weights) -> tuple[Any, Recur]:
    """``eqx.nn.LSTMCell`` under ``lax.scan``, as its documentation shows."""
    import equinox as eqx

    cell = eqx.nn.LSTMCell(len(weights["w_ih"]), way.hidden, key=jax.random.key(0))
    # Its gates stand in the order i, f, g, o, each a row: torch's layout.
    torch = convert.to_torch("LSTM", {"layer_0": weights})
    w_ih, w_hh, b, _ = (np.asarray(w) for w in torch.values())
    where = lambda c: (c.weight_ih, c.weight_hh, c.bias)  # noqa: E731
    cell = eqx.tree_at(where, cell, tuple(map(jnp.asarray, (w_ih, w_hh, b))))
    params, rest = eqx.partition(cell, eqx.is_array)

    def one(params: Any, xs: Array) -> Array:
        cell = eqx.combine(params, rest)
        zeros = jnp.zeros(way.hidden)

        def step(carry: Any, x: Array) -> tuple[Any, Array]:
            carry = cell(x, carry)
            return carry, carry[0]

        return jax.lax.scan(step, (zeros, zeros), xs, reverse=way.reverse)[1]

    batched = jax.vmap(one, in_axes=(None, 1), out_axes=1)
    return params, lambda params, xs, lengths: batched(params, xs)


def compose(build: Callable[..., tuple[Any, Recur]], case: Case, arrays: Arrays) -> Any:
    """Both directions and all layers, of what one direction of one layer is."""
    built = [
        [
            build(Way(case.hidden, way == 1, case.dtype), weights)
            for way, weights in enumerate(layer)
        ]
        for layer in arrays.layers
    ]

    def recur(params: Any, xs: Array, lengths: Array | None) -> Array:
        for layer, layer_params in zip(built, params, strict=True):
            ways = zip(layer, layer_params, strict=True)
            outputs = [run(own, xs, lengths) for (_, run), own in ways]
            xs = jnp.concatenate(outputs, axis=-1)
        return xs

    return [[params for params, _ in layer] for layer in built], recur


LIBRARIES: dict[str, tuple[str, Callable[..., tuple[Any, Recur]]]] = {
    "ours, fused": ("lstm-jax", partial(ours, implementation="fused")),
    "ours, fused x1": ("lstm-jax", partial(ours, implementation="fused", unroll_by=1)),
    "ours, scan": ("lstm-jax", partial(ours, implementation="scan")),
    "ours, cudnn": ("lstm-jax", partial(ours, implementation="cudnn")),
    "ours, pallas": ("lstm-jax", partial(ours, implementation="pallas")),
    "flax.linen": ("flax", linen),
    "flax.nnx": ("flax", nnx),
    "haiku": ("dm-haiku", haiku),
    "equinox": ("equinox", equinox),
}


def make_programs(library: str, case: Case, arrays: Arrays) -> Programs:
    """The jitted programs of a library, over all devices that there are."""
    package, build = LIBRARIES[library]
    rnn, recur = compose(build, case, arrays)
    params = {"table": arrays.table, "rnn": rnn, "w_out": arrays.w_out}
    mesh = make_data_mesh(case.batch, case.batch)
    batch = (arrays.tokens, arrays.lengths, arrays.labels)
    tokens, lengths, labels = jax.device_put(batch, batch_sharding(mesh))
    params = jax.device_put(params, copied(mesh))
    optimizer = optax.adam(1e-3)
    state = [params, jax.jit(optimizer.init)(params)]
    run_logits = jax.jit(partial(_logits, recur, case))
    step = jax.jit(partial(_step, recur, case, optimizer), donate_argnums=(0, 1))

    def infer() -> np.ndarray:
        return np.asarray(run_logits(params_kept, tokens, lengths))

    def train() -> float:
        *state[:], loss = step(*state, tokens, lengths, labels)
        return float(loss)

    params_kept = jax.tree.map(jnp.copy, params)
    if library.startswith("ours") and can_fold(library, case):
        params_kept = _fold(params_kept)
    number = __version__ if package == "lstm-jax" else version(package)
    return Programs(infer, train, f"{library} ({package} {number})")


def can_fold(library: str, case: Case) -> bool:
    """Whether ``Predictor`` would; cuDNN reads vectors alone."""
    return case.dtype == "float32" and library != "ours, cudnn"


def _fold(params: Any) -> Any:
    """As ``Predictor`` does once, when it loads a model: see ``models/fold.py``."""
    first = [way | {"w_ih": params["table"] @ way["w_ih"]} for way in params["rnn"][0]]
    return {"rnn": [first, *params["rnn"][1:]], "w_out": params["w_out"]}


def _logits(
    recur: Recur, case: Case, params: Any, tokens: Array, lengths: Array
) -> Array:
    """Embedding, LSTM, mean over the real steps, one logit a review."""
    # Folded, the rows of the input weights are those of the table: words are one-hot.
    xs = tokens.T
    if "table" in params:
        xs = params["table"][xs].astype(case.dtype)
    ys = recur(params["rnn"], xs, lengths if case.masked else None)
    ys = ys.astype(jnp.float32)
    if case.masked:
        real = jnp.arange(case.steps)[:, None] < lengths[None]
        ys = jnp.where(real[..., None], ys, 0)
    return ys.sum(0) / lengths[:, None] @ params["w_out"]


def _loss(recur: Recur, case: Case, params: Any, *batch: Array) -> Array:
    *inputs, labels = batch
    logits = _logits(recur, case, params, *inputs)
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


def _step(
    recur: Recur, case: Case, optimizer: Any, params: Any, state: Any, *batch: Array
) -> tuple[Any, Any, Array]:
    loss, gradient = jax.value_and_grad(partial(_loss, recur, case))(params, *batch)
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, loss
