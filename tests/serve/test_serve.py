"""The server: right answers, also to many at once, and clear refusals."""

import asyncio
import base64
import concurrent.futures
import json
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from served import serve_small_model
from starlette.exceptions import HTTPException
from trained import TEXTS, make_predictor

from lstm_jax.inference import GivenUpError
from lstm_jax.serve import app as app_module
from lstm_jax.serve import batcher, requests
from lstm_jax.serve.batcher import Batcher, BusyError
from lstm_jax.serve.requests import (
    MOST_BYTES,
    MOST_CHARACTERS,
    MOST_EXPLAINED,
    MOST_TEXTS,
)

JSON = {"content_type": "application/json"}
MANY = 10_000  # batches: some seconds


@pytest.fixture(scope="module")
def server():
    yield from serve_small_model()


def chances(said):
    return [list(one["probabilities"].values()) for one in said]


def test_one_text_and_many(server):
    expected = server.predictor.probabilities(TEXTS)
    status, many = server.post("/predict", {"texts": TEXTS})
    assert status == 200
    np.testing.assert_allclose(chances(many["predictions"]), expected, atol=1e-6)
    status, one = server.post("/predict", {"text": TEXTS[1]})
    assert status == 200
    np.testing.assert_allclose(chances([one]), expected[1:2], atol=1e-6)
    assert one["label"] == server.predictor.label_names[int(expected[1].argmax())]
    assert one["probability"] == max(one["probabilities"].values())


def test_no_texts_and_odd_texts(server):
    assert server.post("/predict", {"texts": []}) == (200, {"predictions": []})
    for text in ("", " ", "\ud83d half", "\0", "<br />", "zebra " * 2000):
        assert server.post("/predict", {"text": text})[0] == 200
        assert server.post("/explain", {"text": text})[0] == 200


def test_an_explanation_has_all_that_the_page_shows(server):
    status, said = server.post("/explain", {"text": TEXTS[0]})
    assert status == 200
    assert (said["for"], said["against"]) == ("good", "bad")
    words = said["words"]
    assert [TEXTS[0][w["start"] : w["end"]] for w in words][:3] == ["A", "great", ","]
    last = [w for w in words if w["so_far"]][-1]
    assert last["so_far"]["good"] == pytest.approx(said["probabilities"]["good"], 1e-5)
    gate = said["gates"]["f"]
    assert (gate["low"], gate["high"], gate["units"]) == (0.0, 1.0, 5)


@pytest.mark.parametrize(
    ("name", "highest", "expected"),
    [
        *(("f", 0.25, (0.0, 1.0)), ("h", 0.25, (-1.0, 1.0)), ("h", 3.0, (-3.0, 3.0))),
        *(("c", 0.25, (-0.25, 0.25)), ("c", 3.0, (-3.0, 3.0))),
    ],
)
def test_the_picture_of_a_gate_holds_all_that_it_does(name, highest, expected):
    """The state of a cell with a projection, or a ReLU, goes beyond 1."""
    values = np.random.default_rng(0).uniform(0, highest, size=(4, 5))
    values[2, 3] = highest
    found = app_module._picture(name, values)
    low, high = found["low"], found["high"]
    assert (low, high) == expected
    steps = np.frombuffer(base64.b64decode(found["values"]), np.uint8).reshape(4, 5)
    np.testing.assert_allclose(
        low + steps / 255 * (high - low), values, atol=high / 200
    )


def test_health(server):
    status, _, said = server.ask("GET", "/health")
    assert status == 200
    assert said["status"] == "ok" and said["label_names"] == ["bad", "good"]


BAD = {
    "not JSON": (b"{", JSON, 400, "expected JSON"),
    "not UTF-8": (b'{"text": "\xff"}', JSON, 400, "expected JSON"),
    "nested too deep": (b"[" * 100_000, JSON, 400, "expected JSON"),
    "a list": (b"[]", JSON, 400, "expected a JSON object"),
    "no text": (b"{}", JSON, 400, "got no keys"),
    "another key": (b'{"review": "x"}', JSON, 400, "got the keys 'review'"),
    "both": (b'{"text": "x", "texts": []}', JSON, 400, "'text', 'texts'"),
    "a number": (b'{"text": 1}', JSON, 400, "text: expected a string, got int"),
    "no list": (b'{"texts": "x"}', JSON, 400, "texts: expected a list, got str"),
    "null inside": (
        b'{"texts": ["x", null]}',
        JSON,
        400,
        "texts[1]: expected a string",
    ),
    "too many": (
        json.dumps({"texts": ["x"] * (MOST_TEXTS + 1)}).encode(),
        JSON,
        413,
        f"texts: expected {MOST_TEXTS} at most",
    ),
    "too long": (
        json.dumps({"text": "x" * (MOST_CHARACTERS + 1)}).encode(),
        JSON,
        413,
        "characters at most, got 100,001",
    ),
    "too large": (b" " * (MOST_BYTES + 1), JSON, 413, "expected a body of 1,048,576"),
    "a form": (
        b"text=x",
        {"content_type": "application/x-www-form-urlencoded"},
        415,
        "expected content-type application/json",
    ),
    "no type": (b'{"text": "x"}', {}, 415, "expected content-type application/json"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_bad_requests_are_refused_in_json(server, path, kind):
    body, headers, status, message = BAD[kind]
    if path == "/explain" and kind in ("both", "no list", "null inside", "too many"):
        status, message = 400, "expected"
    found, answered, said = server.ask("POST", path, body, **headers)
    assert found == status
    assert set(said) == {"error"} and message in said["error"]
    assert answered["x-content-type-options"] == "nosniff"


def test_of_a_text_that_would_take_long_nothing_is_explained(server):
    text = "x" * (MOST_EXPLAINED + 1)
    assert server.post("/predict", {"text": text})[0] == 200
    status, said = server.post("/explain", {"text": text})
    assert status == 413 and "expected 20,000 characters at most" in said["error"]


def test_addresses_and_methods_that_are_none(server):
    assert server.ask("GET", "/nothing")[0] == 404
    assert server.ask("GET", "/page/../app.py")[0] == 404
    status, headers, said = server.ask("GET", "/predict")
    assert (status, headers["allow"], set(said)) == (405, "POST", {"error"})


def test_headers_that_browsers_hold_the_page_to(server):
    for path in ("/", "/page.js", "/page.css", "/health", "/nothing"):
        headers = server.ask("GET", path)[1]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["access-control-allow-origin"] is None


def asked_for(app, name):
    """The status of the answer to one who asks for this name."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.disconnect"}

    headers = [(b"host", f"{name}:8000".encode())]
    scope = {"type": "http", "method": "GET", "path": "/health", "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize(("host", "status"), [("127.0.0.2", 200), ("127.0.0.3", 421)])
def test_the_address_that_it_is_served_on_is_a_name(server, host, status):
    app = app_module.make_app(server.predictor, "127.0.0.2")
    assert asked_for(app, host) == status


@pytest.mark.parametrize(
    ("host", "address", "status"),
    [
        *(("LOCALHOST", "", 421), ("box", "127.0.1.1", 421), ("::1", "", 421)),
        *(("0:0:0:0:0:0:0:1", "::1", 421), ("::ffff:127.0.0.1", "", 421)),
        *(("0.0.0.0", "", 200), ("box", "192.0.2.1", 200)),
    ],
)
def test_strangers_names_are_refused_however_this_machine_was_named(
    server, host, address, status
):
    app = app_module.make_app(server.predictor, host, address)
    assert asked_for(app, "evil.example") == status
    assert asked_for(app, f"[{host}]" if ":" in host else host) == 200


def test_another_name_than_that_of_this_machine_is_refused(server):
    assert server.ask("GET", "/health", Host="evil.example")[0] == 421
    assert server.ask("GET", "/", Host="localhost.evil.example:80")[0] == 421
    for name in ("localhost", "127.0.0.1:8000", "[::1]:9", "LOCALHOST:1"):
        assert server.ask("GET", "/health", Host=name)[0] == 200


def test_hundreds_at_once_are_all_answered_and_none_wrong(server):
    texts = [f"{TEXTS[n % len(TEXTS)]} {'great awful '[: n % 13]}" for n in range(300)]
    expected = server.predictor.probabilities(texts)

    def ask(number):
        if number % 10 == 7:  # a bad one
            return server.post("/predict", {"text": number})
        if number % 10 == 3:
            return server.post("/predict", {"texts": texts[number : number + 5]})
        return server.post("/predict", {"text": texts[number]})

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, range(300)))
    for number, (status, said) in enumerate(answers):
        if number % 10 == 7:
            assert status == 400 and "expected a string" in said["error"]
            continue
        assert status == 200
        found = chances(said["predictions"] if number % 10 == 3 else [said])
        wanted = expected[number : number + len(found)]
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_failure_is_a_line_of_json(server, monkeypatch, caplog):
    def fail(texts):
        raise RuntimeError("a secret")

    monkeypatch.setattr(app_module, "explain_text", fail)
    status, headers, said = server.ask("POST", "/explain", '{"text": "x"}', **JSON)
    assert status == 500 and "secret" not in said["error"]
    assert headers["x-content-type-options"] == "nosniff"
    assert server.ask("GET", "/health")[0] == 200


def send(server, path, body, length):
    """An open connection that has sent so much of a request."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
    return connection


def test_who_leaves_within_a_request_is_nobodys_failure(server, caplog):
    with send(server, "/predict", '{"te', 100):
        pass
    time.sleep(0.5)
    assert server.ask("GET", "/health")[0] == 200
    assert caplog.text == ""


def test_a_body_that_does_not_come_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(requests, "MOST_SECONDS", 0.3)
    with send(server, "/predict", '{"te', 100) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_who_types_on_gives_the_place_back(server, monkeypatch):
    """Two places: one explains, one belongs to somebody who has left."""
    begun, go_on, real = threading.Event(), threading.Event(), app_module.explain_text

    def explain(predictor, text):
        begun.set()
        go_on.wait(60)
        return real(predictor, text)

    monkeypatch.setattr(app_module, "explain_text", explain)
    monkeypatch.setattr(app_module, "_MOST_EXPLAINING", 2)
    monkeypatch.setattr(app_module, "_PAUSE", 0.02)
    body = '{"text": "great"}'
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.post, "/explain", {"text": "great film"})
        begun.wait(60)
        with send(server, "/explain", body, len(body)):
            time.sleep(0.3)
        time.sleep(1.0)
        last = pool.submit(server.post, "/explain", {"text": "awful film"})
        time.sleep(0.3)
        go_on.set()
        assert (first.result()[0], last.result()[0]) == (200, 200)
    assert server.post("/explain", {"text": "great"})[0] == 200


def test_who_leaves_ends_what_is_computed_for_him(server, monkeypatch, caplog):
    """A long text takes a minute, and the next one waits for it."""
    begun, ended = threading.Event(), threading.Event()

    def explain(predictor, text):
        try:
            for _ in range(MANY):
                predictor.logits(["great"])
                begun.set()
        except GivenUpError:
            ended.set()
            raise

    monkeypatch.setattr(app_module, "_PAUSE", 0.02)
    body = '{"text": "great"}'
    with monkeypatch.context() as patch:
        patch.setattr(app_module, "explain_text", explain)
        with send(server, "/explain", body, len(body)):
            assert begun.wait(60)
        assert ended.wait(60)
    assert server.post("/explain", {"text": "great"})[0] == 200
    assert caplog.text == ""


def test_a_server_that_is_stopped_says_so_to_who_waits(monkeypatch):
    """The server cancels what it has waited for in vain."""
    begun, ended = threading.Event(), threading.Event()

    def explain(predictor, text):
        begun.set()
        try:
            for _ in range(MANY):
                predictor.logits([text])
        except GivenUpError:
            ended.set()
            raise

    monkeypatch.setattr(app_module, "explain_text", explain)
    service = app_module._Service(make_predictor())

    async def stopped():
        asked = asyncio.create_task(service._explained(Asking(), "great"))
        await asyncio.to_thread(begun.wait, 60)
        asked.cancel()
        return await asked

    answer = run(stopped())
    assert answer.status_code == 503 and ended.is_set()
    assert json.loads(answer.body) == {"error": "the server was stopped"}


class Asking:
    """A request of somebody who stays."""

    async def is_disconnected(self):
        return False


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


def test_texts_that_come_together_are_asked_together():
    asked = []

    def ask(texts):
        asked.append(len(texts))
        return np.array([len(text) for text in texts])

    async def many():
        ask_all = Batcher(ask)
        running = asyncio.create_task(ask_all.run())
        given = [["a" * n] * (n % 4) for n in range(200)]
        found = await asyncio.gather(*map(ask_all, given))
        running.cancel()
        return given, found

    given, found = run(many())
    for texts, lengths in zip(given, found, strict=True):
        assert lengths.tolist() == [len(text) for text in texts]
    assert sum(asked) == 300 and len(asked) < 5


def test_a_failure_reaches_those_who_asked_and_no_others():
    def ask(texts):
        if "bad" in texts:
            raise ValueError("bad")
        return np.zeros(len(texts))

    async def both():
        ask_all = Batcher(ask)
        running = asyncio.create_task(ask_all.run())
        with pytest.raises(ValueError, match="bad"):
            await ask_all(["bad"])
        answer = await ask_all(["good"])
        running.cancel()
        return answer

    assert run(both()).tolist() == [0.0]


def test_too_many_waiting_are_refused(monkeypatch):
    monkeypatch.setattr(batcher, "_MOST_WAITING", 10)

    async def flood():
        ask_all = Batcher(lambda texts: np.zeros(len(texts)))
        first = asyncio.create_task(ask_all(["x"] * 11))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await ask_all(["y"])
        running = asyncio.create_task(ask_all.run())
        await first
        running.cancel()

    run(flood())


def test_busy_says_when_to_come_again():
    answer = asyncio.run(app_module._busy(None, BusyError()))
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    refused = asyncio.run(app_module._refuse(None, HTTPException(413, "much")))
    assert refused.status_code == 413


def test_the_page_fetches_from_its_own_server_alone():
    page = Path(app_module.__file__).parent / "page"
    for file in page.iterdir():
        text = file.read_text(encoding="utf-8").replace(
            "http://www.w3.org/2000/svg", ""
        )
        assert "http" not in text
