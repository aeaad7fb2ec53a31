"""The loss of a language model: how unlikely it finds each next word."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lstm_jax.cells.base import platform
from lstm_jax.data.streams import Window
from lstm_jax.kernels.product import multiply
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.training.by_parts import sum_by_parts
from lstm_jax.training.losses import Sums, metric_sums
from lstm_jax.training.state import PyTree
from lstm_jax.training.steps import Loss, Told

_CACHE = 2**22  # bytes of scores in float32, on each device


class Penalties(NamedTuple):
    """What large and fast-changing activations cost (Merity et al., 2018).

    Attributes:
      size: times the mean square of what foretells the words.
      change: times that of the change of the outputs from word to word.
    """

    size: float = 0.0
    change: float = 0.0


def next_word_loss(
    model: LanguageModel, penalties: Penalties, *, num_sampled: int = 0
) -> Loss:
    """The loss of a step over one window.

    Args:
      model: the language model.
      penalties: beside the loss; they are in no sum that is reported.
      num_sampled: words that each next word is told from, drawn anew at each step;
        0 is all of them.

    The sums are over the words of weight 1; ``correct`` counts those that were found
    likelier than all that they were told from.
    """

    def loss(
        params: PyTree, carry: PyTree, batch: Window, key: Array
    ) -> tuple[Array, Told]:
        """Read a window on from ``carry``."""
        key_dropout, key_words = jax.random.split(key)
        variables: Any = {"params": params}
        read: Any = model.apply(
            variables,
            batch.token_ids[:, :-1],
            _begin(carry, jnp.asarray(batch.fresh)),
            train=True,
            rngs={"dropout": key_dropout},
        )
        (carry, hs, ys), (targets, weights) = read, _answers(batch)
        if num_sampled:
            sums = sampled_sums(
                model, variables, hs, targets, weights, key_words, num_sampled
            )
        else:
            scores: Any = model.apply(variables, hs, method="scores")
            sums = metric_sums(scores, targets, weights)
        penalty = penalties.size * jnp.mean(hs.astype(jnp.float32) ** 2)
        if len(ys) > 1:  # of one word there is no change, and no mean
            changes = jnp.diff(ys.astype(jnp.float32), axis=0)
            penalty += penalties.change * jnp.mean(changes**2)
        carry = jax.lax.stop_gradient(carry)
        return sums.loss + sums.count * penalty, Told(sums, sums.count, carry)

    return loss


def make_eval_window(model: LanguageModel) -> Any:
    """Build ``(params, carry, window) -> (carry, sums)``, over all words."""

    def eval_window(
        params: PyTree, carry: PyTree, batch: Window
    ) -> tuple[PyTree, Sums]:
        """Read a window without dropout."""
        variables: Any = {"params": params}
        started = _begin(carry, jnp.asarray(batch.fresh))
        read: Any = model.apply(variables, batch.token_ids[:, :-1], started)
        (carry, hs, _), (targets, weights) = read, _answers(batch)

        def judge(inputs: Any) -> Sums:
            """One step of all rows: the scores of all would fill the memory."""
            hs, targets, weights = inputs
            scores: Any = model.apply(variables, hs, method="scores")
            return metric_sums(scores, targets, weights)

        sums = jax.lax.map(judge, (hs, targets, weights))
        return carry, jax.tree.map(jnp.sum, sums)

    return eval_window


def sampled_sums(
    model: LanguageModel,
    variables: Any,
    hs: Array,
    targets: Array,
    weights: Array,
    key: Array,
    num_sampled: int,
) -> Sums:
    """Sums over words, each told from the same sample of others.

    The sum over all other words that a probability is divided by is estimated from
    those drawn, each divided by how often it is expected (Bengio & Senecal, 2003).
    """
    sampled = draw_words(key, num_sampled, model.vocab_size)
    words: Any = partial(model.apply, variables, method="words")
    table, bias = words(sampled)
    shared = (table, bias)
    own_table, own_bias = words(targets)
    log_counts = log_expected(sampled, num_sampled, model.vocab_size)

    def judge(shared: Any, rows: Any, constants: Any) -> tuple[Array, Any]:
        """The loss of some of the words, and how many were right of how many."""
        (table, bias), (hs, own_table, own_bias) = shared, rows
        targets, weights = constants
        others = multiply(jnp.float32, hs, table.T) + bias
        others = jnp.where(targets[..., None] == sampled, -jnp.inf, others)
        own = (hs.astype(jnp.float32) * own_table).sum(-1) + own_bias
        all_others = jax.nn.logsumexp(others - log_counts, axis=-1)
        loss = ((jnp.logaddexp(own, all_others) - own) * weights).sum()
        correct = (own > others.max(axis=-1)).astype(jnp.float32)
        return loss, ((correct * weights).sum(), weights.sum())

    rows, constants = (hs, own_table, own_bias), (targets, weights)
    parts = count_parts(hs, num_sampled)
    sums: Any = sum_by_parts(judge, parts, shared, rows, constants)
    loss, (correct, count) = sums
    return Sums(loss, correct, count)


def count_parts(hs: Array, num_sampled: int) -> int:
    """How many times ``hs [T, B, E]`` is cut, along time, for scores of so many words.

    On a CPU, whose cache holds those of a part; each costs a sum over the devices.
    """
    steps, rows = hs.shape[:2]
    if platform() != "cpu":
        return 1
    wanted = steps * rows * num_sampled * 4 // (_CACHE * jax.device_count())
    return next(n for n in range(min(max(wanted, 1), steps), 0, -1) if steps % n == 0)


def draw_words(key: Array, count: int, vocab_size: int) -> Array:
    """Draw word numbers, int32 ``[count]``: of rank k with chance log(1 + 1/(k + 1)).

    Word numbers are ranks: the tokenizer gives the lower ones to frequent words.
    """
    top = math.log(vocab_size + 1)
    drawn = jnp.exp(jax.random.uniform(key, (count,)) * top) - 1
    return jnp.clip(drawn.astype(jnp.int32), 0, vocab_size - 1)


def log_expected(token_ids: Array, count: int, vocab_size: int) -> Array:
    """The log of how often each word is in ``count`` draws of ``draw_words``."""
    rank = token_ids.astype(jnp.float32)
    chance = jnp.log1p(1 / (rank + 1)) / math.log(vocab_size + 1)
    return jnp.log(count * chance)


def _answers(batch: Window) -> tuple[Array, Array]:
    """The word after each, and whether it counts: both ``[T, B]``."""
    return jnp.asarray(batch.token_ids[:, 1:].T), jnp.asarray(batch.weights.T)


def _begin(carry: PyTree, fresh: Array) -> PyTree:
    """Forget, in the rows where nothing was read before."""
    return jax.tree.map(lambda c: jnp.where(fresh[:, None], 0, c), carry)
