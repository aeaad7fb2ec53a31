"""What stays the same from a run's first step to its last, and how it is set up."""

from typing import NamedTuple

import jax

from lstm_jax.data.sources import check_files
from lstm_jax.errors import UserError
from lstm_jax.models.build import check_kernel
from lstm_jax.paths import check_readable
from lstm_jax.training.checkpoints import Checkpoints, Snapshot
from lstm_jax.training.classification import make_classification
from lstm_jax.training.clock import Clock
from lstm_jax.training.config import Config
from lstm_jax.training.devices import shared_mistakes
from lstm_jax.training.interruption import Interruption
from lstm_jax.training.language_modelling import make_language_modelling
from lstm_jax.training.logbook import Logbook
from lstm_jax.training.pretrained import check_pretrained
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import evaluation_params
from lstm_jax.training.summary import commit_of_source
from lstm_jax.training.task import Task
from lstm_jax.training.workdir import Workdir

_TASKS = {
    "classification": make_classification,
    "language_model": make_language_modelling,
}


class Run(NamedTuple):
    """The collaborators of a run."""

    config: Config
    task: Task
    checkpoints: Checkpoints
    logbook: Logbook
    clock: Clock
    interruption: Interruption
    commit: str  # of the source when it was read; the checkout may have moved on since


def set_up(
    config: Config,
    workdir: Workdir,
    clock: Clock,
    interruption: Interruption | None = None,
) -> tuple[Run, Snapshot]:
    """Load the data, build the task, and find where the run stands."""
    with shared_mistakes():
        check_inputs(config, workdir)
    task = _TASKS[config.task](config, workdir)
    checkpoints = Checkpoints(
        workdir.checkpoints,
        keep=config.train.keep_checkpoints,
        on_save_error=config.train.on_save_error,
    )
    best = jax.device_get(evaluation_params(task.first_state))
    start = Snapshot(task.first_state, best, Progress(data=task.digest))
    snapshot = checkpoints.restore(start)
    _check_data(snapshot.progress, start.progress)
    clock.go_on_from(snapshot.progress)
    logbook = Logbook(
        workdir,
        step=snapshot.progress.step,
        active=jax.process_index() == 0,
        notice=task.notice,
    )
    asked = interruption or Interruption()
    commit = commit_of_source()
    return Run(config, task, checkpoints, logbook, clock, asked, commit), snapshot


def check_inputs(config: Config, workdir: Workdir) -> None:
    """Look for what the settings name, before minutes go into the first.

    A run that goes on needs no language model and no word vectors: its checkpoint
    holds all.

    Raises:
      UserError: a file is not there, or could not be read, or a kernel cannot run the
        model.
    """
    check_files(config.data)
    if config.model.implementation != "auto":
        check_kernel(config.model)
    if config.model.embedding_file and not workdir.is_started():
        check_readable(config.model.embedding_file, "model.embedding_file")
    if config.model.pretrained and not workdir.is_started():
        check_pretrained(config)


def _check_data(saved: Progress, now: Progress) -> None:
    """Refuse to go on with other reviews: batches are told by their numbers."""
    if saved.data != now.data:
        raise UserError(
            f"data: expected the reviews that this run began with ({saved.data}), got "
            f"others ({now.data}); name another --workdir, or restore the files"
        )
