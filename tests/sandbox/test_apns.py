"""APNs' contract over HTTP/2, with pyjwt as the signer."""

import asyncio
import contextlib
import json
import socket
import ssl
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError
from pyreqwest.response import Response

from tests.sandbox.box import DEVICE, MESSAGE_ID, Box, start
from tests.waiting import PATIENCE_S

ALERT = {"aps": {"alert": {"title": "Boarding", "body": "Gate 12"}, "badge": 3}, "flight": "UA1545"}


def provider_token(folder: Path, *, age_s: int = 0, kid: str = "TOCSIN0KEY", **claims: Any) -> str:
    body = {"iss": "TOCSINTEAM", "iat": int(time.time()) - age_s} | claims
    return jwt.encode(body, (folder / "apns.p8").read_text(), "ES256", headers={"kid": kid})


class Apple:
    """One HTTP/2 connection to the sandbox."""

    def __init__(self, box: Box, **options: Any) -> None:
        self.http = httpx2.Client(base_url=box.h2, http1=False, http2=True, timeout=PATIENCE_S, **options)
        self.token = provider_token(box.folder)

    def push(self, device: str = DEVICE, payload: object = ALERT, **headers: str | None) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        right: dict[str, str | None] = {
            "authorization": f"bearer {self.token}",
            "apns-topic": "org.example.fly",
            "apns-push-type": "alert",
            "apns-id": str(uuid.UUID(MESSAGE_ID)),
        }
        sent = {name: value for name, value in (right | named).items() if value is not None}
        return self.http.post(f"/3/device/{device}", content=content, headers=sent)


@pytest.fixture
def apple(box: Box) -> Iterator[Apple]:
    client = Apple(box)
    with client.http:
        yield client


def test_a_right_push_is_accepted_and_recorded(box: Box, apple: Apple) -> None:
    answer = apple.push()
    assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, b"")
    assert answer.headers["apns-id"] == str(uuid.UUID(MESSAGE_ID))
    (record,) = box.send_log()
    assert (record["message_id"], record["recipient"], record["provider"]) == (MESSAGE_ID, DEVICE, "apns")


def test_the_push_is_shown_as_the_phone_would(box: Box, apple: Apple) -> None:
    apple.push(apns_collapse_id="gate")
    content = box.sent()[0]["content"]
    assert (content["title"], content["body"], content["badge"]) == ("Boarding", "Gate 12", 3)
    assert (content["platform"], content["app"]) == ("ios", "org.example.fly")
    assert (content["collapse_key"], content["silent"]) == ("gate", False)
    assert content["payload"]["flight"] == "UA1545"


def test_a_background_push_shows_nothing(box: Box, apple: Apple) -> None:
    payload = {"aps": {"content-available": 1}}
    assert apple.push(payload=payload, apns_push_type="background", apns_priority="5").status_code == 200
    assert box.sent()[0]["content"]["silent"] is True


def test_an_id_is_made_up_where_none_is_given(apple: Apple) -> None:
    assert uuid.UUID(apple.push(apns_id=None).headers["apns-id"]).hex != MESSAGE_ID


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"device": ""}, 400, "MissingDeviceToken"),
    ({"device": "not-hex"}, 400, "BadDeviceToken"),
    ({"device": "0" * 64}, 400, "BadDeviceToken"),
    ({"device": "x/y"}, 404, "BadPath"),
    ({"authorization": None}, 403, "MissingProviderToken"),
    ({"authorization": "Bearer x"}, 403, "MissingProviderToken"),
    ({"authorization": "bearer x.y.z"}, 403, "InvalidProviderToken"),
    ({"apns_topic": None}, 400, "MissingTopic"),
    ({"apns_push_type": "shout"}, 400, "InvalidPushType"),
    ({"apns_priority": "7"}, 400, "BadPriority"),
    ({"apns_push_type": "background", "apns_priority": "10"}, 400, "BadPriority"),
    ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
    ({"apns_collapse_id": "x" * 65}, 400, "BadCollapseId"),
    ({"apns_id": "1"}, 400, "BadMessageId"),
    ({"payload": b""}, 400, "PayloadEmpty"),
    ({"payload": {"alert": "x"}}, 400, "PayloadEmpty"),
    ({"payload": {"aps": {"alert": "x" * 4096}}}, 413, "PayloadTooLarge"),
]


@pytest.mark.parametrize(("changes", "status", "reason"), WRONG, ids=[reason for _, _, reason in WRONG])
def test_a_wrong_push_is_refused_with_its_reason(
    box: Box, apple: Apple, changes: dict[str, Any], status: int, reason: str
) -> None:
    answer = apple.push(**changes)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert box.send_log() == []


def test_a_voip_push_may_be_larger(apple: Apple) -> None:
    payload = {"aps": {"alert": "x" * 4500}}
    assert apple.push(payload=payload, apns_push_type="voip").status_code == 200


def test_only_post_is_allowed(apple: Apple) -> None:
    answer = apple.http.get(f"/3/device/{DEVICE}")
    assert (answer.status_code, answer.json()["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ({"age_s": 3700}, "ExpiredProviderToken"),
        ({"age_s": -600}, "InvalidProviderToken"),
        ({"kid": "OTHERKEY00"}, "InvalidProviderToken"),
        ({"iss": "OTHERTEAM0"}, "InvalidProviderToken"),
        ({"exp": 4_000_000_000}, "InvalidProviderToken"),
    ],
    ids=["expired", "future", "key", "team", "claims"],
)
def test_a_wrong_provider_token_is_refused(
    box: Box, apple: Apple, token: dict[str, Any], reason: str
) -> None:
    apple.token = provider_token(box.folder, **token)
    answer = apple.push()
    assert (answer.status_code, answer.json()["reason"]) == (403, reason)


def test_another_keys_token_is_refused(apple: Apple) -> None:
    claims = {"iss": "TOCSINTEAM", "iat": int(time.time())}
    key = ec.generate_private_key(ec.SECP256R1())
    apple.token = jwt.encode(claims, key, "ES256", headers={"kid": "TOCSIN0KEY"})
    assert apple.push().json()["reason"] == "InvalidProviderToken"


def test_tokens_renewed_too_often_on_a_connection_are_throttled(box: Box, apple: Apple) -> None:
    apple.token = provider_token(box.folder, age_s=1500)
    assert apple.push().status_code == 200
    apple.token = provider_token(box.folder, age_s=100)
    assert apple.push().status_code == 200
    apple.token = provider_token(box.folder, age_s=90)
    answer = apple.push()
    assert (answer.status_code, answer.json()["reason"]) == (429, "TooManyProviderTokenUpdates")
    with Apple(box).http as other:
        assert other.get("/3/device/x").status_code == 405


def test_a_dead_token_says_since_when(box: Box, apple: Apple) -> None:
    before_ms = time.time_ns() // 1_000_000 - 1
    answer = apple.push(device="deaddead" * 8)
    assert (answer.status_code, answer.json()["reason"]) == (410, "Unregistered")
    assert before_ms <= answer.json()["timestamp"] <= time.time_ns() // 1_000_000 + 1
    box.order({"kind": "dead_token", "code": "ExpiredToken", "since_ms": 1234567890123}, count=1)
    assert apple.push().json() == {"reason": "ExpiredToken", "timestamp": 1234567890123}


@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "TooManyRequests"), (500, "InternalServerError"), (503, "ServiceUnavailable")],
)
def test_ordered_failures_have_apples_shape(box: Box, apple: Apple, status: int, reason: str) -> None:
    box.order({"kind": "status", "status": status}, match={"provider": "apns"}, count=1)
    answer = apple.push()
    assert (answer.status_code, answer.json()) == (status, {"reason": reason})
    assert apple.push().status_code == 200


def test_a_connection_can_be_cut(box: Box, apple: Apple) -> None:
    box.order({"kind": "drop_after"}, count=1)
    with pytest.raises(httpx2.TransportError):
        apple.push()
    assert len(box.send_log()) == 1
    assert apple.push().status_code == 200


async def test_a_client_is_asked_to_leave_and_goes_on_elsewhere(box: Box) -> None:
    box.order({"kind": "leave"}, count=2)
    headers = {"authorization": f"bearer {provider_token(box.folder)}", "apns-topic": "org.example.fly"}
    async with ClientBuilder().http2_prior_knowledge().build() as client:
        for _ in range(4):
            answer = await _sent(client, f"{box.h2}/3/device/{DEVICE}", headers)
            assert answer.status == 200
    assert len(box.send_log()) == 4


async def _sent(client: Client, url: str, headers: dict[str, str]) -> Response:
    """Send until a connection takes it: the one that was asked to leave may close while it is chosen."""
    while True:
        request = client.post(url).headers(headers).body_text(json.dumps(ALERT)).build()
        with contextlib.suppress(ConnectError):
            return await request.send()


def test_goaway_names_the_last_stream(box: Box) -> None:
    box.order({"kind": "leave"}, count=1)
    host, _, port = box.h2.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as wire:
        connection = h2.connection.H2Connection(h2.config.H2Configuration())
        connection.initiate_connection()
        _open_stream(connection, provider_token(box.folder), DEVICE, json.dumps(ALERT).encode())
        wire.sendall(connection.data_to_send())
        data = b""
        while part := wire.recv(65536):
            data += part
    events = connection.receive_data(data)
    (gone,) = [event for event in events if isinstance(event, h2.events.ConnectionTerminated)]
    assert (gone.last_stream_id, gone.error_code) == (1, 0)


def test_apns_over_tls_needs_our_certificate(tmp_path: Path) -> None:
    with start(tmp_path, "--h2-port=0", "--tls") as box:
        context = ssl.create_default_context(cafile=str(tmp_path / "tls-cert.pem"))
        assert box.h2.startswith("https://")
        trusting, doubting = Apple(box, verify=context), Apple(box)
        with trusting.http, doubting.http:
            assert trusting.push().status_code == 200
            with pytest.raises(httpx2.ConnectError):
                doubting.push()


async def test_many_streams_share_a_connection_and_answer_as_they_are_done(box: Box) -> None:
    slower, slow, quick = "ab" * 32, "ef" * 32, "cd" * 32
    box.order({"kind": "latency", "latency_ms": 30_000}, match={"recipient": slower})
    box.order({"kind": "latency", "latency_ms": 100}, match={"recipient": slow})
    order: list[int] = []
    streams = await _streams(box, [slower, slow, *[quick] * 19], order, awaited=20)
    assert set(streams.values()) == {b"200"}
    assert (1 in order, 3 in order) == (False, True)
    assert len(box.send_log()) == 21


async def test_a_large_payload_comes_in_parts(box: Box) -> None:
    order: list[int] = []
    assert await _streams(box, [DEVICE], order, payload={"aps": {"alert": "x" * 4000}}) == {1: b"200"}


def _open_stream(connection: h2.connection.H2Connection, token: str, device: str, body: bytes) -> None:
    number = connection.get_next_available_stream_id()
    headers = [(":method", "POST"), (":scheme", "http"), (":authority", "x")]
    headers += [(":path", f"/3/device/{device}"), ("apns-topic", "org.example.fly")]
    headers.append(("authorization", f"bearer {token}"))
    connection.send_headers(number, headers)
    for at in range(0, len(body), 1000):
        connection.send_data(number, body[at : at + 1000], end_stream=at + 1000 >= len(body))


async def _streams(
    box: Box, devices: list[str], order: list[int], payload: object = ALERT, awaited: int = 1
) -> dict[int, bytes]:
    """Push on one connection, all streams open at once, until so many are answered; status by stream."""
    reader, writer = await asyncio.open_connection(*box.h2.removeprefix("http://").split(":"))
    connection = h2.connection.H2Connection(h2.config.H2Configuration())
    connection.initiate_connection()
    body, token = json.dumps(payload).encode(), provider_token(box.folder)
    for device in devices:
        _open_stream(connection, token, device, body)
    writer.write(connection.data_to_send())
    statuses: dict[int, bytes] = {}
    while len(order) < awaited:
        for event in connection.receive_data(await reader.read(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                statuses[event.stream_id] = dict(event.headers)[b":status"]
            elif isinstance(event, h2.events.StreamEnded):
                order.append(event.stream_id)
    writer.close()
    await writer.wait_closed()
    return statuses
