"""The Keras tutorials, as a user of Keras writes them.

JAX is the backend, which was faster on CPU than TensorFlow; ``KERAS_BACKEND`` in the
environment chooses another one.
"""

# The extra that holds these libraries is not needed to check types elsewhere.
# pyright: reportMissingImports=false

import os
import time
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from published_record import Record

from lstm_jax.data.batches import Encoded
from lstm_jax.data.datasets import Datasets
from lstm_jax.host import count_cores
from lstm_jax.training.config import Config

_BACKENDS = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "PyTorch"}


class KerasPeer:
    """A one-way LSTM over padded words, and one sigmoid.

    Attributes:
      name: the library and its version.
      packages: whose versions matter.
      threads: that it computes on.
      facts: what else there is to report.
    """

    def __init__(self, config: Config, data: Datasets) -> None:
        """Build the model and pad the reviews."""
        backend = keras.backend.backend()
        self.name = f"Keras {keras.__version__} on {_BACKENDS.get(backend, backend)}"
        self.packages = ("keras", backend)
        self.threads = count_cores()
        self.facts: dict[str, Any] = {}
        self._started = time.perf_counter()
        self._config, self._data = config, data
        keras.utils.set_random_seed(config.seed)
        # Keras declares neither what it loads nor some defaults as what they are.
        self._model: Any = build_model(config, data.text.tokenizer.get_vocab_size())
        self.num_parameters = self._model.count_params()

    def fit(self, record: Record, epochs: int) -> None:
        """Train up to ``epochs`` epochs in all, from where ``record`` stands."""
        config, done = self._config.train, len(record.epochs)
        if done:
            # Not the shuffles of the epochs that were done already.
            keras.utils.set_random_seed(self._config.seed + 1000 * done)
            self._model = keras.models.load_model(_file(record, done))
        stopping = _early_stopping(self._config)
        self._model.fit(
            *self._padded(self._data.train),
            batch_size=config.batch_size,
            epochs=epochs,
            initial_epoch=done,
            validation_data=self._padded(self._data.val),
            validation_batch_size=config.eval_batch_size,
            callbacks=[*stopping, _Diary(record, stopping, self._started)],
            verbose=0,
        )

    def evaluate(self, record: Record, split: Encoded) -> dict[str, float]:
        """The loss and accuracy of the best epoch on ``split``."""
        model: Any = keras.models.load_model(_file(record, record.best_epoch))
        size = self._config.train.eval_batch_size
        padded = self._padded(split)
        return model.evaluate(*padded, batch_size=size, return_dict=True, verbose=0)

    def time_steps(self, count: int) -> tuple[list[float], int]:
        """Seconds of ``count`` training steps, and how many there are in an epoch."""
        inputs, labels = self._padded(self._data.train)
        size = self._config.train.batch_size
        order = np.random.default_rng(self._config.seed).permutation(len(labels))
        seconds = []
        for step in range(count):
            # Full batches only: a shorter one would be compiled again.
            rows = order.take(range(step * size, (step + 1) * size), mode="wrap")
            started = time.perf_counter()
            self._model.train_on_batch(inputs[rows], labels[rows])
            seconds.append(time.perf_counter() - started)
        return seconds, -(-len(labels) // size)

    def _padded(self, split: Encoded) -> tuple[np.ndarray, np.ndarray]:
        length = self._config.data.max_length
        padded = keras.utils.pad_sequences(split.token_ids, maxlen=length)
        return padded, split.labels


def build_model(config: Config, vocab_size: int) -> keras.Model:
    """The tutorial's model, compiled."""
    settings = config.model
    layers: list[Any] = [keras.layers.Embedding(vocab_size, settings.embedding_size)]
    if settings.embedding_dropout_rate:
        layers.append(keras.layers.SpatialDropout1D(settings.embedding_dropout_rate))
    layers += [
        keras.layers.LSTM(
            settings.hidden_size,
            dropout=settings.input_dropout_rate,
            recurrent_dropout=settings.recurrent_dropout_rate,
        ),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = keras.Sequential([keras.Input((config.data.max_length,)), *layers])
    rate = {"learning_rate": config.optim.learning_rate}
    optimizer = {"class_name": config.optim.optimizer, "config": rate}
    model.compile(
        keras.optimizers.get(optimizer), "binary_crossentropy", metrics=["accuracy"]
    )
    return model


class _Diary(keras.callbacks.Callback):
    """Saves and times each epoch; evaluation is timed apart."""

    def __init__(self, record: Record, others: list, started: float) -> None:
        super().__init__()
        self._record, self._others, self._started = record, others, started
        self._epoch_began = self._test_began = self._test_ended = 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        # The other callbacks have forgotten the epochs before a run was killed.
        for epoch, seen in enumerate(self._record.epochs):
            past = {f"val_{name}": value for name, value in seen["val"].items()}
            for callback in self._others:
                callback.on_epoch_end(epoch, past)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._record.startup_seconds is None:
            seconds = time.perf_counter() - self._started
            self._record.startup_seconds = round(seconds, 2)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch_began = time.perf_counter()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._test_began = time.perf_counter()

    def on_test_end(self, logs: dict | None = None) -> None:
        self._test_ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        assert logs is not None and self.model is not None
        self.model.save(_file(self._record, epoch + 1))
        self._record.add(
            self._test_began - self._epoch_began,
            self._test_ended - self._test_began,
            {name: logs[f"val_{name}"] for name in ("loss", "accuracy")},
        )


def _early_stopping(config: Config) -> list[keras.callbacks.Callback]:
    """The callback, when the config has patience; the best weights are on disk."""
    monitor, patience = config.train.monitor, config.train.patience
    if not patience:
        return []
    mode = "min" if monitor == "loss" else "max"
    return [keras.callbacks.EarlyStopping(f"val_{monitor}", 0, patience, mode=mode)]


def _file(record: Record, epoch: int) -> str:
    return str(record.weights(epoch).with_suffix(".keras"))
