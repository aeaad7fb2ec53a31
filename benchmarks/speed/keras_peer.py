"""Keras 3: ``keras.layers.LSTM`` on the backend that ``KERAS_BACKEND`` names."""

# pyright: reportMissingImports=false

import keras
import numpy as np
from speed.case import Arrays, Case, Programs

from lstm_jax import convert


def make_programs(library: str, case: Case, arrays: Arrays) -> Programs:
    """``train_on_batch`` and ``predict_on_batch``, compiled by Keras."""
    del library
    model, kept = _model(case, arrays), _model(case, arrays)
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)  # as the others have it
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    # A word beyond a review's length is 0, which the mask leaves out.
    steps = np.arange(case.steps)[None]
    tokens = np.where(steps < arrays.lengths[:, None], arrays.tokens + 1, 0)

    def infer() -> np.ndarray:
        return np.asarray(kept.predict_on_batch(tokens))[:, 0]

    def train() -> float:
        return float(np.asarray(model.train_on_batch(tokens, arrays.labels[:, None])))

    backend = keras.config.backend()
    return Programs(infer, train, f"Keras on {backend} ({keras.__version__})")


def _model(case: Case, arrays: Arrays) -> keras.Model:
    if case.dtype != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{case.dtype}")
    words = keras.Input((case.steps,), dtype="int32")
    table = keras.layers.Embedding(
        case.vocab + 1, case.embedding, mask_zero=case.masked
    )
    layers = [_layer(case) for _ in arrays.layers]
    pool = keras.layers.GlobalAveragePooling1D()
    logit = keras.layers.Dense(1, use_bias=False, dtype="float32")
    xs = table(words)
    for layer in layers:
        xs = layer(xs)
    model = keras.Model(words, logit(pool(xs)))
    table.set_weights([np.concatenate([arrays.table[:1], arrays.table])])
    for layer, ways in zip(layers, arrays.layers, strict=True):
        converted = [convert.to_keras("LSTM", weights) for weights in ways]
        layer.set_weights([array for way in converted for array in way])
    logit.set_weights([arrays.w_out[:, None]])
    return model


def _layer(case: Case) -> keras.layers.Layer:
    rnn = keras.layers.LSTM(case.hidden, return_sequences=True)
    return rnn if case.directions == 1 else keras.layers.Bidirectional(rnn)
