"""The task of a language model: from texts without labels to the next word."""

import hashlib
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.datasets import Text, learn_text, load_text, tokenize
from lstm_jax.data.sources import load_plain
from lstm_jax.data.splits import digest_texts, hold_out
from lstm_jax.data.streams import Streams, Window, count_windows, lay_out
from lstm_jax.models.build import build_language_model
from lstm_jax.models.language_model import LanguageModel
from lstm_jax.one_behind import one_behind
from lstm_jax.training.about import check_text, leave_text
from lstm_jax.training.compile import prepare_training
from lstm_jax.training.config import Config
from lstm_jax.training.devices import (
    batch_sharding,
    copied,
    local_slice,
    make_data_mesh,
    put_batch,
    shared_mistakes,
)
from lstm_jax.training.next_word import Penalties, make_eval_window, next_word_loss
from lstm_jax.training.optimizer import make_optimizer, make_schedule
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree, TrainState
from lstm_jax.training.steps import TrainStep
from lstm_jax.training.task import Batches, Task
from lstm_jax.training.workdir import Workdir


class Texts(NamedTuple):
    """What is read.

    Attributes:
      corpus: where it comes from.
      text: how words became numbers.
      train: int32 token ids of each text to learn from.
      val: of each to choose on.
      origin: a short name for the train reviews, those held out included.
      held_out: a short name for the texts to choose on.
    """

    corpus: Corpus
    text: Text
    train: list[np.ndarray]
    val: list[np.ndarray]
    origin: str
    held_out: str


class Work(NamedTuple):
    """What the functions below share."""

    config: Config
    texts: Texts
    model: LanguageModel
    mesh: Mesh
    val: Streams
    eval_window: Any


def make_language_modelling(config: Config, workdir: Workdir) -> Task:
    """Load the texts, leave in the folder what reads one, and build the model.

    Raises:
      UserError: data or settings are not as expected.
    """
    with shared_mistakes():
        check_text(workdir)
        texts = load_texts(config, workdir)
    leave_text(workdir, texts.corpus, texts.text)
    work = _prepare(config, texts)
    steps = count_windows(texts.train, config.train.batch_size, _window(config))
    schedule = make_schedule(config.optim, config.train.epochs * steps)
    start, step = _learner(work, schedule)
    return Task(
        digest=_digest(texts),
        notice=texts.corpus.notice,
        steps_per_epoch=steps,
        mesh=work.mesh,
        schedule=jax.jit(schedule),
        first_state=start,
        train_step=step,
        introduce=partial(_introduce, work),
        batches=partial(_batches, work),
        validate=partial(_validate, work),
        # There is no label to predict, so no test split either.
        conclude=lambda best, workdir: None,
        facts=partial(_facts, work),
    )


def load_texts(config: Config, workdir: Workdir) -> Texts:
    """The train reviews of a classifier, its validation, and the unlabelled ones.

    The vocabulary is that of the folder, when a run left one there, else learned.
    """
    data, all_texts = config.data, config.language_model.unlabelled
    corpus = load_plain(data, unlabelled=all_texts)
    train_rows, val_rows = hold_out(corpus, data.validation_fraction)
    train = [corpus.train.texts[i] for i in train_rows] + list(corpus.unlabelled)
    val = [corpus.train.texts[i] for i in val_rows]
    read = Reviews(train, np.zeros(len(train), np.int32))
    text = load_text(workdir.path, 1, 0) or learn_text(read, data, 1)
    ids = (tokenize(text.tokenizer, texts) for texts in (train, val))
    origin, held_out = map(digest_texts, (corpus.train.texts, val))
    return Texts(corpus, text, *ids, origin=origin, held_out=held_out)


def _prepare(config: Config, texts: Texts) -> Work:
    train = config.train
    model = build_language_model(
        config.model,
        config.language_model,
        vocab_size=texts.text.tokenizer.get_vocab_size(),
    )
    part = train.batch_size // config.optim.accumulation_steps
    mesh = make_data_mesh(part, train.eval_batch_size)
    val = lay_out(
        texts.val,
        rows=train.eval_batch_size,
        window=_window(config),
        backward=config.model.backward,
    )
    return Work(config, texts, model, mesh, val, compile_eval_window(model, mesh))


def compile_eval_window(model: LanguageModel, mesh: Mesh) -> Any:
    """``make_eval_window`` over devices: of the carry, each keeps that of its rows.

    Gathered while the sums are, it would stop a CPU, whose devices may wait for each
    other in two places at once.
    """
    placed = batch_sharding(mesh), copied(mesh)
    return jax.jit(make_eval_window(model), out_shardings=placed)


def _learner(work: Work, schedule: optax.Schedule) -> tuple[TrainState, TrainStep]:
    """The state before the first step, and the step."""
    config, model, own = work.config, work.model, work.config.language_model
    optimizer = make_optimizer(config.optim, schedule)
    penalties = Penalties(own.activation_penalty, own.change_penalty)
    return prepare_training(
        config,
        lambda key: model.init(key, np.zeros((1, 1), np.int32))["params"],
        next_word_loss(model, penalties, num_sampled=_num_sampled(work)),
        optimizer,
        work.mesh,
        carry=model.initial_carry(config.train.batch_size),
    )


def _num_sampled(work: Work) -> int:
    """Words that each next one is told from; 0 is all, which cost less than as many."""
    asked = work.config.language_model.num_sampled
    return asked if asked < work.model.vocab_size else 0


def _window(config: Config) -> int:
    return config.language_model.window


def _batches(work: Work, epoch: int) -> Batches:
    """Shuffle the texts for an epoch, and cut out the window of a step when asked."""
    config = work.config
    streams = lay_out(
        work.texts.train,
        rows=config.train.batch_size,
        window=_window(config),
        backward=config.model.backward,
        shuffle=(config.seed, epoch),
    )
    rows = local_slice(config.train.batch_size)

    def batch(index: int) -> tuple[Window, int]:
        """One window on the devices, and the words of it on all hosts."""
        window = streams.at(index)
        mine = jax.tree.map(lambda x: x[rows], window)
        return put_batch(work.mesh, mine), int(window.weights.sum())

    return batch


def _validate(work: Work, params: PyTree) -> dict[str, float]:
    """Mean loss and accuracy over all words of the validation texts."""
    size = work.config.train.eval_batch_size
    rows, total = local_slice(size), np.zeros(3)
    # Placed as that of the windows after it: else the first has a program of its own.
    carry = put_batch(work.mesh, work.model.initial_carry(rows.stop - rows.start))

    def outcomes() -> Any:
        """The sums of each window."""
        nonlocal carry
        for index in range(work.val.num_windows):
            window = put_batch(work.mesh, work.val.at(index, rows))
            carry, sums = work.eval_window(params, carry, window)
            yield sums

    for sums in one_behind(outcomes()):
        total += np.array(jax.device_get(sums), np.float64)
    loss, correct, count = total.tolist()
    return {"loss": loss / count, "accuracy": correct / count}


def _introduce(work: Work) -> str:
    texts, model = work.texts, work.model
    words = sum(len(text) for text in texts.train)
    return (
        f"{texts.corpus.name}: {len(texts.train):,} texts of {words:,} words, read "
        f"{'backward' if work.config.model.backward else 'forward'}, and "
        f"{len(texts.val):,} to validate on; {model.num_layers} x {model.cell} of "
        f"{model.hidden_size}, {model.vocab_size:,} words of {model.embedding_size} "
        f"numbers, on {work.mesh.size} x {jax.devices()[0].device_kind}"
    )


def _facts(work: Work, progress: Progress) -> dict[str, Any]:
    texts = work.texts
    words = sum(len(text) + 1 for text in texts.train)
    seconds = max(progress.train_seconds, 1e-9)
    return {
        "dataset": texts.corpus.name,
        "notice": texts.corpus.notice,
        "validation_by_group": texts.corpus.train.groups is not None,
        "counts": {"train": len(texts.train), "val": len(texts.val)},
        "origin": texts.origin,
        "held_out": texts.held_out,
        "words": words,
        "sampled_words": _num_sampled(work),
        "vocab_size": texts.text.tokenizer.get_vocab_size(),
        "perplexity": round(math.exp(min(progress.best_val["loss"], 700.0)), 4),
        "words_per_second": round(words * progress.epochs / seconds, 1),
    }


def _digest(texts: Texts) -> str:
    """A short name for what is learned from: other texts, another digest."""
    digest = hashlib.sha256()
    for ids in (*texts.train, *texts.val):
        digest.update(len(ids).to_bytes(8, "little") + ids.tobytes())
    return digest.hexdigest()[:16]
