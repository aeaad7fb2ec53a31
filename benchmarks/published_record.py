"""How far the run of a peer has come: kept on disk, so that it can go on."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lstm_jax.errors import UserError
from lstm_jax.training.config import differences

_FILE = "record.json"
_DIGITS = 6


@dataclass
class Record:
    """The epochs so far.

    Attributes:
      folder: scratch space, for this file and for weights.
      settings: of the run, as a dict; another run may not go on with it.
      monitor: "loss" or "accuracy" of validation, which says what "best" means.
      epochs: one dict an epoch: ``train_seconds``, ``eval_seconds`` and ``val``.
      startup_seconds: until the first step was taken, compilation and all.
    """

    folder: Path
    settings: dict[str, Any]
    monitor: str
    epochs: list[dict[str, Any]] = field(default_factory=list)
    startup_seconds: float | None = None

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, counted from 1; the first of equals."""
        sign = -1 if self.monitor == "loss" else 1
        values = [sign * epoch["val"][self.monitor] for epoch in self.epochs]
        return values.index(max(values)) + 1

    def weights(self, epoch: int) -> Path:
        """Where the weights after ``epoch`` lie, without the ending."""
        return self.folder / f"epoch{epoch}"

    def stopped(self, patience: int) -> bool:
        """Whether ``patience`` epochs have brought no new best; 0 never stops."""
        if not (patience and self.epochs):
            return False
        return len(self.epochs) - self.best_epoch >= patience

    def add(self, train_seconds: float, eval_seconds: float, val: dict) -> None:
        """Note an epoch, whose weights are saved already, and drop older weights."""
        val = {name: round(float(value), _DIGITS) for name, value in val.items()}
        self.epochs.append(
            {
                "train_seconds": round(train_seconds, 2),
                "eval_seconds": round(eval_seconds, 2),
                "val": val,
            }
        )
        self._save()
        print(f"epoch {len(self.epochs)}: {self.epochs[-1]}", flush=True)

    def _save(self) -> None:
        state = {
            "settings": self.settings,
            "epochs": self.epochs,
            "startup_seconds": self.startup_seconds,
        }
        draft = self.folder / "record.tmp"
        draft.write_text(json.dumps(state, indent=2) + "\n")
        draft.replace(self.folder / _FILE)
        needed = {f"epoch{len(self.epochs)}", f"epoch{self.best_epoch}"}
        for path in self.folder.glob("epoch*"):
            if path.stem not in needed:
                path.unlink()


def open_record(folder: Path, settings: dict[str, Any], monitor: str) -> Record:
    """Begin a record, or go on with the one in ``folder``.

    Raises:
      UserError: that one is of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _FILE).exists():
        return Record(folder, settings, monitor)
    state = json.loads((folder / _FILE).read_text())
    changed = differences(state.pop("settings"), settings)
    if changed:
        raise UserError(
            f"{folder}: expected a run of the same settings, got {'; '.join(changed)}; "
            "name another --workdir"
        )
    return Record(folder, settings, monitor, **state)
