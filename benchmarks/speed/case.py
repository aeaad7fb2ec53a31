"""What is timed: shapes, and the same numbers for every library."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A text classifier: embedding, LSTM layers, mean over time, one logit.

    Attributes:
      batch: reviews in a batch, B.
      steps: words in each, T.
      vocab: words in the table, V.
      embedding: width of a word, D.
      hidden: width of the LSTM in one direction, H.
      masked: whether the reviews have lengths of their own.
      layers: one on another.
      directions: 1, or 2, side by side.
      dtype: of the products; "bfloat16" as each library's users would ask for it.
    """

    batch: int
    steps: int
    vocab: int
    embedding: int
    hidden: int
    masked: bool = False
    layers: int = 1
    directions: int = 1
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """Short, for tables."""
        kinds = {
            " ragged": self.masked,
            f" {self.layers} layers": self.layers > 1,
            " both ways": self.directions == 2,
            f" {self.dtype}": self.dtype != "float32",
        }
        shape = f"B{self.batch} T{self.steps} D{self.embedding} H{self.hidden}"
        return shape + "".join(kind for kind, holds in kinds.items() if holds)

    @property
    def widths(self) -> list[int]:
        """Of the inputs of each layer."""
        return [self.embedding] + [self.directions * self.hidden] * (self.layers - 1)

    @property
    def gigaflops(self) -> float:
        """Of the LSTM's products in a forward pass, in 10^9 operations."""
        rows = self.batch * self.steps * self.directions
        return sum(
            2 * rows * (width + self.hidden) * 4 * self.hidden / 1e9
            for width in self.widths
        )


CASES = (
    Case(128, 200, 10_000, 64, 32),
    Case(32, 400, 4_000, 128, 128),
    Case(64, 256, 20_000, 256, 256),
    Case(64, 256, 20_000, 256, 512),
    Case(64, 256, 20_000, 256, 256, masked=True),
    Case(32, 400, 4_000, 128, 128, layers=2),
    Case(32, 400, 4_000, 128, 128, directions=2),
    Case(32, 400, 4_000, 128, 128, dtype="bfloat16"),
)


class Arrays(NamedTuple):
    """Weights and a batch; weights in the layout of ``lstm_jax``."""

    table: np.ndarray  # [V, D]
    # Of each layer, of each direction: w_ih [D, 4H], w_hh [H, 4H] and b [4H].
    layers: list[list[dict[str, np.ndarray]]]
    w_out: np.ndarray  # [H], of two directions [2H]
    tokens: np.ndarray  # int32 [B, T]
    lengths: np.ndarray  # int32 [B]
    labels: np.ndarray  # float32 [B]


def draw(case: Case) -> Arrays:
    """Random numbers, the same in every process."""
    rng = np.random.default_rng(0)
    size, gates = case.hidden, 4 * case.hidden
    bound = size**-0.5

    def uniform(*shape: int) -> np.ndarray:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    def cell(width: int) -> dict[str, np.ndarray]:
        shapes = {"w_ih": (width, gates), "w_hh": (size, gates), "b": (gates,)}
        return {name: uniform(*shape) for name, shape in shapes.items()}

    lengths = np.full(case.batch, case.steps, np.int32)
    if case.masked:
        lengths = rng.integers(case.steps // 4, case.steps, case.batch, np.int32)
    return Arrays(
        table=rng.standard_normal((case.vocab, case.embedding)).astype(np.float32),
        layers=[[cell(width) for _ in range(case.directions)] for width in case.widths],
        w_out=uniform(case.directions * size),
        tokens=rng.integers(0, case.vocab, (case.batch, case.steps), np.int32),
        lengths=lengths,
        labels=rng.integers(0, 2, case.batch).astype(np.float32),
    )


class Programs(NamedTuple):
    """What a library runs; each call waits until its result is there.

    Attributes:
      infer: () -> logits ``[B]``.
      train: () -> the loss before a step of Adam, which it takes.
      name: the library and its version.
    """

    infer: object
    train: object
    name: str
