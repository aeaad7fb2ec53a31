"""The one loop: train, choose on validation, test once, write everything down."""

import dataclasses
import logging
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lstm_jax.errors import UserError
from lstm_jax.training.checkpoints import Snapshot
from lstm_jax.training.clock import Clock
from lstm_jax.training.config import Config
from lstm_jax.training.devices import shared_mistakes
from lstm_jax.training.interruption import Interrupted, Interruption
from lstm_jax.training.lock import locked
from lstm_jax.training.losses import Sums
from lstm_jax.training.progress import Progress, Tally
from lstm_jax.training.run import Run, set_up
from lstm_jax.training.state import evaluation_params
from lstm_jax.training.summary import summarize
from lstm_jax.training.task import Batches
from lstm_jax.training.workdir import Workdir, claim, read_json, write_json

logger = logging.getLogger(__name__)

# Steps in a row that are not finite: the data or the settings are wrong, not one batch.
_MOST_SKIPPED = 20


def train_and_evaluate(
    config: Config, folder: Path, interruption: Interruption | None = None
) -> dict[str, Any]:
    """Run ``config`` in ``folder``; go on where a stopped run stood.

    Args:
      config: the settings.
      folder: the run's own; made when it is missing.
      interruption: where the program receives signals; None when it does not.

    Returns:
      What ``summary.json`` holds.  A finished run is not run again.

    Raises:
      UserError: data, settings or folder are not as expected.
      Interrupted: a signal came; the same call goes on from where the run stands.
    """
    clock, workdir = Clock(), Workdir(folder)
    with ExitStack() as held:
        with shared_mistakes():
            if jax.process_index() == 0:
                held.enter_context(locked(workdir))
                claim(workdir, dataclasses.asdict(config))
        if workdir.summary.exists():
            return read_json(workdir.summary)
        return _run(config, workdir, clock, interruption or Interruption())


def _run(
    config: Config, workdir: Workdir, clock: Clock, interruption: Interruption
) -> dict[str, Any]:
    """Train, conclude and write the summary, in a folder that is ours."""
    run, snapshot = set_up(config, workdir, clock, interruption)
    try:
        _introduce(run, snapshot.progress)
        with interruption.deferred():
            snapshot = _train(run, snapshot)
        summary = _conclude(run, snapshot, workdir)
    finally:
        run.checkpoints.close()
        run.logbook.close()
    if jax.process_index() == 0:
        write_json(workdir.summary, summary)
    return summary


def _train(run: Run, snapshot: Snapshot) -> Snapshot:
    """Train epoch by epoch until all are done or patience has run out."""
    train = run.config.train
    while not snapshot.progress.finished(epochs=train.epochs, patience=train.patience):
        snapshot = _train_epoch(run, snapshot)
        snapshot = _validate(run, snapshot)
        _save(run, snapshot)
        _stop_if_asked(run, snapshot)
    return snapshot


def _train_epoch(run: Run, snapshot: Snapshot) -> Snapshot:
    """Take the steps of an epoch that have not been taken yet."""
    epoch, total = snapshot.progress.epochs, run.task.steps_per_epoch
    batches = run.task.batches(epoch)
    first = snapshot.progress.step - epoch * total
    title = f"epoch {epoch + 1}/{run.config.train.epochs}"
    with run.logbook.progress_bar(total=total, done=first, title=title) as bar:
        batch, tokens = batches(first)
        for index in range(first, total):
            begun = run.clock.working()
            state, sums = run.task.train_step(snapshot.state, batch)
            # The device is busy now: prepare the next batch before waiting for it.
            done, waited = tokens, 0.0
            if index + 1 < total:
                batch, tokens, waited = _next_batch(run, batches, index + 1, sums)
            progress = _count(run, snapshot.progress, done, sums, begun, waited)
            snapshot = snapshot._replace(state=state, progress=progress)
            bar.set_postfix(_in_words(progress.tally), refresh=False)
            bar.update()
            snapshot = _report(run, snapshot, last=index + 1 == total)
            # After the last step comes validation, which is finished first.
            if index + 1 < total and snapshot.progress.step % _steps_between() == 0:
                _stop_if_asked(run, snapshot)
    return snapshot


def _steps_between() -> int:
    """Steps after which a run looks whether it is to stop; hosts have to talk."""
    return 1 if jax.process_count() == 1 else 8


def _stop_if_asked(run: Run, snapshot: Snapshot) -> None:
    """Save and stop, on all hosts, when a signal has come to one."""
    number = run.interruption.agreed()
    if number:
        _save(run, snapshot)
        run.checkpoints.wait()
        step = snapshot.progress.step
        saved = "is" if run.checkpoints.holds(step) else "could not be"
        raise Interrupted(number, f"step {step} {saved} saved")


def _next_batch(
    run: Run, batches: Batches, index: int, sums: Sums
) -> tuple[Any, int, float]:
    """The batch after that of ``sums``, and how long the device may have waited for it.

    All the seconds that it took, when the step was over by then; else none.
    """
    begun = run.clock.working()
    batch, tokens = batches(index)
    over = sums.loss.is_ready()  # pyright: ignore[reportAttributeAccessIssue]
    return batch, tokens, (run.clock.working() - begun) * over


def _count(
    run: Run, progress: Progress, tokens: int, sums: Sums, begun: float, waited: float
) -> Progress:
    """Wait for a step's sums and add them up."""
    loss, correct, count = np.array(jax.device_get(sums), float).tolist()
    if not math.isfinite(loss) and run.config.train.on_nonfinite == "skip":
        return _skip(progress, loss)
    _check_finite(f"step {progress.step + 1}", loss)
    seconds = run.clock.working() - begun
    return dataclasses.replace(
        progress,
        step=progress.step + 1,
        skipped_in_a_row=0,
        train_seconds=progress.train_seconds + seconds,
        wait_seconds=progress.wait_seconds + waited,
        tally=progress.tally.plus(
            loss=loss, correct=correct, count=count, tokens=tokens, seconds=seconds
        ),
    )


def _skip(progress: Progress, loss: float) -> Progress:
    """Count a step that has changed nothing; stop when there are only such."""
    progress = progress.after_skip()
    logger.warning("step %d was skipped: it is not finite", progress.step)
    if progress.skipped_in_a_row >= _MOST_SKIPPED:
        _check_finite(f"{_MOST_SKIPPED} steps up to step {progress.step}", loss)
    return progress


def _check_finite(when: str, loss: float) -> None:
    """Stop before a broken state is saved."""
    if not math.isfinite(loss):
        raise UserError(
            f"{when}: expected a finite loss, got {loss}; "
            "try a lower optim.learning_rate"
        )


def _report(run: Run, snapshot: Snapshot, *, last: bool) -> Snapshot:
    """Log and save when this step is one to do so."""
    train, progress = run.config.train, snapshot.progress
    due = last or progress.step % train.log_every_steps == 0
    # Steps that were skipped, or had no label, have no loss: they wait for others.
    if due and progress.tally.count:
        moved = progress.step - progress.skipped_steps
        rate = float(np.asarray(run.task.schedule(max(moved - 1, 0))))
        means = progress.tally.means()
        more = {"learning_rate": rate, "input_wait_share": progress.input_wait_share}
        run.logbook.write("train", progress.step, progress.epochs + 1, **means, **more)
        progress = dataclasses.replace(progress, tally=Tally())
        snapshot = snapshot._replace(progress=progress)
    every = train.checkpoint_every_steps
    # The last step of an epoch is saved after validation, with its outcome.
    if every and not last and progress.step % every == 0:
        _save(run, snapshot)
    return snapshot


def _in_words(tally: Tally) -> dict[str, str]:
    means, known = tally.means(), tally.count > 0
    return {
        "loss": f"{means['loss']:.3f}" if known else "-",
        "accuracy": f"{means['accuracy']:.1%}" if known else "-",
        "tokens/s": f"{means['tokens_per_second']:,.0f}",
    }


def _validate(run: Run, snapshot: Snapshot) -> Snapshot:
    """Score an epoch on the validation split; keep the best parameters."""
    params = evaluation_params(snapshot.state)
    val = run.task.validate(params)
    _check_finite(f"validation after step {snapshot.progress.step}", val["loss"])
    progress = snapshot.progress.after_epoch(val, run.config.train.monitor)
    run.logbook.write("val", progress.step, progress.epochs, **val)
    is_best = progress.best_epoch == progress.epochs
    run.logbook.say(
        f"epoch {progress.epochs}/{run.config.train.epochs}: validation loss "
        f"{val['loss']:.4f}, accuracy {val['accuracy']:.2%}{' (best)' * is_best}"
    )
    best = jax.device_get(params) if is_best else snapshot.best
    return Snapshot(snapshot.state, best, progress)


def _save(run: Run, snapshot: Snapshot) -> None:
    progress = run.clock.stamp(snapshot.progress)
    run.checkpoints.save(snapshot._replace(progress=progress))


def _check_saved(run: Run, progress: Progress) -> None:
    """Refuse to finish a run whose outcome is not on disk."""
    run.checkpoints.wait()
    if not run.checkpoints.holds(progress.step):
        raise UserError(
            f"expected step {progress.step}, the last one, to be saved before the test "
            "split is read, got a failed save; make room, and the same command goes on"
        )


def _introduce(run: Run, progress: Progress) -> None:
    """Say what is about to be trained, on what."""
    say = run.logbook.say
    if run.task.notice:
        say(f"NOTE: {run.task.notice}.")
    say(run.task.introduce())
    if progress.step:
        say(f"Going on from step {progress.step}.")


def _conclude(run: Run, snapshot: Snapshot, workdir: Workdir) -> dict[str, Any]:
    """Test the best parameters, once, and put the summary together."""
    _check_saved(run, snapshot.progress)
    progress = snapshot.progress
    test = run.task.conclude(snapshot.best, workdir)
    if test is not None:
        scores = {name: test[name] for name in ("loss", "accuracy")}
        run.logbook.write("test", progress.step, progress.best_epoch, **scores)
    return summarize(
        run.config,
        run.task,
        snapshot.best,
        run.clock.stamp(progress),
        test=test,
        commit=run.commit,
    )
