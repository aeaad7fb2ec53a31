"""``lstm-jax serve`` in a process of its own: it starts, answers, and stops."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from trained import make_trained

from lstm_jax.cli.main import main
from lstm_jax.export import export_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "model.zip"
    settings = {"model.cell": "rnn", "model.bidirectional": False}
    export_model(make_trained(**settings, **{"data.max_length": 16}), path)
    return str(path)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_what_was_asked_before_it_stops(model, stop):
    command = [sys.executable, "-m", "lstm_jax", "--no-prepare-host", "serve"]
    running = subprocess.Popen(
        [*command, "--model", model, "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stderr=subprocess.PIPE,
        text=True,
    )
    line = running.stderr.readline()
    port = int(
        re.fullmatch(r"http://127\.0\.0\.1:(\d+) \(Ctrl-C stops it\)\n", line)[1]
    )
    body, answers = json.dumps({"texts": ["great film"] * 200}), []
    headers = {"content-type": "application/json"}
    connections = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(20)]
    first = connections.pop()
    first.request("POST", "/predict", body, headers)
    assert first.getresponse().status == 200

    def read(connection):
        answers.append(connection.getresponse().status)

    for connection in connections:
        connection.request("POST", "/predict", body, headers)
    readers = [threading.Thread(target=read, args=[c]) for c in connections]
    for reader in readers:
        reader.start()
    # Connections are taken in their order: the others have been read by now.
    last = http.client.HTTPConnection("127.0.0.1", port)
    last.request("GET", "/health")
    assert last.getresponse().status == 200
    running.send_signal(stop)
    for reader in readers:
        reader.join(60)
    assert answers == [200] * 19
    assert running.wait(60) == 0
    assert running.stderr.read() == "Stopped.\n"


def test_a_port_that_is_taken(model, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--model", model, "--port", port]) == 2
    err = capsys.readouterr().err
    assert f"--port {port}: expected a free address" in err and err.count("\n") == 1


def test_without_its_libraries_it_says_what_to_install(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--model", model, "--port", "0"]) == 2
    assert 'pip install -e ".[serve]"' in capsys.readouterr().err
