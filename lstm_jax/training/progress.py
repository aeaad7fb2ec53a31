"""How far a run is: what is counted on the host, as a value."""

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Sums over the steps since the last line in the log."""

    loss: float = 0.0
    correct: float = 0.0
    count: float = 0.0
    tokens: int = 0
    seconds: float = 0.0

    def plus(self, **sums: float) -> "Tally":
        """Add to the fields named.

        >>> Tally(count=2.0).plus(count=1.0).count
        3.0
        """
        return dataclasses.replace(
            self, **{name: getattr(self, name) + value for name, value in sums.items()}
        )

    def means(self) -> dict[str, float]:
        """Loss and accuracy a review, 0 of none, and tokens a second."""
        return {
            "loss": self.loss / max(self.count, 1.0),
            "accuracy": self.correct / max(self.count, 1.0),
            "tokens_per_second": self.tokens / max(self.seconds, 1e-9),
        }


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands; saved with every checkpoint.

    Attributes:
      data: the digest of the reviews that the run learns from.
      step: steps taken.
      epochs: epochs finished.
      best_epoch: the epoch of the best validation so far, counted from 1; 0 is none.
      best_val: its loss and accuracy.
      stale_epochs: epochs since then.
      train_seconds: spent in training steps without compiling, over all starts of
        the run.
      wait_seconds: of these, those in which the device may have waited for a batch.
      total_seconds: spent in all, over all starts of the run.
      compile_seconds: of that, spent compiling.
      skipped_steps: of the steps taken, those that were not finite.
      skipped_in_a_row: of these, those since the last finite one.
      tally: sums that are not in the log yet.
    """

    data: str = ""
    step: int = 0
    epochs: int = 0
    best_epoch: int = 0
    best_val: dict[str, float] = dataclasses.field(default_factory=dict)
    stale_epochs: int = 0
    train_seconds: float = 0.0
    wait_seconds: float = 0.0
    total_seconds: float = 0.0
    compile_seconds: float = 0.0
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    tally: Tally = Tally()

    @property
    def input_wait_share(self) -> float:
        """Of the seconds of training steps, those spent waiting for a batch at most.

        >>> Progress(train_seconds=4.0, wait_seconds=1.0).input_wait_share
        0.25
        """
        return self.wait_seconds / max(self.train_seconds, 1e-9)

    def after_skip(self) -> "Progress":
        """Count a step that was not finite, and has changed nothing.

        >>> Progress(step=3, skipped_steps=1).after_skip().skipped_steps
        2
        """
        return dataclasses.replace(
            self,
            step=self.step + 1,
            skipped_steps=self.skipped_steps + 1,
            skipped_in_a_row=self.skipped_in_a_row + 1,
        )

    def after_epoch(self, val: dict[str, float], monitor: str) -> "Progress":
        """Count an epoch that scored ``val`` on validation.

        Args:
          val: loss and accuracy.
          monitor: "loss" (lower is better) or "accuracy" (higher is better).

        >>> start = Progress().after_epoch({"loss": 0.5, "accuracy": 0.8}, "loss")
        >>> worse = start.after_epoch({"loss": 0.6, "accuracy": 0.9}, "loss")
        >>> worse.best_epoch, worse.stale_epochs
        (1, 1)
        """
        epoch = self.epochs + 1
        sign = {"loss": -1.0, "accuracy": 1.0}[monitor]
        if not self.best_val or sign * val[monitor] > sign * self.best_val[monitor]:
            return dataclasses.replace(
                self, epochs=epoch, best_epoch=epoch, best_val=val, stale_epochs=0
            )
        return dataclasses.replace(
            self, epochs=epoch, stale_epochs=self.stale_epochs + 1
        )

    def finished(self, *, epochs: int, patience: int) -> bool:
        """Whether to stop: all epochs are done, or patience has run out."""
        return self.epochs >= epochs or 0 < patience <= self.stale_epochs

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Progress":
        """The inverse of ``to_json``.

        >>> Progress.from_json(Progress(step=3).to_json()) == Progress(step=3)
        True
        """
        return cls(**{**values, "tally": Tally(**values["tally"])})
