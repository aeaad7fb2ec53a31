"""What a trained model says of a text: load it and ask.

Nothing that trains is imported here, and nothing of Flax: a run's folder needs them,
an exported file does not.
"""

import copy
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lstm_jax import measures
from lstm_jax.data.batches import Batch, Encoded, make_batch, ngram_width
from lstm_jax.data.datasets import encode_ids
from lstm_jax.data.tokenizer import PAD_ID, UNKNOWN_ID, encode
from lstm_jax.errors import UserError
from lstm_jax.loaded import Loaded
from lstm_jax.one_behind import one_behind

# Of the way, where the gradient is computed for integrated gradients.
GRADIENT_POINTS = 128
# Tokens, times points, whose gradients are computed at once: a large LSTM keeps 30 kB
# of each.
_TOKENS_AT_ONCE = 1 << 15
# The shortest text that is padded to a length of its own.
_NARROWEST = 16


class GivenUpError(Exception):
    """Nobody waits for the answer any more."""


class Predictor:
    """Classifies texts, in batches of a few shapes, so that little is compiled.

    A text is always computed in a batch of the same shape, the one that fits its
    length, so what is said of it depends on the texts beside it by rounding at most.
    There are as many shapes as ``text_widths(max_length)`` has lengths.

    Any number of threads may ask one predictor at once.

    Example::

      predictor = Predictor.from_workdir("runs/lstm")
      predictor.predict(["A film I will not forget."])        # array([1])
      predictor.probabilities(["A film I will not forget."])  # array([[..., ...]])
      predictor.label_names                                   # ("neg", "pos")
    """

    def __init__(self, loaded: Loaded, *, batch_size: int = 64) -> None:
        """Put the parameters onto this host's devices."""
        self.loaded = loaded
        self._batch_size = batch_size
        self._widths = text_widths(loaded.max_length)
        mesh = _local_mesh(batch_size)
        everywhere = NamedSharding(mesh, PartitionSpec())
        self._rows = NamedSharding(mesh, PartitionSpec("data"))
        params = jax.device_put(loaded.params, everywhere)
        # What is of one text is computed on one device: on all of them it would be the
        # same work, and the same memory, as many times.
        self._params = jax.tree.map(lambda x: x.addressable_data(0), params)
        # Left where they were computed: nothing has to be sent between devices, in
        # an order that other threads could disturb.
        self._logits = jax.jit(loaded.programs.logits, out_shardings=self._rows)
        self._prepared = jax.jit(loaded.programs.prepare)(params)
        self._gates = jax.jit(loaded.programs.gates)
        self._gradients = jax.jit(loaded.programs.gradients)
        # A shape is compiled once, however many threads ask for it.
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    @classmethod
    def from_workdir(cls, path: Path | str, *, batch_size: int = 64) -> "Predictor":
        """Load the best parameters that a run has found so far.

        Args:
          path: the folder of the run, which may still be going on.
          batch_size: texts computed together.

        Raises:
          UserError: the folder does not hold a run with a checkpoint.
        """
        from lstm_jax.trained import load_trained

        return cls(load_trained(Path(path)).loaded(), batch_size=batch_size)

    @classmethod
    def from_file(cls, path: Path | str, *, batch_size: int = 64) -> "Predictor":
        """Load what ``lstm-jax export`` wrote; no code that trains is imported.

        Args:
          path: the file.
          batch_size: texts computed together.

        Raises:
          UserError: the file is not a whole model.
        """
        from lstm_jax.exported import read_model

        return cls(read_model(Path(path)), batch_size=batch_size)

    @property
    def label_names(self) -> tuple[str, ...]:
        """One name a class; ``predict`` gives indices into it."""
        return self.loaded.about.label_names

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """What the model gives for each text, float32 ``[N, K]``.

        K is 1 for a model of one logit: the log-odds of class 1.
        """
        return self.logits_of_ids(self.token_ids(texts))

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """The probability of each class, float64 ``[N, C]``; two classes or more."""
        return measures.probabilities(self.logits(texts))

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The likeliest class of each text, int ``[N]``."""
        return measures.predicted(self.logits(texts))

    def until(self, stop: threading.Event) -> "Predictor":
        """The same predictor, which ends what it is asked as soon as ``stop`` is set.

        A batch that has begun is computed to its end; then ``GivenUpError`` is raised.

        Args:
          stop: set by another thread.
        """
        other = copy.copy(self)
        other._stop = stop
        return other

    def warm_up(self) -> None:
        """Compile everything for every length now, rather than when it is asked."""
        contrast = np.zeros(self.loaded.num_logits)
        for width in map(int, self._widths):
            words = np.full(width, UNKNOWN_ID, np.int32)
            self.logits_of_ids([words])
            self.gates_of_ids(words[: self.loaded.max_length])
            self.gradients_of_ids(words, contrast, _points_at_once(width))

    def token_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens of each text, at full length.

        Raises:
          UserError: one text in place of a list of them.
        """
        if isinstance(texts, str):
            raise UserError(f"texts: expected a list of texts, got {texts[:40]!r}")
        return encode(self.loaded.text.tokenizer, list(texts))

    def logits_of_ids(self, token_ids: list[np.ndarray]) -> np.ndarray:
        """The same as ``logits``, for texts that are token ids already."""
        data = self._encoded(token_ids)
        logits = np.zeros((len(token_ids), self.loaded.num_logits), np.float32)
        for rows, outcome in one_behind(self._outcomes(data)):
            logits[rows[rows >= 0]] = np.asarray(outcome)[rows >= 0]
        return logits

    def logits_of_unknown(self, length: int) -> np.ndarray:
        """The logits ``[K]`` of so many unknown words, and no n-gram."""
        data = self._encoded([np.full(length, UNKNOWN_ID, np.int32)])
        data = data._replace(ngram_ids=[np.zeros(0, np.int32)])
        rows = np.full(self._batch_size, -1)
        rows[0] = 0
        batch = self._batch(data, rows, self._width(int(data.lengths[0])))
        return np.asarray(self._run(batch))[0]

    def gates_of_ids(self, token_ids: np.ndarray) -> dict[str, np.ndarray]:
        """Gates and states of the first layer: float32 ``[T, H]`` by letter.

        Of one that reads both ways, forward.

        Args:
          token_ids: ``[T]``, ``max_length`` at most.
        """
        padded = np.full(self._width(len(token_ids)), PAD_ID, np.int32)
        padded[: len(token_ids)] = token_ids
        with self._lock:
            seen = self._gates(self._params, padded)
        return {name: np.asarray(x)[: len(token_ids)] for name, x in seen.items()}

    def gradients_of_ids(
        self, token_ids: np.ndarray, contrast: np.ndarray, num_points: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Integrated gradients of ``contrast @ logits``, from a text of unknown words.

        Args:
          token_ids: one text, at full length.
          contrast: ``[K]``.
          num_points: of the way, where the gradient is computed.

        Returns:
          What each token that is read adds, float32 ``[T]``, and what each n-gram
          adds, ``[G]``, in the order of ``find_ngrams``.

        Source: Sundararajan, Taly & Yan (2017), with the midpoint rule.
        """
        data = self._encoded([token_ids])
        length, count = int(data.lengths[0]), len(data.ngram_ids[0])
        width = self._width(length)
        inputs = [x[0] for x in self._batch(data, np.zeros(1, int), width).inputs]
        words, ngrams = np.zeros(width), np.zeros(len(inputs[2]))
        for shares in _shares(num_points, _points_at_once(width)):
            weight = len(shares) / num_points
            some = self._gradients_at(inputs, contrast, shares)
            words, ngrams = words + weight * some[0], ngrams + weight * some[1]
        words, ngrams = words.astype(np.float32), ngrams.astype(np.float32)
        return words[:length], ngrams[:count]

    def _gradients_at(
        self, inputs: list[Any], contrast: np.ndarray, shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The mean over some points of the way."""
        self._check_wanted()
        # Waited for before another begins: each computes with many copies of the text.
        with self._lock:
            words, ngrams = self._gradients(
                self._params, *inputs, contrast.astype(np.float32), shares
            )
            return np.asarray(words), np.asarray(ngrams)

    def _encoded(self, token_ids: list[np.ndarray]) -> Encoded:
        """Cut, with n-grams; the labels mean nothing."""
        loaded = self.loaded
        nothing = np.zeros(len(token_ids), np.int32)
        how = {"max_length": loaded.max_length, "truncate": loaded.truncate}
        return encode_ids(loaded.text, token_ids, nothing, **how)

    def _outcomes(self, data: Encoded) -> Iterator[tuple[np.ndarray, jax.Array]]:
        """Start batch after batch."""
        for rows, batch in self._batches(data):
            yield rows, self._run(batch)

    def _batches(self, data: Encoded) -> Iterator[tuple[np.ndarray, Batch]]:
        """Batches of one length each; rows of -1 fill up the last of a length."""
        buckets = np.searchsorted(self._widths, data.lengths)
        for bucket in np.unique(buckets):
            members = np.flatnonzero(buckets == bucket)
            for start in range(0, len(members), self._batch_size):
                rows = np.full(self._batch_size, -1)
                some = members[start : start + self._batch_size]
                rows[: len(some)] = some
                yield rows, self._batch(data, rows, int(self._widths[bucket]))

    def _batch(self, data: Encoded, rows: np.ndarray, width: int) -> Batch:
        order = self.loaded.text.ngrams.order
        ngrams = ngram_width(width, self.loaded.max_length, order)
        return make_batch(data, rows, width, ngrams)

    def _run(self, batch: Batch) -> jax.Array:
        """Compute logits ``[B, K]``, without waiting for them."""
        self._check_wanted()
        with self._lock:
            there = jax.device_put(batch.inputs, self._rows)
            return self._logits(self._prepared, *there)

    def _check_wanted(self) -> None:
        if self._stop is not None and self._stop.is_set():
            raise GivenUpError

    def _width(self, length: int) -> int:
        """The length that a text is padded to."""
        return int(self._widths[np.searchsorted(self._widths, length)])


def load(path: Path | str, *, batch_size: int = 64) -> Predictor:
    """Load an exported model: ``lstm_jax.load("model.zip").predict(texts)``.

    The arguments and errors are those of ``Predictor.from_file``.
    """
    return Predictor.from_file(path, batch_size=batch_size)


def text_widths(max_length: int) -> np.ndarray:
    """The lengths to pad to, each about twice the one before.

    >>> text_widths(100).tolist()
    [16, 32, 64, 100]
    """
    widths = [_NARROWEST]
    while widths[-1] < max_length:
        widths.append(2 * widths[-1])
    return np.array([*widths[:-1], max(max_length, _NARROWEST)], np.int32)


def _points_at_once(width: int) -> int:
    """How many points of the way, a power of two, fit beside each other."""
    most = max(1, _TOKENS_AT_ONCE // width)
    return min(GRADIENT_POINTS, 1 << (most.bit_length() - 1))


def _shares(num_points: int, at_once: int) -> Iterator[np.ndarray]:
    """The midpoints of equal parts of the way, some at a time."""
    shares = (np.arange(num_points, dtype=np.float32) + 0.5) / num_points
    for start in range(0, num_points, at_once):
        yield shares[start : start + at_once]


def _local_mesh(batch_size: int) -> Mesh:
    """This host's devices, as many as a batch can be split over."""
    devices = jax.local_devices()
    count = next(n for n in range(len(devices), 0, -1) if batch_size % n == 0)
    return jax.make_mesh(
        (count,), ("data",), axis_types=(AxisType.Auto,), devices=devices[:count]
    )
