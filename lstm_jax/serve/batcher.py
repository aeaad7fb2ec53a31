"""Texts of many requests, judged together."""

import asyncio
from collections.abc import Callable

import numpy as np

# Texts that are judged at once, and that may wait for their turn.
_MOST_TOGETHER = 512
_MOST_WAITING = 8192


class BusyError(Exception):
    """More texts are waiting than should."""


class Batcher:
    """Asks one question at a time, with all the texts that came in meanwhile."""

    def __init__(self, ask: Callable[[list[str]], np.ndarray]) -> None:
        """Ask by ``ask(texts) -> [N, ...]``, in a thread of its own."""
        self._ask = ask
        self._waiting: list[tuple[list[str], asyncio.Future[np.ndarray]]] = []
        self._came = asyncio.Event()

    async def __call__(self, texts: list[str]) -> np.ndarray:
        """The rows of ``texts``.

        Raises:
          BusyError: too many texts wait already.
        """
        if sum(len(others) for others, _ in self._waiting) > _MOST_WAITING:
            raise BusyError
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((texts, answer))
        self._came.set()
        return await answer

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._came.wait()
            group = self._take()
            texts = [text for some, _ in group for text in some]
            try:
                rows = await asyncio.to_thread(self._ask, texts)
            except Exception as error:  # each of those who asked has to learn of it
                for _, answer in group:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for some, answer in group:
                if not answer.done():  # whoever asked may have gone
                    answer.set_result(rows[: len(some)])
                rows = rows[len(some) :]

    def _take(self) -> list[tuple[list[str], asyncio.Future[np.ndarray]]]:
        """The requests whose turn it is: one, and as many as fit."""
        count, total = 0, 0
        for texts, _ in self._waiting:
            total += len(texts)
            if count and total > _MOST_TOGETHER:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        if not self._waiting:
            self._came.clear()
        return group
