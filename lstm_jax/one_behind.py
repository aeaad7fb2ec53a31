"""Results are fetched one step late, so that no device waits for the host."""

from collections.abc import Iterator
from typing import TypeVar

_T = TypeVar("_T")


def one_behind(started: Iterator[_T]) -> Iterator[_T]:
    """Hand out each item when the next one has been made.

    Where making one starts a computation and using it waits for the result, the next
    computation is under way by then.

    >>> def start():
    ...     for n in range(3):
    ...         print("start", n)
    ...         yield n
    >>> for n in one_behind(start()):
    ...     print("wait for", n)
    start 0
    start 1
    wait for 0
    start 2
    wait for 1
    wait for 2
    """
    waiting = []
    for item in started:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting
