"""A server of a small model, in this process and on a free port."""

import http.client
import json
import socket
import threading
import time

import uvicorn
from trained import make_predictor

from lstm_jax.serve.app import make_app


class Server:
    """What runs in a thread, and asking it."""

    def __init__(self, predictor):
        self.predictor = predictor
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(make_app(predictor), log_level="error")
        self._server = uvicorn.Server(config)
        run = {"sockets": [self._socket]}
        self._thread = threading.Thread(target=self._server.run, kwargs=run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def close(self):
        self._server.should_exit = True
        self._thread.join(60)

    def ask(self, method, path, body=None, **headers):
        """The status, the headers and what the body says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            kind = answer.headers["content-type"]
            said = json.loads(data) if kind == "application/json" else data.decode()
            return answer.status, answer.headers, said
        finally:
            connection.close()

    def post(self, path, values):
        body = json.dumps(values)
        status, _, said = self.ask("POST", path, body, content_type="application/json")
        return status, said


def serve_small_model():
    """A server of one layer, forward, that reads 16 tokens: for a fixture to yield."""
    settings = {"model.bidirectional": False, "data.max_length": 16}
    running = Server(make_predictor(**settings))
    yield running
    running.close()
