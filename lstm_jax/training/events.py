"""Measurements for TensorBoard.

Each is on disk before the next: tensorboardX' own writer has a thread that dies of a
full disk, and after a while whoever writes waits for it for ever.
"""

import time
from pathlib import Path
from typing import Any

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2

from lstm_jax.drafts import named

_FORMAT: Any = event_pb2  # made when it is imported


class EventFile:
    """One file of events, of one start of a run."""

    def __init__(self, folder: Path, *, purge_step: int) -> None:
        """Open it; TensorBoard forgets what it was told of that step and later."""
        self._folder = folder
        with named(folder):
            self._writer = EventsWriter(str(folder / "events"))
        started = _FORMAT.SessionLog(status=_FORMAT.SessionLog.START)
        self._write(step=purge_step, file_version="brain.Event:2")
        self._write(step=purge_step, session_log=started)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write a number."""
        self._write(step=step, summary=summary.scalar(name, value))

    def add_text(self, name: str, text: str) -> None:
        """Write a text that holds for all steps."""
        self._write(summary=summary.text(name, text))

    def close(self) -> None:
        """Close it."""
        self._writer.close()

    def _write(self, **fields: Any) -> None:
        with named(self._folder / "events.out.tfevents.*"):
            self._writer.write_event(_FORMAT.Event(wall_time=time.time(), **fields))
            self._writer.flush()
