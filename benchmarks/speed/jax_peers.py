"""The libraries of JAX: ours, Flax Linen, Flax NNX, Haiku, Equinox.

All but the recurrent layer is the same code for all of them.
"""

# pyright: reportMissingImports=false

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from speed.case import Arrays, Case, Programs

from lstm_jax import convert, lstm, unroll
from lstm_jax.training.devices import batch_sharding, copied, make_data_mesh

# (params, xs [T, B, D], lengths [B] or None) -> ys [T, B, H]
Recur = Callable[[Any, Array, Array | None], Array]


def ours(case: Case, arrays: Arrays, implementation: str) -> tuple[Any, Recur]:
    """``unroll`` with one implementation."""
    cell = lstm(case.hidden)

    def recur(params: Any, xs: Array, lengths: Array | None) -> Array:
        how = {"lengths": lengths, "implementation": implementation}
        return unroll(cell, params, xs, **how)[1]

    return arrays.cell, recur


def linen(case: Case, arrays: Arrays) -> tuple[Any, Recur]:
    """``flax.linen.RNN(OptimizedLSTMCell)``."""
    import flax.linen as nn

    layer = nn.RNN(nn.OptimizedLSTMCell(case.hidden), time_major=True)
    params = {"cell": convert.to_linen("OptimizedLSTMCell", arrays.cell)}

    def recur(params: Any, xs: Array, lengths: Array | None) -> Array:
        ys: Any = layer.apply({"params": params}, xs, seq_lengths=lengths)
        return ys

    return params, recur


def nnx(case: Case, arrays: Arrays) -> tuple[Any, Recur]:
    """``flax.nnx.RNN(OptimizedLSTMCell)``."""
    from flax import nnx

    rngs = nnx.Rngs(0)
    cell = nnx.OptimizedLSTMCell(case.embedding, case.hidden, rngs=rngs)
    layer = nnx.RNN(cell, time_major=True, rngs=rngs)
    graph, params, rest = nnx.split(layer, nnx.Param, ...)
    flat = convert.to_nnx("OptimizedLSTMCell", arrays.cell)
    nnx.replace_by_pure_dict(params, {"cell": flat})

    def recur(params: Any, xs: Array, lengths: Array | None) -> Array:
        ys: Any = nnx.merge(graph, params, rest)(xs, seq_lengths=lengths)
        return ys

    return params, recur


def haiku(case: Case, arrays: Arrays) -> tuple[Any, Recur]:
    """``hk.dynamic_unroll(hk.LSTM)``, which knows no lengths."""
    import haiku as hk

    def run(xs: Array) -> Array:
        cell = hk.LSTM(case.hidden)
        start = cell.initial_state(xs.shape[1])
        outputs: Any = hk.dynamic_unroll(cell, xs, start)
        return outputs[0]

    apply = hk.without_apply_rng(hk.transform(run)).apply
    params = {"lstm/linear": convert.to_haiku("LSTM", arrays.cell)}
    return params, lambda params, xs, lengths: apply(params, xs)


def equinox(case: Case, arrays: Arrays) -> tuple[Any, Recur]:
    """``eqx.nn.LSTMCell`` under ``lax.scan``, as its documentation shows."""
    import equinox as eqx

    cell = eqx.nn.LSTMCell(case.embedding, case.hidden, key=jax.random.key(0))
    # Its gates stand in the order i, f, g, o, each a row: torch's layout.
    torch = convert.to_torch("LSTM", {"layer_0": arrays.cell})
    w_ih, w_hh, b, _ = (np.asarray(w) for w in torch.values())
    where = lambda c: (c.weight_ih, c.weight_hh, c.bias)  # noqa: E731
    cell = eqx.tree_at(where, cell, tuple(map(jnp.asarray, (w_ih, w_hh, b))))
    params, rest = eqx.partition(cell, eqx.is_array)

    def one(params: Any, xs: Array) -> Array:
        cell = eqx.combine(params, rest)
        zeros = jnp.zeros(case.hidden)

        def step(carry: Any, x: Array) -> tuple[Any, Array]:
            carry = cell(x, carry)
            return carry, carry[0]

        return jax.lax.scan(step, (zeros, zeros), xs)[1]

    batched = jax.vmap(one, in_axes=(None, 1), out_axes=1)
    return params, lambda params, xs, lengths: batched(params, xs)


LIBRARIES: dict[str, tuple[str, Callable[..., tuple[Any, Recur]]]] = {
    "ours, fused": ("lstm-jax", partial(ours, implementation="fused")),
    "ours, scan": ("lstm-jax", partial(ours, implementation="scan")),
    "flax.linen": ("flax", linen),
    "flax.nnx": ("flax", nnx),
    "haiku": ("dm-haiku", haiku),
    "equinox": ("equinox", equinox),
}
NO_LENGTHS = ("haiku", "equinox")


def make_programs(library: str, case: Case, arrays: Arrays) -> Programs:
    """The jitted programs of a library, over all devices that there are."""
    package, build = LIBRARIES[library]
    rnn, recur = build(case, arrays)
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
    if library.startswith("ours"):
        params_kept = _fold(params_kept)
    return Programs(infer, train, f"{library} ({package} {version(package)})")


def _fold(params: Any) -> Any:
    """As ``Predictor`` does once, when it loads a model: see ``models/fold.py``."""
    w_ih = params["table"] @ params["rnn"]["w_ih"]
    return {"rnn": {**params["rnn"], "w_ih": w_ih}, "w_out": params["w_out"]}


def _logits(
    recur: Recur, case: Case, params: Any, tokens: Array, lengths: Array
) -> Array:
    """Embedding, LSTM, mean over the real steps, one logit a review."""
    # Folded, the rows of the input weights are those of the table: words are one-hot.
    xs = params["table"][tokens.T] if "table" in params else tokens.T
    ys = recur(params["rnn"], xs, lengths if case.masked else None)
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
