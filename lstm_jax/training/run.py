"""What stays the same from a run's first step to its last, and how it is set up."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from lstm_jax.data.batches import Batch
from lstm_jax.data.corpus import Corpus
from lstm_jax.data.datasets import Datasets, load_datasets, save_text
from lstm_jax.data.sources import check_files
from lstm_jax.data.word_vectors import read_word_vectors
from lstm_jax.errors import UserError
from lstm_jax.models.build import build_classifier, example_inputs
from lstm_jax.models.classifier import TextClassifier
from lstm_jax.models.config import ModelConfig
from lstm_jax.models.fold import fold_embedding
from lstm_jax.paths import check_readable, expand
from lstm_jax.training.checkpoints import Checkpoints, Snapshot
from lstm_jax.training.clock import Clock
from lstm_jax.training.config import Config
from lstm_jax.training.devices import (
    batch_sharding,
    copied,
    make_data_mesh,
    shared_mistakes,
)
from lstm_jax.training.interruption import Interruption
from lstm_jax.training.logbook import Logbook
from lstm_jax.training.optimizer import make_optimizer, make_schedule
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import PyTree, TrainState, create_state, evaluation_params
from lstm_jax.training.steps import EvalStep, TrainStep, make_eval_step, make_train_step
from lstm_jax.training.workdir import Workdir, write_json

logger = logging.getLogger(__name__)

_VECTORS = "model.embedding_file"


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


class Run(NamedTuple):
    """The collaborators of a run."""

    config: Config
    data: Datasets
    learner: Learner
    checkpoints: Checkpoints
    logbook: Logbook
    clock: Clock
    interruption: Interruption

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; the last may be short."""
        return count_steps(self.config, self.data)


def describe(corpus: Corpus) -> dict[str, Any]:
    """What those who use the model need to know of the data."""
    return {
        "label_names": list(corpus.label_names),
        "dataset": corpus.name,
        "notice": corpus.notice,
    }


def set_up(
    config: Config,
    workdir: Workdir,
    clock: Clock,
    interruption: Interruption | None = None,
) -> tuple[Run, Snapshot]:
    """Load the data, build the learner, and find where the run stands."""
    with shared_mistakes():
        check_inputs(config)
        data = load_datasets(
            config.data, num_logits=config.model.num_logits, text_dir=workdir.path
        )
    active = jax.process_index() == 0
    if active and not workdir.tokenizer.exists():
        write_json(workdir.about, describe(data.corpus))
        save_text(data.text, workdir.path)
    learner = make_learner(config, data)
    checkpoints = Checkpoints(
        workdir.checkpoints,
        keep=config.train.keep_checkpoints,
        on_save_error=config.train.on_save_error,
    )
    best = jax.device_get(evaluation_params(learner.first_state))
    start = Snapshot(learner.first_state, best, Progress(data=data.digest()))
    snapshot = checkpoints.restore(start)
    _check_data(snapshot.progress, start.progress)
    clock.go_on_from(snapshot.progress)
    logbook = Logbook(
        workdir,
        step=snapshot.progress.step,
        active=active,
        notice=data.corpus.notice,
    )
    asked = interruption or Interruption()
    return Run(config, data, learner, checkpoints, logbook, clock, asked), snapshot


def check_inputs(config: Config) -> None:
    """Look for every file that the settings name, before minutes go into the first.

    Raises:
      UserError: one is not there, or could not be read.
    """
    check_files(config.data)
    if config.model.embedding_file:
        check_readable(config.model.embedding_file, _VECTORS)


def _check_data(saved: Progress, now: Progress) -> None:
    """Refuse to go on with other reviews: batches are told by their numbers."""
    if saved.data != now.data:
        raise UserError(
            f"data: expected the reviews that this run began with ({saved.data}), got "
            f"others ({now.data}); name another --workdir, or restore the files"
        )


def make_learner(config: Config, data: Datasets) -> Learner:
    """Build the model, its optimizer and the jitted steps."""
    train, optim = config.train, config.optim
    model = build_classifier(
        config.model,
        vocab_size=data.text.tokenizer.get_vocab_size(),
        num_classes=len(data.corpus.label_names),
        num_ngrams=len(data.text.ngrams.keys),
        vectors=_vectors(config.model, data),
    )
    mesh = make_data_mesh(
        train.batch_size // optim.accumulation_steps, train.eval_batch_size
    )
    schedule = make_schedule(optim, train.epochs * count_steps(config, data))
    folded = fold_embedding(model)
    frozen = () if config.model.train_embedding else ("embedding",)
    optimizer = make_optimizer(optim, schedule, frozen=frozen)
    # Two independent streams from one seed: the first weights, and dropout.
    key_init, key_steps = jax.random.split(jax.random.key(config.seed))
    return Learner(
        model=model,
        schedule=schedule,
        mesh=mesh,
        first_state=_first_state(model, optimizer, key_init, mesh, optim.ema_decay > 0),
        train_step=_compiled_step(config, model, optimizer, mesh, key_steps),
        prepare=jax.jit(folded.fold, out_shardings=copied(mesh)),
        eval_step=jax.jit(make_eval_step(folded.module), out_shardings=copied(mesh)),
    )


def _compiled_step(
    config: Config,
    model: TextClassifier,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    key: Array,
) -> TrainStep:
    """The jitted train step of a run with this key."""

    def step(key_data: Array, state: TrainState, batch: Batch) -> Any:
        """With the key as an argument: all seeds share what was compiled for one."""
        return make_train_step(
            model,
            optimizer,
            jax.random.wrap_key_data(key_data),
            ema_decay=config.optim.ema_decay,
            accumulation_steps=config.optim.accumulation_steps,
            skip_nonfinite=config.train.on_nonfinite == "skip",
        )(state, batch)

    compiled = jax.jit(
        step,
        in_shardings=(copied(mesh), copied(mesh), batch_sharding(mesh)),
        out_shardings=copied(mesh),
        donate_argnums=1,
    )
    return partial(compiled, np.asarray(jax.random.key_data(key)))


def _vectors(config: ModelConfig, data: Datasets) -> np.ndarray | None:
    """The vectors that the embedding begins with, None when they are drawn."""
    if not config.embedding_file:
        return None
    vocab = data.text.tokenizer.get_vocab()
    path = expand(config.embedding_file, _VECTORS)
    vectors = read_word_vectors(path, vocab, config.embedding_size)
    words = np.concatenate(data.train.token_ids)
    logger.info(
        "%s: vectors for %s of %s words, %.1f %% of the words of the train reviews",
        path,
        f"{vectors.known.sum():,}",
        f"{len(vocab):,}",
        100 * vectors.known[words].mean(),
    )
    return vectors.table


def count_steps(config: Config, data: Datasets) -> int:
    """Batches in an epoch; the last may be short."""
    return -(-len(data.train.labels) // config.train.batch_size)


def _first_state(
    model: TextClassifier,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    mesh: Mesh,
    average: bool,
) -> TrainState:
    """The state before the first step, on every device."""

    def init(key: jax.Array) -> TrainState:
        """Draw the parameters where they will lie."""
        params = model.init(key, *example_inputs(model))["params"]
        return create_state(params, optimizer, average=average)

    return jax.jit(init, out_shardings=copied(mesh))(key)
