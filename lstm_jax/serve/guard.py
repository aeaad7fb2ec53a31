"""Headers that browsers hold a page to, and the name that it is asked by."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        """Answer those who ask for one of ``names``; for any name if there are none.

        A page of a stranger can have its own name lead to this machine; what it then
        asks for is that name.
        """
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            """Add the headers."""
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._app
        if (
            self._names
            and _name(Headers(scope=scope).get("host", "")) not in self._names
        ):
            app = JSONResponse({"error": "expected the name of this machine"}, 421)
        await app(scope, receive, send_guarded)


def _name(host: str) -> str:
    """``host`` without its port.

    >>> _name("[::1]:8000"), _name("localhost")
    ('[::1]', 'localhost')
    """
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()
