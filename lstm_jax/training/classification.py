"""The task of a classifier: from labelled reviews to logits."""

import logging
import math
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax.linen.summary import tabulate
from jax.sharding import Mesh

from lstm_jax.data.batches import (
    NO_LABEL,
    Batch,
    Encoded,
    Plan,
    make_batch,
    ngram_width,
    padding_share,
    plan_epoch,
    plan_evaluation,
)
from lstm_jax.data.datasets import Datasets, load_datasets
from lstm_jax.data.word_vectors import read_word_vectors
from lstm_jax.errors import UserError
from lstm_jax.models.build import build_classifier, example_inputs
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.models.config import ModelConfig
from lstm_jax.models.fold import fold_embedding
from lstm_jax.one_behind import one_behind
from lstm_jax.paths import expand
from lstm_jax.training.about import check_text, leave_text, read_origin
from lstm_jax.training.adversarial import adversarial_loss
from lstm_jax.training.compile import prepare_training
from lstm_jax.training.config import Config
from lstm_jax.training.devices import (
    batch_order,
    copied,
    local_rows,
    make_data_mesh,
    put_batch,
    put_copies,
    shared_mistakes,
)
from lstm_jax.training.optimizer import make_optimizer, make_schedule
from lstm_jax.training.predictions import (
    Predictions,
    choose_examples,
    count_words,
    save_predictions,
    split_of,
)
from lstm_jax.training.pretrained import (
    NOTHING,
    check_held_out,
    read_pretrained,
)
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree, TrainState
from lstm_jax.training.steps import EvalStep, TrainStep, classifier_loss, make_eval_step
from lstm_jax.training.task import Batches, Task
from lstm_jax.training.workdir import Workdir, write_json

logger = logging.getLogger(__name__)
_STAY_RANDOM = (
    "the words' vectors stay the random ones that they begin as: model.train_embedding "
    'is False, and model.embedding_file is ""'
)


class Learner(NamedTuple):
    """The model and what is computed with it.

    Attributes:
      model: the classifier.
      schedule: step -> learning rate.
      mesh: the devices that batches are split over.
      first_state: the state before the first step.
      train_step: jitted; gives its first argument's memory to the result.
      prepare: jitted; the parameters as ``eval_step`` takes them.
      eval_step: jitted.
    """

    model: TextClassifier
    schedule: optax.Schedule
    mesh: Mesh
    first_state: TrainState
    train_step: TrainStep
    prepare: Callable[[PyTree], PyTree]
    eval_step: EvalStep


class Work(NamedTuple):
    """What the functions below share.

    Attributes:
      config: the settings.
      data: the reviews.
      learner: the model and what is computed with it.
      origin: what is told of the language model that it began as.
    """

    config: Config
    data: Datasets
    learner: Learner
    origin: dict[str, Any]


class Evaluation(NamedTuple):
    """What parameters make of a split.

    Attributes:
      scores: mean ``loss`` and ``accuracy``.
      logits: float32 ``[N, K]``, of each review, in the order of the split.
    """

    scores: dict[str, float]
    logits: np.ndarray


def make_classification(config: Config, workdir: Workdir) -> Task:
    """Load the data, leave in the folder what reads a text, and build the learner.

    Raises:
      UserError: data or settings are not as expected.
    """
    with shared_mistakes():
        check_text(workdir)
        started = workdir.is_started()
        # A run that goes on has all of it in its own folder.
        pretrained = NOTHING if started else read_pretrained(config)
        data = load_datasets(
            config.data,
            num_logits=config.model.num_logits,
            text_dir=workdir.path,
            tokenizer=pretrained.tokenizer,
        )
        check_held_out(pretrained, data.corpus.train.texts, data.val_texts)
        given = {} if started else pretrained.params | _vectors(config.model, data)
    leave_text(workdir, data.corpus, data.text, pretrained.origin)
    learner = make_learner(config, data, given)
    work = Work(config, data, learner, read_origin(workdir))
    return Task(
        digest=data.digest(),
        notice=data.corpus.notice,
        steps_per_epoch=count_steps(config, data),
        mesh=learner.mesh,
        schedule=jax.jit(learner.schedule),
        first_state=learner.first_state,
        train_step=learner.train_step,
        introduce=partial(_introduce, work),
        batches=partial(plan_batches, work),
        validate=lambda params: evaluate(work, params, data.val).scores,
        conclude=partial(_conclude, work),
        facts=partial(_facts, work),
    )


def make_learner(
    config: Config, data: Datasets, given: Mapping[str, PyTree] = MappingProxyType({})
) -> Learner:
    """Build the model, its optimizer and the jitted steps.

    ``given`` are parameters to begin with, by their first names; others are drawn.
    """
    train, optim = config.train, config.optim
    model = build_classifier(
        config.model,
        vocab_size=data.text.tokenizer.get_vocab_size(),
        num_classes=len(data.corpus.label_names),
        num_ngrams=len(data.text.ngrams.keys),
    )
    mesh = make_data_mesh(
        train.batch_size // optim.accumulation_steps, train.eval_batch_size
    )
    schedule = make_schedule(optim, train.epochs * count_steps(config, data))
    folded = fold_embedding(model)
    frozen = () if config.model.train_embedding else ("embedding",)
    optimizer = make_optimizer(
        optim,
        schedule,
        frozen=frozen,
        unfreeze_steps=_unfreeze_steps(config, count_steps(config, data)),
    )
    norm = train.adversarial_norm
    loss = adversarial_loss(model, norm) if norm else classifier_loss(model)
    start, step = prepare_training(
        config,
        lambda key: model.init(key, *example_inputs(model))["params"],
        loss,
        optimizer,
        mesh,
        given=given,
    )
    return Learner(
        model=model,
        schedule=schedule,
        mesh=mesh,
        first_state=start,
        train_step=step,
        prepare=jax.jit(folded.fold, out_shardings=copied(mesh)),
        eval_step=jax.jit(make_eval_step(folded.module), out_shardings=copied(mesh)),
    )


def _unfreeze_steps(config: Config, steps_per_epoch: int) -> int:
    """Whole steps between the beginnings of two parts.

    Raises:
      UserError: so rounded, the lowest would begin after the last step.
    """
    steps = math.ceil(config.optim.unfreeze_epochs * steps_per_epoch)
    in_all = config.train.epochs * steps_per_epoch
    if config.depth * steps >= in_all:
        raise UserError(
            f"optim.unfreeze_epochs: expected all to move before the last of {in_all} "
            f"steps, got {config.optim.unfreeze_epochs}, with which the lowest part "
            f"begins after {config.depth * steps}"
        )
    return steps


def count_steps(config: Config, data: Datasets) -> int:
    """Batches in an epoch; their sizes differ by one at most."""
    return -(-len(data.train.labels) // config.train.batch_size)


def plan_batches(work: Work, epoch: int) -> Batches:
    """Shuffle the reviews for an epoch, and make the batch of a step when asked."""
    plan, data = _plan(work.config, work.data, epoch), work.data.train

    def batch(index: int) -> tuple[Batch, int]:
        """One batch on the devices."""
        rows = plan.rows[index]
        tokens = int(data.lengths[rows[rows >= 0]].sum())
        return _batch(work, data, plan, index), tokens

    return batch


def evaluate(work: Work, params: PyTree, data: Encoded) -> Evaluation:
    """Loss, accuracy and logits of every review of ``data``, each read once."""
    learner, size = work.learner, work.config.train.eval_batch_size
    plan = plan_evaluation(data.lengths, work.data.widths, size)
    order = batch_order(learner.mesh, size)
    total = np.zeros(3)
    logits = np.zeros((len(data.labels), learner.model.num_logits), np.float32)
    prepared = learner.prepare(params)
    started = (
        (rows, learner.eval_step(prepared, _batch(work, data, plan, index)))
        for index, rows in enumerate(plan.rows)
    )
    for rows, outcome in one_behind(started):
        sums, batch_logits = jax.device_get(outcome)
        total += np.array(sums, np.float64)
        rows = rows[order]
        logits[rows[rows >= 0]] = batch_logits[rows >= 0]
    loss, correct, count = total.tolist()
    if count != len(data.labels):
        raise RuntimeError(f"counted {count:.0f} of {len(data.labels)} reviews")
    return Evaluation({"loss": loss / count, "accuracy": correct / count}, logits)


def _plan(config: Config, data: Datasets, epoch: int) -> Plan:
    lengths, size = data.train.lengths, config.train.batch_size
    return plan_epoch(lengths, data.widths, size, seed=config.seed, epoch=epoch)


def _batch(work: Work, data: Encoded, plan: Plan, index: int) -> Batch:
    rows, width = local_rows(plan.rows[index]), int(plan.widths[index])
    max_length, order = work.config.data.max_length, work.data.text.ngrams.order
    ngrams = ngram_width(width, max_length, order)
    return put_batch(work.learner.mesh, make_batch(data, rows, width, ngrams))


def _vectors(config: ModelConfig, data: Datasets) -> dict[str, PyTree]:
    """The embedding to begin with, nothing when it is drawn."""
    if not config.embedding_file:
        if not (config.train_embedding or config.pretrained):
            logger.warning(_STAY_RANDOM)
        return {}
    vocab = data.text.tokenizer.get_vocab()
    path = expand(config.embedding_file, "model.embedding_file")
    vectors = read_word_vectors(path, vocab, config.embedding_size)
    words = np.concatenate(data.train.token_ids)
    logger.info(
        "%s: vectors for %s of %s words, %.1f %% of the words of the train reviews",
        path,
        f"{vectors.known.sum():,}",
        f"{len(vocab):,}",
        100 * vectors.known[words].mean(),
    )
    return {"embedding": {"embedding": vectors.table}}


def _introduce(work: Work) -> str:
    """The layers, and how many reviews there are."""
    model, data = work.learner.model, work.data
    table = tabulate(
        model,
        jax.random.key(0),
        console_kwargs={"width": 100, "force_terminal": sys.stdout.isatty()},
    )
    counts = _counts(data)
    layers = table(*example_inputs(model)).strip()
    return (
        f"{layers}\n{_begun_as(work.origin)}{data.corpus.name}: "
        f"{_listed(counts)} reviews on "
        f"{work.learner.mesh.size} x {jax.devices()[0].device_kind}"
    )


def _listed(counts: dict[str, int]) -> str:
    """In words.

    >>> _listed({"train": 2000, "val": 1, "test": 3})
    '2,000 train, 1 validation and 3 test'
    """
    more = f"{counts['unlabelled']:,} unlabelled, " if "unlabelled" in counts else ""
    return (
        f"{counts['train']:,} train, {more}{counts['val']:,} validation and "
        f"{counts['test']:,} test"
    )


def _begun_as(origin: dict[str, Any]) -> str:
    if not origin:
        return ""
    name, perplexity = origin.get("config_name"), origin.get("perplexity")
    return f"Begins as the language model {name}, of perplexity {perplexity}.\n"


def _conclude(work: Work, best: PyTree, workdir: Workdir) -> dict[str, float] | None:
    """Read the test split, once, with the best parameters; keep what they say."""
    data, test = work.data, None
    best = put_copies(work.learner.mesh, best)
    predictions = Predictions(
        val=split_of(data.val, evaluate(work, best, data.val).logits),
        test=None,
        word_counts=count_words(data.train, data.text.tokenizer.get_vocab_size()),
    )
    if data.test is not None:
        test, logits = evaluate(work, best, data.test)
        test["count"] = len(data.test.labels)
        predictions = predictions._replace(test=split_of(data.test, logits))
    if jax.process_index() == 0:
        save_predictions(predictions, workdir.predictions)
        write_json(workdir.examples, choose_examples(predictions.val, data.val_texts))
    return test


def _facts(work: Work, progress: Progress) -> dict[str, Any]:
    config, data = work.config, work.data
    reviews = len(data.train.labels) * progress.epochs
    padding = padding_share(_plan(config, data, epoch=0), data.train.lengths)
    return {
        "dataset": data.corpus.name,
        "notice": data.corpus.notice,
        "label_names": list(data.corpus.label_names),
        "validation_by_group": data.corpus.train.groups is not None,
        "counts": _counts(data),
        "vocab_size": data.text.tokenizer.get_vocab_size(),
        "reviews_per_second": round(reviews / max(progress.train_seconds, 1e-9), 1),
        "padding_share": round(padding, 4),
        **({"pretrained": work.origin} if work.origin else {}),
    }


def _counts(data: Datasets) -> dict[str, int]:
    splits = {"train": data.train, "val": data.val, "test": data.test}
    counts = {
        name: 0 if x is None else int((x.labels != NO_LABEL).sum())
        for name, x in splits.items()
    }
    unlabelled = len(data.train.labels) - counts["train"]
    return counts | ({"unlabelled": unlabelled} if unlabelled else {})
