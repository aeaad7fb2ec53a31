"""``lstm-jax serve``: the page and the JSON interface, until it is stopped."""

import argparse
import errno
import signal
import socket
import sys
from types import FrameType

from lstm_jax.cli.model import load_predictor
from lstm_jax.errors import UserError, reason

# Seconds for the requests that are being answered when it is stopped.
_PATIENCE = 30


def run(options: argparse.Namespace) -> None:
    """Serve; Ctrl-C and SIGTERM end it, after what was asked is answered."""
    try:
        import uvicorn

        from lstm_jax.serve.app import make_app
    except ModuleNotFoundError as error:
        raise UserError(
            f"serve: expected starlette and uvicorn, got no {error.name}; "
            'pip install -e ".[serve]", where the code is'
        ) from error
    with _listen(options.host, options.port) as listening:
        address = listening.getsockname()[0]
        app = make_app(load_predictor(options), options.host, address)
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
        host, port = listening.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        print(f"http://{name}:{port} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        signal.signal(signal.SIGTERM, _stopped)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            pass  # the server has stopped when it passes this on
    print("Stopped.", file=sys.stderr)


def _listen(host: str, port: int) -> socket.socket:
    """An open port; whether it is free is known before a model is loaded."""
    if not host:  # would be every address there is
        raise UserError("--host: expected an address of this machine, got ''")
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=kind, backlog=2048)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        hint = "; name another --port" if taken else ""
        raise UserError(
            f"--host {host} --port {port}: expected a free address, got: "
            f"{reason(error)}{hint}"
        ) from error


def _stopped(number: int, frame: FrameType | None) -> None:
    """SIGTERM, which the server passes on once it has stopped."""
    del number, frame
    raise KeyboardInterrupt
