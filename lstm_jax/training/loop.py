"""The one loop: train, choose on validation, test once, write everything down."""

import dataclasses
import logging
import math
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.linen.summary import tabulate

from lstm_jax.data.batches import (
    Batch,
    Encoded,
    Plan,
    make_batch,
    ngram_width,
    plan_epoch,
    plan_evaluation,
)
from lstm_jax.errors import UserError
from lstm_jax.models.build import example_inputs
from lstm_jax.one_behind import one_behind
from lstm_jax.training.checkpoints import Snapshot
from lstm_jax.training.clock import Clock
from lstm_jax.training.config import Config
from lstm_jax.training.devices import (
    batch_order,
    local_rows,
    put_batch,
    put_copies,
    shared_mistakes,
)
from lstm_jax.training.interruption import Interrupted, Interruption
from lstm_jax.training.lock import locked
from lstm_jax.training.losses import Sums
from lstm_jax.training.predictions import (
    Predictions,
    choose_examples,
    count_words,
    save_predictions,
    split_of,
)
from lstm_jax.training.progress import Progress, Tally
from lstm_jax.training.run import Run, set_up
from lstm_jax.training.state import PyTree, evaluation_params
from lstm_jax.training.summary import summarize
from lstm_jax.training.workdir import Workdir, claim, read_json, write_json

logger = logging.getLogger(__name__)

# Steps in a row that are not finite: the data or the settings are wrong, not one batch.
_MOST_SKIPPED = 20


class Evaluation(NamedTuple):
    """What parameters make of a split.

    Attributes:
      scores: mean ``loss`` and ``accuracy``.
      logits: float32 ``[N, K]``, of each review, in the order of the split.
    """

    scores: dict[str, float]
    logits: np.ndarray


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


def evaluate(run: Run, params: PyTree, data: Encoded) -> Evaluation:
    """Loss, accuracy and logits of every review of ``data``, each read once."""
    size = run.config.train.eval_batch_size
    plan = plan_evaluation(data.lengths, run.data.widths, size)
    order = batch_order(run.learner.mesh, size)
    total = np.zeros(3)
    logits = np.zeros((len(data.labels), run.learner.model.num_logits), np.float32)
    prepared = run.learner.prepare(params)
    started = (
        (rows, run.learner.eval_step(prepared, _batch(run, data, plan, index)))
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
    epoch, total = snapshot.progress.epochs, run.steps_per_epoch
    plan = _plan(run, epoch)
    first = snapshot.progress.step - epoch * total
    title = f"epoch {epoch + 1}/{run.config.train.epochs}"
    with run.logbook.progress_bar(total=total, done=first, title=title) as bar:
        batch = _batch(run, run.data.train, plan, first)
        for index in range(first, total):
            begun = run.clock.working()
            state, sums = run.learner.train_step(snapshot.state, batch)
            # The device is busy now: prepare the next batch before waiting for it.
            waited = 0.0
            if index + 1 < total:
                batch, waited = _next_batch(run, plan, index + 1, sums)
            progress = _count(run, snapshot.progress, plan.rows[index], sums, begun)
            progress = progress.after_wait(waited)
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


def _plan(run: Run, epoch: int) -> Plan:
    lengths, size = run.data.train.lengths, run.config.train.batch_size
    return plan_epoch(lengths, run.data.widths, size, seed=run.config.seed, epoch=epoch)


def _batch(run: Run, data: Encoded, plan: Plan, index: int) -> Batch:
    rows, width = local_rows(plan.rows[index]), int(plan.widths[index])
    ngrams = ngram_width(width, run.data.widths, run.data.text.ngrams.order)
    return put_batch(run.learner.mesh, make_batch(data, rows, width, ngrams))


def _next_batch(run: Run, plan: Plan, index: int, sums: Sums) -> tuple[Batch, float]:
    """The batch after that of ``sums``, and how long the device may have waited for it.

    All the seconds that it took, when the step was over by then; else none.
    """
    begun = run.clock.working()
    batch = _batch(run, run.data.train, plan, index)
    over = sums.loss.is_ready()  # pyright: ignore[reportAttributeAccessIssue]
    return batch, (run.clock.working() - begun) * over


def _count(
    run: Run, progress: Progress, rows: np.ndarray, sums: Sums, begun: float
) -> Progress:
    """Wait for a step's sums and add them up."""
    loss, correct, count = np.array(jax.device_get(sums), float).tolist()
    if not math.isfinite(loss) and run.config.train.on_nonfinite == "skip":
        return _skip(progress, loss)
    _check_finite(f"step {progress.step + 1}", loss)
    tokens = int(run.data.train.lengths[rows[rows >= 0]].sum())
    seconds = run.clock.working() - begun
    return dataclasses.replace(
        progress,
        step=progress.step + 1,
        skipped_in_a_row=0,
        train_seconds=progress.train_seconds + seconds,
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
    if last or progress.step % train.log_every_steps == 0:
        moved = progress.step - progress.skipped_steps
        rate = float(np.asarray(run.learner.schedule(max(moved - 1, 0))))
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
    means = tally.means()
    return {
        "loss": f"{means['loss']:.3f}",
        "accuracy": f"{means['accuracy']:.1%}",
        "tokens/s": f"{means['tokens_per_second']:,.0f}",
    }


def _validate(run: Run, snapshot: Snapshot) -> Snapshot:
    """Score an epoch on the validation reviews; keep the best parameters."""
    params = evaluation_params(snapshot.state)
    val = evaluate(run, params, run.data.val).scores
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
    say, data = run.logbook.say, run.data
    if data.corpus.notice:
        say(f"NOTE: {data.corpus.notice}.")
    table = tabulate(
        run.learner.model,
        jax.random.key(0),
        console_kwargs={"width": 100, "force_terminal": sys.stdout.isatty()},
    )
    say(table(*example_inputs(run.learner.model)).strip())
    test = 0 if data.test is None else len(data.test.labels)
    say(
        f"{data.corpus.name}: {len(data.train.labels):,} train, "
        f"{len(data.val.labels):,} validation and {test:,} test reviews on "
        f"{run.learner.mesh.size} x {jax.devices()[0].device_kind}"
    )
    if progress.step:
        say(f"Going on from step {progress.step}.")


def _conclude(run: Run, snapshot: Snapshot, workdir: Workdir) -> dict[str, Any]:
    """Read the test split, once, with the best parameters; keep what they say."""
    _check_saved(run, snapshot.progress)
    data, progress, test = run.data, snapshot.progress, None
    best = put_copies(run.learner.mesh, snapshot.best)
    predictions = Predictions(
        val=split_of(data.val, evaluate(run, best, data.val).logits),
        test=None,
        word_counts=count_words(data.train, data.text.tokenizer.get_vocab_size()),
    )
    if data.test is not None:
        test, logits = evaluate(run, best, data.test)
        run.logbook.write("test", progress.step, progress.best_epoch, **test)
        test["count"] = len(data.test.labels)
        predictions = predictions._replace(test=split_of(data.test, logits))
    if jax.process_index() == 0:
        _keep(predictions, data.val_texts, workdir)
    return summarize(
        run.config,
        data,
        snapshot.best,
        run.clock.stamp(progress),
        test=test,
        num_devices=run.learner.mesh.size,
    )


def _keep(predictions: Predictions, val_texts: list[str], workdir: Workdir) -> None:
    """Write the logits of each review, and which reviews to look at."""
    save_predictions(predictions, workdir.predictions)
    write_json(workdir.examples, choose_examples(predictions.val, val_texts))
