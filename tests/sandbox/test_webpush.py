"""The push service of the sandbox: what the adapter sends is taken and read, anything less is refused."""

import time
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from tests.providers.samples import outgoing
from tests.providers.sending import built, sent_once
from tests.sandbox.box import Box
from tocsin.devkit import browsers
from tocsin.errors import DeliveryError, Misconfigured, RecipientGone, Throttled, Transient
from tocsin.model.content import PushContent
from tocsin.model.message import Target
from tocsin.providers.push_encryption import encrypt, read_keys
from tocsin.providers.vapid import public_bytes, read_key, unpadded

BROWSER = "browser-0001"
CONTENT = PushContent("Gate B12 moved", "Please go there now", url="https://skylark.example/t", urgent=True)


async def send(box: Box, **fields: Any) -> object:
    """Send one notification with the account of the sandbox; what it ends with."""
    account = {"vendor": "webpush", "key": (box.folder / "vapid.pem").read_text(), "allow_private": True}
    account |= {"subject": "mailto:push@skylark.example", "hosts": ["127.0.0.1"], **fields}
    given = browsers.subscription(f"{box.url}/webpush", BROWSER)
    target = Target(given["endpoint"], platform="web", subscription=given)
    return await sent_once(built(account, time.time), outgoing("webpush", CONTENT, target=target))


@pytest.mark.loopback
async def test_a_notification_is_read_and_shown(box: Box) -> None:
    await send(box)
    [shown] = box.sent()
    assert (shown["channel"], shown["title"], shown["recipient"]) == ("webpush", "Gate B12 moved", BROWSER)
    assert (shown["content"]["platform"], shown["content"]["urgent"]) == ("web", True)
    assert shown["content"]["payload"]["web_push"] == 8030
    assert [record["message_id"] for record in box.send_log()] == [shown["message_id"]]


@pytest.mark.loopback
async def test_faults_are_classed_by_the_adapter(box: Box) -> None:
    faults: list[tuple[dict[str, Any], type[DeliveryError]]] = [
        ({"kind": "dead_token"}, RecipientGone),
        ({"kind": "dead_token", "code": "404"}, RecipientGone),
        ({"kind": "status", "status": 429, "retry_after_s": 7}, Throttled),
        ({"kind": "status", "status": 503}, Transient),
        ({"kind": "status", "status": 403, "code": "BadJwtToken"}, Misconfigured),
    ]
    for fault, kind in faults:
        box.order(fault)
        assert type(await send(box)) is kind
        box.http.delete("/faults")
    other = unpadded(generate_private_key(SECP256R1()).private_numbers().private_value.to_bytes(32, "big"))
    assert type(await send(box, key=other)) is Transient


def post(
    box: Box,
    claims: dict[str, Any] | None = None,
    body: bytes = b"",
    lifetime_s: int = 3600,
    **headers: str,
) -> httpx2.Response:
    """Post a right message but for what is given."""
    key = read_key((box.folder / "vapid.pem").read_text())
    right = {"aud": box.url, "exp": int(time.time()) + lifetime_s, "sub": "mailto:push@skylark.example"}
    token = jwt.encode(right | (claims or {}), key, "ES256")
    given = browsers.subscription("", BROWSER)
    sent = {
        "authorization": f"vapid t={token}, k={unpadded(public_bytes(key))}",
        "content-encoding": "aes128gcm",
        "ttl": "60",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    made = encrypt(b'{"notification": {"title": "t"}}', read_keys(given["p256dh"], given["auth"]))
    return box.http.post(
        f"/webpush/{BROWSER}", content=body or made, headers={k: v for k, v in sent.items() if v}
    )


WRONG: list[tuple[dict[str, Any], int]] = [
    ({"authorization": ""}, 401),
    ({"authorization": "vapid t=a.b.c, k=AAAA"}, 401),
    ({"claims": {"aud": "https://push.example"}}, 403),
    ({"claims": {"exp": 1}}, 403),
    ({"lifetime_s": 90_000}, 403),
    ({"claims": {"sub": "mailto:a@localhost"}}, 403),
    ({"claims": {"sub": "mailto:<a@b.example>"}}, 403),
    ({"ttl": ""}, 400),
    ({"content_encoding": "aesgcm"}, 400),
    ({"urgency": "soon"}, 400),
    ({"topic": "x" * 33}, 400),
    ({"topic": "a b"}, 400),
    ({"body": b"x" * 200}, 400),
    ({"body": b"x" * 4097}, 413),
]


def test_a_right_message_is_created(box: Box) -> None:
    answer = post(box, urgency="low", topic="t-1")
    assert (answer.status_code, answer.headers["ttl"]) == (201, "60")
    assert answer.headers["location"].startswith(f"{box.url}/webpush/m/")


@pytest.mark.parametrize(("wrong", "status"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_message_is_refused(box: Box, wrong: dict[str, Any], status: int) -> None:
    assert post(box, **wrong).status_code == status
    assert box.send_log() == []
