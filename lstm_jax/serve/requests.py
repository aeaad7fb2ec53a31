"""What a request may ask, and refusing all else in a line of JSON."""

import asyncio
import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MOST_BYTES = 1 << 20
MOST_SECONDS = 20  # for a body to come; less than a server that stops waits
MOST_TEXTS = 256
MOST_CHARACTERS = 100_000
MOST_EXPLAINED = 20_000  # characters: each word is left out once


async def read_json(request: Request) -> dict[str, Any]:
    """The object in the body.

    Raises:
      HTTPException: it is not JSON (400, 415), too large (413) or late (408), or not
        all of it came (499).
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(
            415, f"expected content-type application/json, got {kind!r}"
        )
    try:
        async with asyncio.timeout(MOST_SECONDS):
            body = await _read_body(request)
    except TimeoutError as error:
        raise HTTPException(
            408, f"expected the body within {MOST_SECONDS} seconds"
        ) from error
    except ClientDisconnect as error:
        raise HTTPException(499, "expected the whole body") from error
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"expected JSON, got: {error}") from error
    if not isinstance(values, dict):
        raise HTTPException(400, "expected a JSON object")
    return values


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"expected a body of {MOST_BYTES:,} bytes at most")
    return bytes(body)


def one_text(values: dict[str, Any], most: int = MOST_CHARACTERS) -> str:
    """The text of ``{"text": ...}``, of so many characters at most."""
    if set(values) != {"text"}:
        raise HTTPException(400, f'expected {{"text": ...}}, got {_keys(values)}')
    return _text("text", values["text"], most)


def one_or_many(values: dict[str, Any]) -> list[str]:
    """The texts of ``{"text": ...}`` or ``{"texts": [...]}``."""
    if set(values) == {"text"}:
        return [one_text(values)]
    if set(values) != {"texts"}:
        raise HTTPException(
            400, f'expected {{"text": ...}} or {{"texts": [...]}}, got {_keys(values)}'
        )
    texts = values["texts"]
    if not isinstance(texts, list):
        raise HTTPException(400, f"texts: expected a list, got {type(texts).__name__}")
    if len(texts) > MOST_TEXTS:
        raise HTTPException(
            413, f"texts: expected {MOST_TEXTS} at most, got {len(texts):,}"
        )
    return [_text(f"texts[{n}]", text) for n, text in enumerate(texts)]


def _text(name: str, value: Any, most: int = MOST_CHARACTERS) -> str:
    if not isinstance(value, str):
        raise HTTPException(
            400, f"{name}: expected a string, got {type(value).__name__}"
        )
    if len(value) > most:
        raise HTTPException(
            413,
            f"{name}: expected {most:,} characters at most, got {len(value):,}",
        )
    return value


def _keys(values: dict[str, Any]) -> str:
    shown = ", ".join(repr(key[:20]) for key in list(values)[:5])
    return f"the keys {shown}" if shown else "no keys"
