"""What is timed: shapes, and the same numbers for every library."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A text classifier: embedding, LSTM, mean over time, one logit.

    Attributes:
      batch: reviews in a batch, B.
      steps: words in each, T.
      vocab: words in the table, V.
      embedding: width of a word, D.
      hidden: width of the LSTM, H.
      masked: whether the reviews have lengths of their own.
    """

    batch: int
    steps: int
    vocab: int
    embedding: int
    hidden: int
    masked: bool = False

    @property
    def name(self) -> str:
        """Short, for tables."""
        ragged = " ragged" if self.masked else ""
        return f"B{self.batch} T{self.steps} D{self.embedding} H{self.hidden}{ragged}"

    @property
    def gigaflops(self) -> float:
        """Of the LSTM's products in a forward pass, in 10^9 operations."""
        rows = self.batch * self.steps
        return 2 * rows * (self.embedding + self.hidden) * 4 * self.hidden / 1e9


CASES = (
    Case(128, 200, 10_000, 64, 32),
    Case(32, 400, 4_000, 128, 128),
    Case(64, 256, 20_000, 256, 256),
    Case(64, 256, 20_000, 256, 512),
    Case(64, 256, 20_000, 256, 256, masked=True),
)


class Arrays(NamedTuple):
    """Weights and a batch; weights in the layout of ``lstm_jax``."""

    table: np.ndarray  # [V, D]
    w_ih: np.ndarray  # [D, 4H]
    w_hh: np.ndarray  # [H, 4H]
    b: np.ndarray  # [4H]
    w_out: np.ndarray  # [H]
    tokens: np.ndarray  # int32 [B, T]
    lengths: np.ndarray  # int32 [B]
    labels: np.ndarray  # float32 [B]

    @property
    def cell(self) -> dict[str, np.ndarray]:
        """The weights of the LSTM."""
        return {"w_ih": self.w_ih, "w_hh": self.w_hh, "b": self.b}


def draw(case: Case) -> Arrays:
    """Random numbers, the same in every process."""
    rng = np.random.default_rng(0)
    size, gates = case.hidden, 4 * case.hidden
    bound = size**-0.5

    def uniform(*shape: int) -> np.ndarray:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    lengths = np.full(case.batch, case.steps, np.int32)
    if case.masked:
        lengths = rng.integers(case.steps // 4, case.steps, case.batch, np.int32)
    return Arrays(
        table=rng.standard_normal((case.vocab, case.embedding)).astype(np.float32),
        w_ih=uniform(case.embedding, gates),
        w_hh=uniform(size, gates),
        b=uniform(gates),
        w_out=uniform(size),
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
