"""The contract that every recurrent cell keeps.

A cell is a value: three pure functions over one time step, and the width of
its output.  Generic code (``unroll``, ``layers``, the models) takes a ``Cell``
and never asks which one it is.

Shapes, here and in every cell file: ``B`` batch (any leading dimensions, or
none), ``D`` input features, ``H`` hidden features.  Parameters are a plain dict
of arrays, a carry is a NamedTuple of arrays ``[B, H]``.

A step has four parts, of which the cell gives three.  The products with ``w_ih`` and
``w_hh`` are in the first two, so that a kernel may order and gather them as it likes:

* ``project(params, x, dtype) -> v``: what the input adds; of most cells
  ``multiply_input``, which is ``x @ w_ih``.
* ``u = h @ w_hh``: what the hidden state adds; no cell computes it another way.
* ``gates(params, carry, v, u) -> gates``: row by row; adds the bias.  Of the carry they
  may read all but ``h``, which reaches them through ``u`` alone, dropout and all.
* ``update(params, carry, gates) -> carry``: row by row.

What ``step``, made of them, promises:

* ``step(params, carry, x) -> (carry, y)``: ``functools.partial(step, params)``
  is a body for ``jax.lax.scan``.  ``y`` is the new ``carry.h`` in the dtype of ``x``.
* The carry that comes out has the structure, shapes and dtypes of the one that
  went in.
* The products run in the dtype of ``x`` (bfloat16 inputs make bfloat16
  products) and are accumulated, like the carry, in the carry's dtype.
* Integers ``x [B]`` stand for one-hot vectors: the product is a row of ``w_ih``, and
  the dtype that of the parameters.
"""

import operator
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
from jax import Array
from jax.export import is_symbolic_dim
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

Params = dict[str, Array]
Carry = Any  # a NamedTuple of arrays, one type a cell
P = ParamSpec("P")


class Adjoint(NamedTuple):
    """The gradient of a cell's elementwise half, written by hand.

    A kernel that runs a cell backwards asks for little at each step: what does not
    depend on the cotangents is computed on the way forward, when the gates are at hand.

    Attributes:
      gates: whose gradient it is; that of a cell with others it is not.
      update: likewise.
      keep: ``(params, carry, v, u) -> (carry, factors, kept)``: ``update`` of
        ``gates``, and what ``back`` needs; ``factors`` has the shape and dtype of v,
        or is None, and ``back`` gets nothing for it.
      back: ``(params, factors, kept, d_carry) -> (d_carry, d_v, d_u)``: from the
        cotangent of the carry after the step to those before it.  What reaches h
        through u is left out.  ``d_u`` None stands for one that equals ``d_v``.
      others: ``(params, kept, d_carry, d_v) -> d_params``, of the parameters that
        ``gates`` reads, over all steps at once.
    """

    gates: Callable[[Params, Carry, Array, Array], Any]
    update: Callable[[Params, Carry, Any], Carry]
    keep: Callable[[Params, Carry, Array, Array], tuple[Carry, Array | None, Any]]
    back: Callable[[Params, Any, Any, Carry], tuple[Carry, Array, Array | None]]
    others: Callable[[Params, Any, Carry, Array], Params]


class Cell(NamedTuple):
    """Pure functions over one time step.

    Attributes:
      init: ``(key, input_size, dtype=float32) -> params``.  A run wants parameters of
        these names and shapes; of a cell whose ``project`` is its own, at least these.
      initial_carry: ``(batch_shape, dtype=float32) -> carry`` of zeros.
      project: ``(params, x, dtype) -> v``, with any leading dimensions.
      gates: ``(params, carry, v, u) -> gates``, a NamedTuple of arrays ``[B, H]``.
      update: ``(params, carry, gates) -> carry``, a NamedTuple with a field ``h``.
        Neither reads ``w_ih`` or ``w_hh``.
      output_size: the width of ``h``, which is the output ``y``.
      adjoint: the gradient of ``update`` and ``gates``, for kernels; with None, or
        that of others, they differentiate the two, which costs more time and memory.
      noise: None, or ``(key, xs) -> xs``, what training does to the inputs of a cell
        that is random: it adds features, which ``project`` knows.

    Example:
      >>> import jax
      >>> from lstm_jax import lstm
      >>> cell = lstm(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), input_size=3)
      >>> carry = cell.initial_carry((2,))
      >>> carry, y = cell.step(params, carry, jax.numpy.ones((2, 3)))
      >>> y.shape
      (2, 4)
    """

    init: Callable[..., Params]
    initial_carry: Callable[..., Carry]
    project: Callable[[Params, Array, DTypeLike], Array]
    gates: Callable[[Params, Carry, Array, Array], Any]
    update: Callable[[Params, Carry, Any], Carry]
    output_size: int
    adjoint: Adjoint | None = None
    noise: Callable[[Array, Array], Array] | None = None

    @property
    def own_adjoint(self) -> Adjoint | None:
        """``adjoint``, if it is of these ``gates`` and this ``update``.

        One that came along when either was replaced is not.
        """
        adjoint, own = self.adjoint, (self.gates, self.update)
        return adjoint if adjoint and (adjoint.gates, adjoint.update) == own else None

    def step(self, params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        """One step: x ``[B, D]``, or integers ``[B]``, to the next carry and y."""
        v = self.project(params, x, carry.h.dtype)
        check_batch(v, carry)
        return self.recur(params, carry, v, product_dtype(params, x))

    def recur(
        self,
        params: Params,
        carry: Carry,
        v: Array,
        dtype: DTypeLike,
        h_mask: Array | None = None,
    ) -> tuple[Carry, Array]:
        """The rest of a step whose input has been projected.

        Args:
          params: the parameters.
          carry: the carry.
          v: what ``project`` gave, in the carry's dtype.
          dtype: of the recurrent product and of y.
          h_mask: ``[B, H]``, multiplied with h where the gates read it, and
            nowhere else (Gal & Ghahramani, 2016).
        """
        h = drop(carry.h, h_mask).astype(dtype)
        u = project(h, params["w_hh"], v.dtype)
        carry = self.update(params, carry, self.gates(params, carry, v, u))
        return carry, carry.h.astype(dtype)


def drop(h: Array, h_mask: Array | None) -> Array:
    """``h * h_mask`` in the dtype of h, or h where there is no mask."""
    if h_mask is None:
        return h
    # In float32 at least: 1 / 0.9 is not 1.1094.
    dtype = widest(h.dtype, jnp.float32)
    scaled = h.astype(dtype) * jnp.broadcast_to(h_mask, h.shape).astype(dtype)
    return scaled.astype(h.dtype)


def made_once(factory: Callable[P, Cell]) -> Callable[P, Cell]:
    """Let a function give the same cell for the same arguments.

    To ``jit`` a cell made anew is another one, to be compiled again.  One made with a
    function that closes over something is not remembered, and what is closed over not
    kept alive.

    Args:
      factory: makes a cell.

    Example:
      >>> from lstm_jax import lstm
      >>> lstm(4) is lstm(4)
      True
    """
    remembered = lru_cache(maxsize=1024, typed=True)(factory)

    @wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> Cell:
        """The cell of these arguments."""
        given = (*args, *kwargs.values())
        if any(map(_holds_on, given)):
            return factory(*args, **kwargs)
        return remembered(*args, **kwargs)

    return make


def _holds_on(value: Any) -> bool:
    """Whether it cannot be remembered, or would keep something else alive."""
    try:
        hash(value)
    except TypeError:  # an array, say
        return True
    is_partial = isinstance(value, partial) or hasattr(value, "__func__")
    return is_partial or bool(getattr(value, "__closure__", None))


def init_gates(
    initializer: Initializer,
    key: Array,
    rows: int,
    hidden_size: int,
    num_gates: int,
    dtype: DTypeLike,
) -> Array:
    """Draw one ``[rows, H]`` block a gate and put the blocks side by side.

    One orthogonal ``[H, 4H]`` matrix is not four orthogonal ``[H, H]`` blocks,
    so each gate is drawn by itself.

    >>> from jax.nn.initializers import orthogonal
    >>> init_gates(orthogonal(), jax.random.key(0), 3, 3, 4, "float32").shape
    (3, 12)
    """
    keys = jax.random.split(key, num_gates)
    shape = (rows, hidden_size)
    return jnp.concatenate([draw(initializer, k, shape, dtype) for k in keys], axis=-1)


def draw(
    initializer: Initializer, key: Array, shape: tuple[int, ...], dtype: DTypeLike
) -> Array:
    """Draw a matrix in float32 at least: the QR of ``orthogonal`` knows no bfloat16."""
    return initializer(key, shape, widest(dtype, jnp.float32)).astype(dtype)


def project(x: Array, w: Array, dtype: DTypeLike) -> Array:
    """``x @ w`` with the product in x's dtype and the sum in ``dtype``.

    Integers stand for one-hot rows, whose product is a row of ``w``:

    >>> w = jnp.arange(6.0).reshape(3, 2)
    >>> project(jnp.array([2, 0]), w, "float32").tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """
    if not jnp.issubdtype(dtype, jnp.floating):  # the sums would be rounded to it
        raise ValueError(f"carry: expected floats, got {jnp.dtype(dtype)}")
    if is_one_hot(x):
        return _look_up(jnp.asarray(w), x, jnp.dtype(dtype))
    given = jax.dtypes.canonicalize_dtype(x.dtype)
    x, w = multipliable(x.astype(given), w.astype(given), dtype)
    return jnp.matmul(x, w, preferred_element_type=dtype)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _look_up(w: Array, x: Array, dtype: jnp.dtype) -> Array:
    """Rows of ``w``, widened."""
    return w[x].astype(dtype)


@_look_up.defjvp
def _look_up_widened(dtype: jnp.dtype, primals: Any, tangents: Any) -> tuple:
    """Widened first: the gradient of a row is a sum over all its places in ``dtype``.

    In bfloat16 that of a frequent word would stop growing after some hundred of them.
    """
    w, x = primals
    d_w = tangents[0].astype(widest(w.dtype, dtype))
    return _look_up(w, x, dtype), d_w[x].astype(dtype)


def multipliable(x: Array, w: Array, dtype: DTypeLike) -> tuple[Array, Array]:
    """Both operands of a product that adds up in ``dtype``, as XLA can multiply them.

    Where it cannot multiply bfloat16 they are widened: the same numbers, in more time.
    What is wider than ``dtype`` stays as it is.

    >>> a, b = multipliable(jnp.ones(2), jnp.ones(2), "float32")
    >>> a.dtype == b.dtype == jnp.float32
    True
    """
    if widest(x.dtype, dtype) == x.dtype or not lacks_mixed_products():
        return x, w
    return x.astype(dtype), w.astype(dtype)


def lacks_mixed_products() -> bool:
    """Whether XLA has no code for some products of bfloat16 that add up in float32.

    So on a CPU before jax 0.10.2; which shapes they are depends on the version.
    """
    return platform() == "cpu" and jax.__version_info__ < (0, 10, 2)


def platform() -> str:
    """Where programs run that are not placed elsewhere: "cpu", "gpu" or "tpu".

    >>> with jax.default_device(jax.devices("cpu")[0]):
    ...     platform()
    'cpu'
    """
    config: Any = jax.config
    default = config.jax_default_device  # a device, the name of its kind, or None
    return getattr(default, "platform", default) or jax.default_backend()


def multiply_input(params: Params, x: Array, dtype: DTypeLike) -> Array:
    """``Cell.project`` of a cell to which the input adds ``x @ w_ih``, ``[..., G]``."""
    return project(x, params["w_ih"], dtype)


def is_one_hot(x: Array) -> bool:
    """Whether ``x`` is one-hot vectors by their index, not the vectors.

    Raises:
      ValueError: it is neither: weights of its dtype would be true and false, and
        imaginary parts would be lost.
    """
    if x.dtype == bool:
        raise ValueError(
            "x: expected floats, or integers for one-hot vectors, got booleans; "
            "x.astype(float) is 0 and 1"
        )
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise ValueError(
            f"x: expected floats, or integers for one-hot vectors, got {x.dtype}"
        )
    return jnp.issubdtype(x.dtype, jnp.integer)


def product_dtype(params: Params, x: Array) -> jnp.dtype:
    """The dtype that products run in: that of x, or of the parameters."""
    if is_one_hot(x):
        return jnp.result_type(*jax.tree.leaves(params))
    return jax.dtypes.canonicalize_dtype(x.dtype)  # NumPy's float64 may be none of JAX


def carry_dtype(params: Params, xs: Array) -> jnp.dtype:
    """The widest dtype of both, and float32 at least: a carry sums over T."""
    of_params = jnp.result_type(*jax.tree.leaves(params))
    return widest(jnp.float32, product_dtype(params, xs), of_params)


def widest(*dtypes: DTypeLike) -> jnp.dtype:
    """The one of most bits, where promotion may be strict.

    >>> widest("bfloat16", "float32").name
    'float32'
    """
    return jnp.dtype(max(dtypes, key=lambda dtype: jnp.finfo(dtype).bits))


def add_bias(v: Array, b: Array) -> Array:
    """``v + b`` with b ``[G]`` broadcast by hand, in v's dtype."""
    return v + jnp.broadcast_to(b.astype(v.dtype), v.shape)


def scale(v: Array, w: Array) -> Array:
    """``v * w`` with w ``[G]`` broadcast by hand, in v's dtype."""
    return v * jnp.broadcast_to(w.astype(v.dtype), v.shape)


def bias_gradient(params: Params, kept: Any, d_carry: Carry, d_v: Array) -> Params:
    """``Adjoint.others`` of a cell whose gates add a bias ``b`` to v, and no more."""
    del kept, d_carry
    return {"b": d_v.sum(range(d_v.ndim - 1)).astype(params["b"].dtype)}


def check_batch(v: Array, carry: Carry) -> None:
    """Refuse an input of other rows than the carry has: one row would go with any.

    Raises:
      ValueError: ``x: expected the rows of the carry, ...``.
    """
    if v.shape[:-1] != carry.h.shape[:-1]:
        raise ValueError(
            f"x: expected the rows of the carry, {carry.h.shape[:-1]}, "
            f"got {v.shape[:-1]}"
        )


def check_size(name: str, size: int) -> None:
    """Refuse a width that is no integer from 1 on."""
    if not is_count(size):
        raise ValueError(f"{name}: expected an integer >= 1, got {size!r}")


def is_count(size: Any) -> bool:
    """Whether it is an integer from 1 on; in an export it may be a symbol.

    >>> is_count(4), is_count(0), is_count(2.5), is_count(jnp.ones(()))
    (True, False, False, False)
    """
    try:
        return is_symbolic_dim(size) or operator.index(size) >= 1
    except TypeError:
        return False


def check_rate(name: str, rate: float) -> None:
    """Refuse what is no share to drop."""
    if not 0 <= rate < 1:
        raise ValueError(f"{name}: expected 0 <= rate < 1, got {rate}")
