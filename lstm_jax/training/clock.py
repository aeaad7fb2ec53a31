"""How long a run has taken, over all of its starts."""

import dataclasses
import functools
import time

import jax

from lstm_jax.training.progress import Progress

# Not the tracing: JAX reports that of a function inside another one twice.
_COMPILING = (
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


class Clock:
    """Counts from the moment it is made; JAX itself reports what it compiles."""

    def __init__(self) -> None:
        """Start."""
        self._started = time.perf_counter()
        self._earlier = Progress()
        self._compiled = _compiling().seconds

    def go_on_from(self, progress: Progress) -> None:
        """Add the time of the earlier starts, as a checkpoint gives it."""
        self._earlier = progress

    def working(self) -> float:
        """Seconds since the start of the program, without those spent compiling."""
        return time.perf_counter() - self._started - self._compiling()

    def stamp(self, progress: Progress) -> Progress:
        """``progress`` with the seconds so far."""
        elapsed = time.perf_counter() - self._started
        return dataclasses.replace(
            progress,
            total_seconds=self._earlier.total_seconds + elapsed,
            compile_seconds=self._earlier.compile_seconds + self._compiling(),
        )

    def _compiling(self) -> float:
        return _compiling().seconds - self._compiled


class _Compiling:
    """The seconds that this process has spent compiling."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        """Add what JAX reports."""
        if event in _COMPILING:
            self.seconds += duration_secs


@functools.cache
def _compiling() -> _Compiling:
    """The one of this process: JAX keeps its listeners for ever."""
    compiling = _Compiling()
    jax.monitoring.register_event_duration_secs_listener(compiling.listen)
    return compiling
