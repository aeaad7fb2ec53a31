"""What a trained model says of a text: load the folder of a run and ask."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from lstm_jax import measures
from lstm_jax.data.batches import Batch, Encoded, make_batch, ngram_width
from lstm_jax.data.datasets import Text, encode_ids, load_text
from lstm_jax.data.tokenizer import encode
from lstm_jax.errors import UserError
from lstm_jax.models.build import build_classifier
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.training.checkpoints import read_best
from lstm_jax.training.config import Config, from_dict
from lstm_jax.training.devices import batch_sharding, copied, make_local_mesh
from lstm_jax.training.state import PyTree
from lstm_jax.training.workdir import Workdir, read_json

# The shortest text that is padded to a length of its own.
_NARROWEST = 16


_T = TypeVar("_T")


class Trained(NamedTuple):
    """What a run has learned.

    Attributes:
      config: its settings.
      text: how a text becomes numbers.
      model: the classifier.
      params: the best parameters.
      label_names: one name a class.
    """

    config: Config
    text: Text
    model: TextClassifier
    params: PyTree
    label_names: tuple[str, ...]


class Predictor:
    """Classifies texts, in batches of a few shapes, so that little is compiled.

    A text is always computed in a batch of the same shape, the one that fits its
    length, so what is said of it depends on the texts beside it by rounding at most.
    """

    def __init__(self, trained: Trained, *, batch_size: int = 64) -> None:
        """Put the parameters onto this host's devices."""
        self.trained = trained
        self._batch_size = batch_size
        self._mesh = make_local_mesh(batch_size)
        self._widths = text_widths(trained.config.data.max_length)
        self._params = jax.device_put(trained.params, copied(self._mesh))
        self._apply = jax.jit(trained.model.apply, out_shardings=copied(self._mesh))

    @classmethod
    def from_workdir(cls, path: Path, *, batch_size: int = 64) -> "Predictor":
        """Load the best parameters that a run has found so far.

        Args:
          path: the folder of the run, which may still be going on.
          batch_size: texts computed together.

        Raises:
          UserError: the folder does not hold a run with a checkpoint.
        """
        return cls(load_trained(Path(path)), batch_size=batch_size)

    @property
    def label_names(self) -> tuple[str, ...]:
        """One name a class; ``predict`` gives indices into it."""
        return self.trained.label_names

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

    def token_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens of each text, at full length."""
        return encode(self.trained.text.tokenizer, list(texts))

    def logits_of_ids(self, token_ids: list[np.ndarray]) -> np.ndarray:
        """The same as ``logits``, for texts that are token ids already."""
        nothing = np.zeros(len(token_ids), np.int32)
        config, text = self.trained.config.data, self.trained.text
        data = encode_ids(text, token_ids, nothing, config)
        logits = np.zeros((len(token_ids), self.trained.model.num_logits), np.float32)
        for rows, outcome in _one_behind(self._outcomes(data)):
            logits[rows[rows >= 0]] = np.asarray(outcome)[rows >= 0]
        return logits

    def _outcomes(self, data: Encoded) -> Iterator[tuple[np.ndarray, jax.Array]]:
        """Start batch after batch."""
        for rows, batch in self._batches(data):
            yield rows, self._run(batch)

    def _batches(self, data: Encoded) -> Iterator[tuple[np.ndarray, Batch]]:
        """Batches of one length each; rows of -1 fill up the last of a length."""
        buckets = np.searchsorted(self._widths, data.lengths)
        order = self.trained.text.ngrams.order
        for bucket in np.unique(buckets):
            width = int(self._widths[bucket])
            members = np.flatnonzero(buckets == bucket)
            for start in range(0, len(members), self._batch_size):
                rows = np.full(self._batch_size, -1)
                some = members[start : start + self._batch_size]
                rows[: len(some)] = some
                ngrams = ngram_width(width, self._widths, order)
                yield rows, make_batch(data, rows, width, ngrams)

    def _run(self, batch: Batch) -> jax.Array:
        """Compute logits ``[B, K]``, without waiting for them."""
        inputs = (batch.token_ids, batch.lengths, batch.ngram_ids, batch.ngram_values)
        there = jax.device_put(inputs, batch_sharding(self._mesh))
        return self._apply({"params": self._params}, *there)


def load_trained(path: Path) -> Trained:
    """Read what a run has learned from its folder.

    Raises:
      UserError: the folder does not hold a run with a checkpoint.
    """
    workdir = Workdir(path)
    if not workdir.config.exists():
        raise UserError(f"{path}: expected the folder of a run, got no config.json")
    config = from_dict(read_json(workdir.config))
    params = read_best(workdir.checkpoints)
    num_logits = params["logits"]["bias"].shape[0]
    text = load_text(path, num_logits)
    if text is None:
        raise UserError(f"{path}: expected the folder of a run, got no tokenizer.json")
    label_names = _label_names(workdir, num_logits)
    model = build_classifier(
        config.model,
        vocab_size=text.tokenizer.get_vocab_size(),
        num_classes=len(label_names),
        num_ngrams=len(text.ngrams.keys),
    )
    return Trained(config, text, model, params, label_names)


def _one_behind(started: Iterator[_T]) -> Iterator[_T]:
    """Hand out each item when the next one is there: the device never waits."""
    waiting = []
    for item in started:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting


def text_widths(max_length: int) -> np.ndarray:
    """The lengths to pad to, each about twice the one before.

    >>> text_widths(100).tolist()
    [16, 32, 64, 100]
    """
    widths = [_NARROWEST]
    while widths[-1] < max_length:
        widths.append(2 * widths[-1])
    return np.array([*widths[:-1], max(max_length, _NARROWEST)], np.int32)


def _label_names(workdir: Workdir, num_logits: int) -> tuple[str, ...]:
    """As the summary has them; numbers while there is none, or none with names."""
    numbers = [str(number) for number in range(max(num_logits, 2))]
    summary = read_json(workdir.summary) if workdir.summary.exists() else {}
    return tuple(summary.get("label_names", numbers))
