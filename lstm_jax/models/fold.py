"""A classifier without its embedding, for inference.

The embedding and the input weights of the first layer are two matrices with nothing in
between.  Their product has a row for each word, and is computed once; what a word adds
to the gates is then looked up, where it was multiplied for each word of each text.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from lstm_jax.cells import CELLS
from lstm_jax.cells.base import multiply_input, project
from lstm_jax.models.classifier import TextClassifier

Params = Any


class Folded(NamedTuple):
    """The same function in two steps: ``module.apply({"params": fold(params)}, ...)``.

    Attributes:
      module: the classifier that reads words as they are.
      fold: its parameters, from those of the classifier that was folded.
    """

    module: TextClassifier
    fold: Callable[[Params], Params]


def fold_embedding(module: TextClassifier) -> Folded:
    """Fold the embedding into the first layer, to classify; training needs both.

    A classifier that has no embedding stays as it is, as does one whose cell does more
    to its input than to multiply it, whose kernel takes vectors alone, or that does not
    compute in float32: the rows would be rounded where the sums were not.
    """
    cell = CELLS[module.cell](module.hidden_size)
    multiplies = cell.project is multiply_input and module.dtype == "float32"
    takes_words = module.inputs != "one_hot" and module.implementation != "cudnn"
    if not (multiplies and takes_words):
        return Folded(module, lambda params: params)
    return Folded(module.clone(inputs="one_hot", input_dropout_rate=0.0), _fold)


def _fold(params: Params) -> Params:
    rest = {name: part for name, part in params.items() if name != "embedding"}
    layers = params["layers"]
    first = _multiply(params["embedding"]["embedding"], layers["layer_0"])
    return {**rest, "layers": {**layers, "layer_0": first}}


def _multiply(embedding: Array, layer: Params) -> Params:
    """``layer`` with a row a word for its input weights, in each of its directions."""
    if "w_ih" not in layer:
        return {name: _multiply(embedding, way) for name, way in layer.items()}
    w_ih = layer["w_ih"]
    return {**layer, "w_ih": project(embedding, w_ih, w_ih.dtype)}
