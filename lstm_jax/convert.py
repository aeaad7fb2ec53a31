"""Weights to and from the layouts of other libraries, with NumPy alone.

Each function takes the name of the *other* library's class first, which decides the
layout, and gives parameters as ``cell.init`` or ``stack(...).init`` would:

==========  ======================================  ================================
library     classes                                 gates, and what is special
==========  ======================================  ================================
torch.nn    LSTM (``proj_size``: lstmp), GRU, RNN   i,f,g,o; r,z,n; two biases
Keras       LSTM, GRU, SimpleRNN                    i,f,c,o; z,r,h; GRU: two biases
Linen       LSTMCell, OptimizedLSTMCell, GRUCell,   a kernel for each gate
            SimpleCell
NNX         the same                                LSTMCell a kernel for each gate
Haiku       LSTM                                    i,g,f,o; 1 is added to f; one w
==========  ======================================  ================================

Two biases that are added become one, and come back as one bias and zeros: the
function is the same, the arrays are not.  The forget gate's bias of Haiku is rounded
when 1 is added or taken away.  All else comes back bit for bit.

Refused, for our cells compute another function: Keras' ``GRU(reset_after=False)`` and
Haiku's GRU (the reset gate acts before the product), Haiku's VanillaRNN (ReLU); and of
our cells those that the others do not have: with peepholes, with layer norm and, but
for torch, with a projection.  What weights do not show is for the caller to know:
torch's ``RNN(nonlinearity="relu")``, other activations in Keras or Flax, Flax'
``SimpleCell(residual=True)``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Params = dict[str, Any]

# Our blocks, in order, by the number of gates of a cell.
_GATES = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}
_TORCH = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
_KERAS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
_KERAS_GATES = {"lstm": "ifgo", "gru": "zrn", "rnn": "h"}
_FLAX = {
    "LSTMCell": "lstm",
    "OptimizedLSTMCell": "lstm",
    "GRUCell": "gru",
    "SimpleCell": "rnn",
}
_HAIKU = {"LSTM": "lstm"}
_HAIKU_GATES = "igfo"
_PROJECTION = ("w_hr",)  # of lstmp, which torch alone has


def from_torch(kind: str, state: Mapping[str, Any], *, prefix: str = "") -> Params:
    """Read the ``state_dict`` of a ``torch.nn.LSTM``, ``GRU`` or ``RNN``.

    Args:
      kind: "LSTM", "GRU" or "RNN".
      state: names to tensors on the CPU, or arrays.
      prefix: what stands before ``weight_ih_l0`` in the names, such as "encoder.".

    Returns:
      The params of ``stack`` over ``one_way`` layers, or ``bidirectional`` ones where
      the module is: ``{"layer_0": ..., "layer_1": ...}``.  With ``proj_size`` they are
      those of ``lstmp``.  A module without biases gets zeros.

    Raises:
      ValueError: a name that is missing, or a shape of another kind of module.

    Example:
      >>> rng = np.random.default_rng(0)
      >>> shapes = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4)}
      >>> state = {name: rng.normal(size=shape) for name, shape in shapes.items()}
      >>> params = from_torch("LSTM", state)["layer_0"]
      >>> {name: w.shape for name, w in params.items()}
      {'w_ih': (3, 16), 'w_hh': (4, 16), 'b': (16,)}
    """
    cell = _cell_of("torch.nn", kind, _TORCH)
    params: Params = {}
    while f"{prefix}weight_ih_l{len(params)}" in state or not params:
        name = f"l{len(params)}"
        forward = _read_torch(cell, state, prefix, name)
        if f"{prefix}weight_ih_{name}_reverse" in state:
            backward = _read_torch(cell, state, prefix, f"{name}_reverse")
            forward = {"forward": forward, "backward": backward}
        params[f"layer_{len(params)}"] = forward
    return params


def to_torch(kind: str, params: Mapping[str, Any], *, prefix: str = "") -> Params:
    """Write what ``load_state_dict`` of a ``torch.nn`` module reads.

    Args:
      kind: "LSTM", "GRU" or "RNN".
      params: of a ``stack``, as ``from_torch`` gives them.
      prefix: put before each name.

    Returns:
      Names to arrays; each goes through ``torch.tensor``.  The second bias is zero,
      but for ``b_hn`` of a GRU.

    Example:
      >>> params = {"w_ih": np.eye(3, 4), "w_hh": np.eye(4), "b": np.zeros(4)}
      >>> list(to_torch("RNN", {"layer_0": params}))
      ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0']
    """
    cell = _cell_of("torch.nn", kind, _TORCH)
    state: Params = {}
    for n in range(len(params)):
        layer = _at(params, f"layer_{n}")
        for name, way in _directions(layer, f"l{n}", f"l{n}_reverse"):
            b_ih, b_hh = _split_bias(cell, way, *_PROJECTION)
            arrays = {"weight_ih": way["w_ih"], "weight_hh": way["w_hh"]}
            arrays |= {"bias_ih": b_ih, "bias_hh": b_hh}
            if "w_hr" in way:
                arrays["weight_hr"] = way["w_hr"]
            for key, value in arrays.items():
                state[f"{prefix}{key}_{name}"] = _array(value).T.copy()
    return state


def from_keras(kind: str, weights: Sequence[Any]) -> Params:
    """Read ``layer.get_weights()`` of a Keras ``LSTM``, ``GRU`` or ``SimpleRNN``.

    Args:
      kind: "LSTM", "GRU" or "SimpleRNN".
      weights: kernel, recurrent kernel and bias (if there is one); for a
        ``Bidirectional`` layer the forward ones, then the backward ones.

    Returns:
      The params of the cell, or of ``bidirectional``.

    Raises:
      ValueError: another number of arrays, a shape that does not fit, or a GRU with
        ``reset_after=False`` (without a bias it looks like any other).

    Example:
      >>> weights = [np.ones((3, 12)), np.ones((4, 12)), np.ones((2, 12))]
      >>> params = from_keras("GRU", weights)
      >>> params["b"].tolist()[::4], params["b_hn"].tolist()
      ([2.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0])
    """
    cell = _cell_of("keras.layers", kind, _KERAS)
    if len(weights) in (2, 3):
        return _read_keras(cell, *weights)
    if len(weights) in (4, 6):
        half = len(weights) // 2
        forward, backward = weights[:half], weights[half:]
        return {
            "forward": _read_keras(cell, *forward),
            "backward": _read_keras(cell, *backward),
        }
    raise ValueError(
        f"weights: expected 2 or 3 arrays a direction, got {len(weights)} arrays"
    )


def to_keras(kind: str, params: Mapping[str, Any]) -> list[np.ndarray]:
    """Write what ``layer.set_weights`` of a Keras layer reads.

    Args:
      kind: "LSTM", "GRU" or "SimpleRNN".
      params: of a cell, or of ``bidirectional``.

    Returns:
      Kernel, recurrent kernel and bias; for both directions six arrays.  The second
      bias of a GRU is zero, but for ``b_hn``.

    Example:
      >>> params = {"w_ih": np.eye(3, 4), "w_hh": np.eye(4), "b": np.zeros(4)}
      >>> [w.shape for w in to_keras("SimpleRNN", params)]
      [(3, 4), (4, 4), (4,)]
    """
    cell = _cell_of("keras.layers", kind, _KERAS)
    order = _KERAS_GATES[cell]
    weights = []
    for _, way in _directions(params, "", ""):
        biases = _split_bias(cell, way)
        bias = np.stack(biases) if cell == "gru" else biases[0]
        for value in (way["w_ih"], way["w_hh"], bias):
            weights.append(_reorder(_array(value), _GATES[cell], order))
    return weights


def from_linen(kind: str, params: Mapping[str, Any]) -> Params:
    """Read the params of a ``flax.linen`` cell.

    Args:
      kind: "LSTMCell", "OptimizedLSTMCell", "GRUCell" or "SimpleCell".
      params: the cell's own; inside ``nn.RNN`` they are ``params["cell"]``.

    Returns:
      The params of our cell.

    Raises:
      ValueError: a kernel or bias that is missing.

    Example:
      >>> params = {"i": {"kernel": np.eye(3), "bias": np.ones(3)}}
      >>> params |= {"h": {"kernel": np.eye(3)}}
      >>> from_linen("SimpleCell", params)["b"].tolist()
      [1.0, 1.0, 1.0]
    """
    cell = _cell_of("flax.linen", kind, _FLAX)
    names = _linen_names(cell)
    ours = {
        "w_ih": _join(_at(params, f"i{k}", "kernel") for k in names),
        "w_hh": _join(_at(params, f"h{k}", "kernel") for k in names),
    }
    biased = "h" if cell == "lstm" else "i"
    ours["b"] = _join(_at(params, f"{biased}{k}", "bias") for k in names)
    if cell == "gru":
        ours["b_hn"] = _array(_at(params, "hn", "bias"))
    return _checked(cell, ours)


def to_linen(kind: str, params: Mapping[str, Any]) -> Params:
    """Write the params of a ``flax.linen`` cell; see ``from_linen``.

    >>> params = {"w_ih": np.eye(3), "w_hh": np.eye(3), "b": np.ones(3)}
    >>> {k: list(v) for k, v in to_linen("SimpleCell", params).items()}
    {'i': ['kernel', 'bias'], 'h': ['kernel']}
    """
    cell = _cell_of("flax.linen", kind, _FLAX)
    names, ours = _linen_names(cell), _checked(cell, params)
    w_ih, w_hh, b = (
        dict(zip(names, np.split(ours[name], len(names), axis=-1), strict=True))
        for name in ("w_ih", "w_hh", "b")
    )
    theirs: Params = {f"i{k}": {"kernel": w_ih[k]} for k in names}
    theirs |= {f"h{k}": {"kernel": w_hh[k]} for k in names}
    for k in names:
        theirs[f"h{k}" if cell == "lstm" else f"i{k}"]["bias"] = b[k]
    if cell == "gru":
        theirs["hn"]["bias"] = ours["b_hn"]
    return theirs


def from_nnx(kind: str, params: Mapping[str, Any]) -> Params:
    """Read the params of a ``flax.nnx`` cell.

    Args:
      kind: "LSTMCell", "OptimizedLSTMCell", "GRUCell" or "SimpleCell".
      params: ``nnx.to_pure_dict(nnx.state(cell, nnx.Param))``.

    Returns:
      The params of our cell.

    Raises:
      ValueError: a kernel or bias that is missing.

    Example:
      >>> params = {"dense_h": {"kernel": np.eye(3)}}
      >>> params |= {"dense_i": {"kernel": np.eye(3), "bias": np.ones(3)}}
      >>> from_nnx("SimpleCell", params)["b"].tolist()
      [1.0, 1.0, 1.0]
    """
    cell = _cell_of("flax.nnx", kind, _FLAX)
    if kind == "LSTMCell":
        return from_linen(kind, {name.rstrip("_"): w for name, w in params.items()})
    biased = "dense_h" if cell == "lstm" else "dense_i"
    ours = {
        "w_ih": _array(_at(params, "dense_i", "kernel")),
        "w_hh": _array(_at(params, "dense_h", "kernel")),
        "b": _array(_at(params, biased, "bias")),
    }
    if cell == "gru":
        ours["b_hn"] = np.zeros_like(ours["b"], shape=ours["b"].shape[0] // 3)
    return _checked(cell, ours)


def to_nnx(kind: str, params: Mapping[str, Any]) -> Params:
    """Write the params of a ``flax.nnx`` cell, for ``nnx.update``.

    Raises:
      ValueError: a GRU whose ``b_hn`` is not zero: NNX has no such bias.

    >>> params = {"w_ih": np.eye(3), "w_hh": np.eye(3), "b": np.ones(3)}
    >>> {k: list(v) for k, v in to_nnx("SimpleCell", params).items()}
    {'dense_i': ['kernel', 'bias'], 'dense_h': ['kernel']}
    """
    cell = _cell_of("flax.nnx", kind, _FLAX)
    if kind == "LSTMCell":
        theirs = to_linen(kind, params)
        return {f"{k}_" if k == "if" else k: w for k, w in theirs.items()}
    ours = _checked(cell, params)
    if cell == "gru" and ours["b_hn"].any():
        raise ValueError("b_hn: expected zeros, for nnx.GRUCell has no such bias")
    theirs = {"dense_i": {"kernel": ours["w_ih"]}, "dense_h": {"kernel": ours["w_hh"]}}
    theirs["dense_h" if cell == "lstm" else "dense_i"]["bias"] = ours["b"]
    return theirs


def from_haiku(kind: str, params: Mapping[str, Any]) -> Params:
    """Read the params of Haiku's ``LSTM``, which adds 1 to the forget gate itself.

    Args:
      kind: "LSTM".
      params: ``w [D + H, 4H]`` and ``b [4H]`` of its ``linear``.

    Returns:
      The params of ``lstm``; the 1 is in ``b``.

    Raises:
      ValueError: a kind that our cells cannot compute, a missing array or a shape.

    Example:
      >>> params = {"w": np.zeros((7, 16)), "b": np.zeros(16)}
      >>> from_haiku("LSTM", params)["b"].tolist()[::4]
      [0.0, 1.0, 0.0, 0.0]
    """
    cell = _cell_of("haiku", kind, _HAIKU)
    w, b = (_reorder(_array(_at(params, k)), _HAIKU_GATES, "ifgo") for k in "wb")
    size = b.shape[-1] // 4
    b[size : 2 * size] += 1
    return _checked(cell, {"w_ih": w[:-size], "w_hh": w[-size:], "b": b})


def to_haiku(kind: str, params: Mapping[str, Any]) -> Params:
    """Write the params of the ``linear`` in Haiku's ``LSTM``; see ``from_haiku``.

    >>> params = {"w_ih": np.eye(3, 16), "w_hh": np.eye(4, 16), "b": np.zeros(16)}
    >>> to_haiku("LSTM", params)["b"].tolist()[::4]
    [0.0, 0.0, -1.0, 0.0]
    """
    ours = _checked(_cell_of("haiku", kind, _HAIKU), params)
    w = np.concatenate([ours["w_ih"], ours["w_hh"]])
    b, size = ours["b"].copy(), len(ours["b"]) // 4
    b[size : 2 * size] -= 1
    return {
        "w": _reorder(w, "ifgo", _HAIKU_GATES),
        "b": _reorder(b, "ifgo", _HAIKU_GATES),
    }


def _cell_of(library: str, kind: str, known: Mapping[str, str]) -> str:
    """Which of our cells another library's class is."""
    if kind not in known:
        expected = ", ".join(known)
        raise ValueError(f"{library}: expected one of {expected}, got {kind!r}")
    return known[kind]


def _read_torch(cell: str, state: Mapping[str, Any], prefix: str, name: str) -> Params:
    """One direction of one layer."""

    def read(key: str) -> np.ndarray:
        """A copy of one of torch's arrays, inputs first: torch trains in place."""
        return np.array(_array(_at(state, f"{prefix}{key}_{name}")).T, order="C")

    params = {"w_ih": read("weight_ih"), "w_hh": read("weight_hh")}
    if f"{prefix}bias_ih_{name}" in state:
        biases = read("bias_ih"), read("bias_hh")
    else:
        zeros = np.zeros_like(params["w_hh"], shape=params["w_hh"].shape[-1])
        biases = zeros, zeros
    params |= _join_bias(cell, *biases)
    if f"{prefix}weight_hr_{name}" in state:
        params["w_hr"] = read("weight_hr")
    return _checked(cell, params, *_PROJECTION)


def _read_keras(cell: str, kernel: Any, recurrent: Any, bias: Any = None) -> Params:
    """One direction."""
    order = _KERAS_GATES[cell]
    w_ih, w_hh = (_reorder(_array(w), order, _GATES[cell]) for w in (kernel, recurrent))
    zeros = np.zeros_like(w_hh, shape=w_hh.shape[-1])
    if bias is None:
        biases = zeros, zeros
    elif cell != "gru":
        biases = _reorder(_array(bias), order, _GATES[cell]), zeros
    elif _array(bias).ndim == 2:
        biases = tuple(_reorder(b, order, _GATES[cell]) for b in _array(bias))
    else:
        raise ValueError(
            "GRU: expected reset_after=True, whose bias is [2, 3H]; got bias shape "
            f"{_array(bias).shape}: with reset_after=False the gate acts before the "
            "product, which is another function"
        )
    return _checked(cell, {"w_ih": w_ih, "w_hh": w_hh, **_join_bias(cell, *biases)})


def _join_bias(cell: str, b_ih: np.ndarray, b_hh: np.ndarray) -> Params:
    """One bias of two; that inside a GRU's reset gate stays by itself."""
    if cell != "gru":
        return {"b": b_ih + b_hh}
    size = len(b_ih) // 3
    b = b_ih + b_hh
    b[2 * size :] = b_ih[2 * size :]
    return {"b": b, "b_hn": b_hh[2 * size :]}


def _split_bias(
    cell: str, params: Mapping[str, Any], *others: str
) -> tuple[np.ndarray, np.ndarray]:
    """Two biases that add up to ours."""
    ours = _checked(cell, params, *others)
    other = np.zeros_like(ours["b"])
    if cell == "gru":
        other[-len(ours["b_hn"]) :] = ours["b_hn"]
    return ours["b"], other


def _directions(layer: Mapping[str, Any], forward: str, backward: str) -> list:
    """``(name, params)`` of the directions of a layer."""
    if "forward" in layer:
        return [(forward, layer["forward"]), (backward, _at(layer, "backward"))]
    return [(forward, layer)]


def _linen_names(cell: str) -> list[str]:
    """What stands after i and h in the names of Linen's kernels."""
    return [""] if cell == "rnn" else list(_GATES[cell])


def _reorder(w: np.ndarray, order: str, wanted: str) -> np.ndarray:
    """Put the blocks of the last axis into another order."""
    if w.shape[-1] % len(order):
        raise ValueError(
            f"weights: expected {len(order)} gates side by side, got shape {w.shape}"
        )
    blocks = dict(zip(order, np.split(w, len(order), axis=-1), strict=True))
    return _join(blocks[gate] for gate in wanted)


def _join(blocks: Any) -> np.ndarray:
    return np.concatenate([_array(block) for block in blocks], axis=-1)


def _array(value: Any) -> np.ndarray:
    return np.asarray(value)


def _at(tree: Mapping[str, Any], *path: str) -> Any:
    """What stands at a path, or an error that says what is missing."""
    for n, name in enumerate(path):
        if name not in tree:
            place = "/".join(path[: n + 1])
            raise ValueError(f"{place}: expected it among the weights, got {[*tree]}")
        tree = tree[name]
    return tree


def _checked(cell: str, params: Mapping[str, Any], *others: str) -> Params:
    """The params as arrays, if they are those of the cell and their shapes fit.

    Args:
      cell: "lstm", "gru" or "rnn".
      params: of one direction of one layer.
      *others: names that may be among them besides.
    """
    names = ["w_ih", "w_hh", "b", *(["b_hn"] if cell == "gru" else [])]
    names += [name for name in others if name in params]
    if unknown := sorted(set(params) - set(names)):
        raise ValueError(
            f"params: expected those of the plain {cell} ({', '.join(names)}), got "
            f"{', '.join(unknown)} too: the other library has no such cell"
        )
    ours = {name: _array(_at(params, name)) for name in names}
    size = ours["w_hr" if "w_hr" in ours else "w_hh"].shape[0]
    width = len(_GATES[cell]) * size
    expected: dict[str, Callable[[np.ndarray], bool]] = {
        "w_ih": lambda w: w.ndim == 2 and w.shape[1] == width,
        "w_hh": lambda w: w.ndim == 2 and w.shape[1] == width,
        "b": lambda w: w.shape == (width,),
        "b_hn": lambda w: w.shape == (size,),
        "w_hr": lambda w: w.shape == (size, ours["w_hh"].shape[0]),
    }
    for name, w in ours.items():
        if not expected[name](w):
            raise ValueError(
                f"{name}: expected {len(_GATES[cell])} gates of hidden size {size} "
                f"({cell}), got shape {w.shape}"
            )
    return ours
