"""SIGTERM and SIGINT: the first one ends a run in good order, the second at once.

Only a program installs this (``train.py`` does): importing it changes nothing.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lstm_jax.training.devices import largest

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """Somebody asked the program to stop, and it is about to.

    Not an ``Exception``, as KeyboardInterrupt is none: what handles errors must not
    catch it.

    >>> str(Interrupted(signal.SIGTERM, "step 5 is saved"))
    'Stopped by SIGTERM; step 5 is saved'
    >>> Interrupted(signal.SIGTERM).exit_code
    143
    """

    def __init__(self, number: int, note: str = "") -> None:
        """Take the signal's number, and what the user should know."""
        name = signal.Signals(number).name
        super().__init__(f"Stopped by {name}{'; ' * bool(note)}{note}")
        # What a shell reports of a process that a signal has ended.
        self.exit_code = 128 + number


class Interruption:
    """Whether the run has been asked to stop."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self.number = 0
        self._deferred = False

    def receive(self, number: int, frame: object = None) -> None:
        """Take a signal: remember it where that is asked for, else stop here."""
        del frame
        self.number = number
        if not self._deferred:
            raise Interrupted(number)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Leave it to the code inside to look, and to stop where it likes."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.number:
            raise Interrupted(self.number)

    def agreed(self) -> int:
        """The signal that any host has got, 0 for none; all hosts have to ask."""
        return largest(self.number)


@contextmanager
def handle_signals() -> Iterator[Interruption]:
    """Receive the signals of ``SIGNALS`` inside; the handlers before come back."""
    interruption = Interruption()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with _watched():
        try:
            for number in SIGNALS:
                signal.signal(number, interruption.receive)
            yield interruption
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def _watched() -> Iterator[None]:
    """Read signals in a thread of their own.

    Python runs a handler when the main thread comes back from what it is doing,
    which may be a minute of compiling; this thread answers meanwhile.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(read_end,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write_end)  # the thread reads the end of the file
        thread.join()
        os.close(read_end)


def _watch(read_end: int) -> None:
    """Say that the first signal has come; leave at once at the second."""
    seen = 0
    while byte := os.read(read_end, 1):
        if byte[0] not in SIGNALS:
            continue
        seen += 1
        if seen > 1:
            os._exit(128 + byte[0])
        name = signal.Signals(byte[0]).name
        print(
            f"{name}: stopping as soon as all is saved; a second one stops at once.",
            file=sys.stderr,
            flush=True,
        )
