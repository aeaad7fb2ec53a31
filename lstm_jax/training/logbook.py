"""What a run tells: ``metrics.jsonl``, TensorBoard events, and the terminal."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lstm_jax.drafts import draft_of, named
from lstm_jax.training.events import EventFile
from lstm_jax.training.workdir import Workdir

logger = logging.getLogger(__name__)


class Logbook:
    """Writes each measurement everywhere it belongs.

    A resumed run first drops the lines after its checkpoint, which it is about
    to write again, so that the file reads like that of an unbroken run.
    """

    def __init__(
        self, workdir: Workdir, *, step: int, active: bool, notice: str = ""
    ) -> None:
        """Open the files.

        Args:
          workdir: of the run.
          step: of the checkpoint that the run goes on from; 0 at the beginning.
          active: False on all hosts but the first, which then write nothing.
          notice: what every line must say of the data; "" for nothing.
        """
        self.active = active
        self._notice = {"notice": notice} if notice else {}
        if not active:
            return
        self._metrics = workdir.metrics
        _drop_lines_after(self._metrics, step)
        self._lines = self._metrics.open("a", encoding="utf-8")
        self._events = EventFile(workdir.path, purge_step=step + 1)
        if notice:
            self._events.add_text("notice", notice)

    def write(self, split: str, step: int, epoch: int, **values: float) -> None:
        """Write one measurement of ``split`` ("train", "val" or "test")."""
        if not self.active:
            return
        line = {"split": split, "step": step, "epoch": epoch, **values, **self._notice}
        with named(self._metrics):
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def say(self, text: str) -> None:
        """Print a line for the user."""
        if self.active:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def progress_bar(self, *, total: int, done: int, title: str) -> tqdm:
        """A bar over the steps of an epoch; rare lines when not on a terminal."""
        return tqdm(
            total=total,
            initial=done,
            desc=title,
            unit="batch",
            leave=False,
            disable=not self.active,
            dynamic_ncols=True,
            mininterval=0.2 if sys.stderr.isatty() else 30.0,
        )

    def close(self) -> None:
        """Close the files."""
        if not self.active:
            return
        for file in (self._lines, self._events):
            try:
                file.close()
            except OSError as error:  # an earlier failure, which is being told
                logger.debug("closing: %s", error)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; a torn last line is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    measurements = []
    for line in lines:
        try:
            measurements.append(json.loads(line))
        except json.JSONDecodeError:
            # Only the line that was being written when a run was killed.
            break
    return measurements


def _drop_lines_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    # A test line belongs to the end of a run, which is still to come.
    kept = [
        line
        for line in read_metrics(path)
        if line["step"] <= step and line["split"] != "test"
    ]
    with draft_of(path) as draft:
        lines = (json.dumps(line) + "\n" for line in kept)
        draft.write_text("".join(lines), encoding="utf-8")
