"""The HTTP/1.1 server itself: pipelining, limits, bad input, the live feed."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.sandbox.box import ACCOUNT, Box
from tests.waiting import PATIENCE_S, until
from tocsin.devkit.sandbox.viewer import BEAT_S
from tocsin.devkit.sandbox.wire import form_of

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def wire(box: Box) -> Iterator[socket.socket]:
    host, _, port = box.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_it_is_healthy(box: Box) -> None:
    assert box.http.get("/healthz").json() == {"status": "ok"}


def test_pipelined_requests_are_answered_in_order(box: Box, wire: socket.socket) -> None:
    box.order({"kind": "latency", "latency_ms": 200}, match={"provider": "twilio"})
    body = b"To=%2B4915112345678&From=%2B15005550006&Body=Hello"
    login = base64.b64encode(f"{ACCOUNT}:token".encode())
    slow = (
        b"POST /twilio/2010-04-01/Accounts/%s/Messages.json HTTP/1.1\r\nhost: x\r\n"
        b"authorization: Basic %s\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        b"content-length: %d\r\n\r\n%s"
    ) % (ACCOUNT.encode(), login, len(body), body)
    last = GET.replace(b"host: x", b"host: x\r\nconnection: close")
    wire.sendall(GET + slow + GET + last)
    answers = read_all(wire).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"201", b"200", b"200"]


def test_a_client_can_be_asked_for_a_new_connection(box: Box) -> None:
    box.order({"kind": "leave"}, count=1)
    answer = box.twilio()
    assert (answer.status_code, answer.headers["connection"]) == (201, "close")
    again = box.twilio()
    assert again.status_code == 201
    assert "connection" not in again.headers


def test_a_request_in_pieces_is_put_together(wire: socket.socket) -> None:
    for byte in GET.replace(b"host: x", b"host: x\r\nconnection: close"):
        wire.sendall(bytes([byte]))
    assert read_all(wire).startswith(b"HTTP/1.1 200 OK\r\n")


def test_what_is_not_http_is_refused(wire: socket.socket) -> None:
    wire.sendall(b"EHLO sandbox\r\n\r\n")
    assert read_all(wire).startswith(b"HTTP/1.1 400")


def test_a_cautious_client_is_told_to_go_on(wire: socket.socket) -> None:
    lines = [b"POST /faults HTTP/1.1", b"host: x", b"expect: 100-continue", b"connection: close"]
    head = b"\r\n".join([*lines, b"content-length: 2", b"", b""])
    wire.sendall(head)
    assert wire.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.sendall(b"{}")
    assert read_all(wire).startswith(b"HTTP/1.1 400")


def test_a_body_beyond_the_limit_is_refused(box: Box) -> None:
    answer = box.http.post("/sendgrid/v3/mail/send", content=b"x" * (32 * 1024 * 1024 + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/nothing", "/sent/1/2", "/mail/x", "/sent/²", "/../server.py", "/static/main.js"]
)
def test_unknown_paths_are_not_found(box: Box, path: str) -> None:
    assert box.http.get(path).status_code == 404
    assert box.http.post(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/main.js", "/base.css", "/bell.svg"])
def test_the_viewers_files_allow_nothing_from_elsewhere(box: Box, path: str) -> None:
    answer = box.http.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http://www.w3.org/", "")
    assert "https://" not in answer.text


def test_a_mail_can_run_and_fetch_nothing(box: Box) -> None:
    box.sendgrid()
    seq = box.sent()[0]["seq"]
    answer = box.http.get(f"/mail/{seq}")
    assert answer.text == "<p>Gate <b>12</b></p>"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "script-src" not in policy
    box.twilio()
    assert box.http.get(f"/mail/{seq + 1}").status_code == 404


async def _events(box: Box, wanted: int, act: Any) -> list[tuple[str, Any]]:
    """Follow the feed while something is done, until so many events came."""
    events: list[tuple[str, Any]] = []
    async with (
        httpx2.AsyncClient(base_url=box.url, timeout=PATIENCE_S) as client,
        client.stream("GET", "/live") as feed,
    ):
        assert feed.headers["content-type"] == "text/event-stream"
        name = ""
        async for line in feed.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                events.append((name, json.loads(line[6:])))
                if len(events) == 1:
                    await asyncio.to_thread(act)
            if len(events) == wanted:
                break
    return events


async def test_the_feed_tells_where_it_stands_and_what_comes(box: Box) -> None:
    hello, sent = await _events(box, 2, box.twilio)
    assert hello[0] == "hello"
    assert sent[0] == "sent"
    (message,) = sent[1]["messages"]
    assert (message["channel"], message["title"], sent[1]["missed"]) == ("sms", "Hello", 0)
    assert message["seq"] == hello[1]["seq"] + 1
    assert sent[1]["counts"] == [{"provider": "twilio", "channel": "sms", "status": "accepted", "calls": 1}]


async def test_what_comes_too_fast_is_counted_not_sent_along(box: Box) -> None:
    parts = [{"to": [{"email": f"p{number}@example.com"}]} for number in range(300)]
    mail = {
        "personalizations": parts,
        "from": {"email": "a@example.org"},
        "subject": "s",
        "content": [{"type": "text/plain", "value": "t"}],
    }
    _, sent = await _events(box, 2, lambda: box.sendgrid(mail))
    assert len(sent[1]["messages"]) == 50
    assert sent[1]["missed"] == 250


async def test_the_feed_tells_when_everything_is_forgotten(box: Box) -> None:
    events = await _events(box, 2, lambda: box.http.delete("/sent"))
    assert events[1] == ("cleared", {})


async def test_what_was_forgotten_before_the_feed_told_of_it_is_never_told(box: Box) -> None:
    """The feed gathers for a quarter of a second."""

    def act() -> None:
        box.twilio(Body="forgotten")
        box.http.delete("/sent")
        until(lambda: time.monotonic() > began + 2 * BEAT_S)
        box.twilio(Body="kept")

    began = time.monotonic()
    _, cleared, sent = await _events(box, 3, act)
    assert cleared[0] == "cleared"
    assert [message["title"] for message in sent[1]["messages"]] == ["kept"]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", {}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a=&b", {"a": [""], "b": [""]}),
        ("t=%C3%BC+%2B+%26", {"t": ["ü + &"]}),
    ],
)
def test_forms_are_read(text: str, form: dict[str, list[str]]) -> None:
    assert form_of(text) == form
