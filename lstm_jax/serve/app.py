"""The application: which address answers what."""

import asyncio
import base64
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from lstm_jax.explain import explain_text
from lstm_jax.explanations import range_of
from lstm_jax.inference import Predictor
from lstm_jax.measures import verdicts
from lstm_jax.serve.batcher import Batcher, BusyError
from lstm_jax.serve.guard import LOOPBACK, Guard
from lstm_jax.serve.requests import MOST_EXPLAINED, one_or_many, one_text, read_json

logger = logging.getLogger(__name__)

_PAGE = Path(__file__).parent / "page"
_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
# Explanations that may wait: most take about a second.
_MOST_EXPLAINING = 16
_PAUSE = 0.2  # seconds between looks whether those who wait are still there


def make_app(
    predictor: Predictor, host: str = "127.0.0.1", address: str = ""
) -> ASGIApp:
    """The application that serves one model.

    Args:
      predictor: the model.
      host: the name that it is served on.
      address: that the name stands for, "" where it is one; on one of this machine
        alone it answers to the names of this machine alone.
    """
    service = _Service(predictor)
    routes = [
        *(Route(path, _file(name)) for path, name in _FILES.items()),
        Route("/health", service.health),
        Route("/predict", service.predict, methods=["POST"]),
        Route("/explain", service.explain, methods=["POST"]),
    ]
    alone = _is_loopback(address or host)
    names = LOOPBACK | {host.lower(), f"[{host.lower()}]"} if alone else frozenset()
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _refuse,
            BusyError: _busy,
            Exception: _failed,
        },
        lifespan=service.lifespan,
    )
    # Around all of it: also the answer to what went wrong gets the headers.
    return Guard(app, names)


class _Service:
    """One model, and who waits for it."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._logits = Batcher(predictor.logits)
        self._explaining = 0
        self._one_at_a_time = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """While the application runs."""
        del app
        # Compiled before anybody asks, if nobody asks at once.
        stop = threading.Event()
        warm_up = self._predictor.until(stop).warm_up
        warming = asyncio.create_task(asyncio.to_thread(warm_up))
        answering = asyncio.create_task(self._logits.run())
        yield
        stop.set()
        answering.cancel()
        await asyncio.gather(answering, warming, return_exceptions=True)

    async def health(self, request: Request) -> Response:
        """Whether it answers, and what it is."""
        del request
        about = self._predictor.loaded.about._asdict()
        return JSONResponse({"status": "ok", **about})

    async def predict(self, request: Request) -> Response:
        """Classify one text or many."""
        values = await read_json(request)
        texts = one_or_many(values)
        logits = await self._logits(texts)
        found = verdicts(logits, self._predictor.label_names)
        return JSONResponse(found[0] if "text" in values else {"predictions": found})

    async def explain(self, request: Request) -> Response:
        """Explain one text."""
        text = one_text(await read_json(request), MOST_EXPLAINED)
        if self._explaining >= _MOST_EXPLAINING:
            raise BusyError
        self._explaining += 1
        try:
            if not await self._has_turn(request):
                return Response(status_code=499)
            try:
                return await self._explained(request, text)
            finally:
                self._one_at_a_time.release()
        finally:
            self._explaining -= 1

    async def _explained(self, request: Request, text: str) -> Response:
        """The explanation, given up when nobody waits for it: a long one takes long."""
        stop = threading.Event()
        found = asyncio.create_task(asyncio.to_thread(self._explain, text, stop))
        try:
            while not found.done():
                await asyncio.wait([found], timeout=_PAUSE)
                if await request.is_disconnected():
                    return Response(status_code=499)
            return JSONResponse(found.result())
        except asyncio.CancelledError:  # the server has waited long enough
            return JSONResponse({"error": "the server was stopped"}, 503)
        finally:
            stop.set()
            await asyncio.gather(found, return_exceptions=True)

    async def _has_turn(self, request: Request) -> bool:
        """Wait for one's turn; False as soon as nobody waits for the answer.

        Who types on leaves at every pause, and would fill all places.
        """
        turn, left = asyncio.create_task(self._one_at_a_time.acquire()), True
        try:
            while not turn.done():
                await asyncio.wait([turn], timeout=_PAUSE)
                if await request.is_disconnected():
                    return False
            left = False
            return True
        finally:
            if left:
                turn.add_done_callback(self._give_turn_back)
                turn.cancel()

    def _give_turn_back(self, turn: asyncio.Task[bool]) -> None:
        """It may have come just before it was cancelled."""
        if not turn.cancelled():
            self._one_at_a_time.release()

    def _explain(self, text: str, stop: threading.Event) -> dict[str, Any]:
        found = explain_text(self._predictor.until(stop), text)
        gates = {name: _picture(name, x) for name, x in found.reading.gates.items()}
        return {**found.to_json(self._predictor.label_names), "gates": gates}


def _picture(name: str, values: np.ndarray) -> dict[str, Any]:
    """``values [T, H]`` in 256 steps from ``low`` to ``high``, a byte each."""
    low, high = range_of(name, values)
    steps = np.clip((values - low) / (high - low) * 255, 0, 255).round()
    data = base64.b64encode(steps.astype(np.uint8).tobytes()).decode("ascii")
    return {"low": low, "high": high, "units": values.shape[1], "values": data}


def _file(name: str) -> Any:
    async def send(request: Request) -> Response:
        """A file of the page."""
        del request
        return FileResponse(_PAGE / name)

    return send


def _is_loopback(host: str) -> bool:
    """Whether it is an address of this machine alone.

    >>> _is_loopback("127.0.0.2"), _is_loopback("::ffff:127.0.0.1")
    (True, True)
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback


async def _refuse(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _busy(request: Request, error: Exception) -> Response:
    del request, error
    problem = {"error": "too many texts are waiting; try again"}
    return JSONResponse(problem, 503, {"retry-after": "1"})


async def _failed(request: Request, error: Exception) -> Response:
    logger.error("%s failed", request.url.path, exc_info=error)
    return JSONResponse({"error": "this went wrong here, not there"}, 500)
