"""The folder of a run: where its files are, and whose run it is."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from lstm_jax.drafts import draft_of
from lstm_jax.errors import UserError
from lstm_jax.training.config import Config, differences, from_dict


class Workdir:
    """The paths of a run's files.

    >>> Workdir(Path("runs/lstm")).summary.name
    'summary.json'
    """

    def __init__(self, path: Path) -> None:
        """Name the files below ``path``; nothing is read or written."""
        self.path = path
        self.lock = path / "lock"
        self.config = path / "config.json"
        self.about = path / "about.json"
        self.tokenizer = path / "tokenizer.json"
        self.ngrams = path / "ngrams.npz"
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.summary = path / "summary.json"
        self.predictions = path / "predictions.npz"
        self.examples = path / "examples.json"
        self.explanations = path / "explanations.npz"
        self.plots = path / "plots"
        self.report = path / "report.html"

    def is_started(self) -> bool:
        """Whether there is a checkpoint or an outcome of these settings."""
        # A folder that is being written has more in its name than a number.
        saved = (path.name.isdigit() for path in self.checkpoints.glob("*"))
        return self.config.exists() and (self.summary.exists() or any(saved))


def claim(workdir: Workdir, settings: dict[str, Any]) -> None:
    """Make ``workdir`` the folder of a run with these settings.

    A run that stopped before its first checkpoint leaves nothing to go on from: its
    folder may be claimed with other settings.

    Raises:
      UserError: it already holds a run with other settings (each one named), or
        it cannot be written.
    """
    if workdir.is_started():
        _check_same(workdir, settings)
        return
    _refuse_strangers(workdir)
    try:
        workdir.path.mkdir(parents=True, exist_ok=True)
        for leftover in _leftovers(workdir):
            leftover.unlink()
        write_json(workdir.config, settings)
    except OSError as error:
        raise UserError(
            f"--workdir {workdir.path}: expected a folder to write to, got: {error}"
        ) from error


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """Read a file that a run wrote.

    Args:
      path: of the file.
      needed: what must stand in it.

    Raises:
      UserError: it cannot be read, is no object of JSON, or lacks something.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected JSON, got: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected an object of JSON, got {values!r:.60}")
    missing = [name for name in needed if name not in values]
    if missing:
        raise UserError(f"{path}: expected {missing[0]!r} in it, got none")
    return values


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` so that a reader sees the old file or the whole new one."""
    text = json.dumps(values, indent=2) + "\n"
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _leftovers(workdir: Workdir) -> list[Path]:
    """What a run writes before its first checkpoint, and after its last."""
    paths = (
        *(workdir.about, workdir.tokenizer, workdir.ngrams, workdir.metrics),
        *(workdir.predictions, workdir.examples, workdir.explanations),
    )
    return [path for path in paths if path.exists()]


def read_settings(workdir: Workdir) -> Config:
    """The settings of the run in a folder.

    Raises:
      UserError: its config.json is damaged, or of a version that knows others.
    """
    settings = read_json(workdir.config)
    try:
        return from_dict(settings)
    except UserError as error:
        raise UserError(f"{workdir.config}: {error}") from error


def _refuse_strangers(workdir: Workdir) -> None:
    """Leave alone what no run of ours has written."""
    found = _leftovers(workdir)
    if workdir.checkpoints.exists():
        found += [p for p in workdir.checkpoints.iterdir() if p.name.isdigit()]
    try:
        if workdir.config.exists():
            read_settings(workdir)
        elif found:
            raise UserError("no config.json")
    except UserError as error:
        names = ", ".join(path.name for path in found[:3]) or workdir.config.name
        raise UserError(
            f"--workdir {workdir.path}: expected a new folder or that of a run, got "
            f"{names} beside: {error}; name another --workdir"
        ) from error


def _check_same(workdir: Workdir, settings: dict[str, Any]) -> None:
    # What an earlier version did not know has its default.
    saved = dataclasses.asdict(read_settings(workdir))
    different = differences(saved, settings)
    if different:
        raise UserError(
            f"--workdir {workdir.path}: expected the settings of the run in it, got "
            f"{'; '.join(different)}; name another --workdir, or use the same settings"
        )
