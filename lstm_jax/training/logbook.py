"""What a run tells: ``metrics.jsonl``, TensorBoard events, and the terminal."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lstm_jax.drafts import draft_of, named
from lstm_jax.errors import refusing
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
    """The lines of a ``metrics.jsonl``.

    A torn last line is left out; any other that is no measurement is passed over with
    a warning.

    Raises:
      UserError: there is something that cannot be read.
    """
    return [line for _, line in _read_lines(path) if line is not None]


def _read_lines(path: Path) -> list[tuple[bytes, dict[str, Any] | None]]:
    """Each line as it stands, and what it says, or None where that is nothing."""
    with refusing(f"{path}: expected a file of measurements, got"):
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    found = [
        (number, line, _measurement(line))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if found and found[-1][2] is None:
        found.pop()  # the line that was being written when a run was killed
    for number, line, said in found:
        if said is None:
            logger.warning(
                "%s, line %d: expected a measurement, got %.60r; it is passed over",
                *(path, number, line.decode(errors="replace")),
            )
    return [(line, said) for _, line, said in found]


def _measurement(line: bytes) -> dict[str, Any] | None:
    """What ``Logbook.write`` wrote, or None when it is something else."""
    try:
        said = json.loads(line)
        split, place = said["split"], (said["step"], said["epoch"])
        values = [said["loss"], said["accuracy"]]
        values += [said["learning_rate"]] if split == "train" else []
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    first = 1 if split == "val" else 0  # validation ends an epoch
    whole = all(type(n) is int and n >= first for n in place)
    numbers = all(type(x) in (int, float) for x in values)
    return said if isinstance(split, str) and whole and numbers else None


def _drop_lines_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    # A test line belongs to the end of a run, which is still to come.
    kept = [
        line
        for line, said in _read_lines(path)
        if said is None or (said["step"] <= step and said["split"] != "test")
    ]
    with draft_of(path) as draft:
        draft.write_bytes(b"".join(line + b"\n" for line in kept))
