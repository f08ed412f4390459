"""Web Push: known answers of the RFCs, VAPID, each answer's class, and endpoints that must not be called."""

import json
from pathlib import Path
from typing import Any

import http_ece
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from pydantic import ValidationError

from tests.providers.certificates import pem
from tests.providers.samples import NOW_S, SteppingClock, leaks, outgoing
from tests.providers.scripted_http import Answer, ScriptedHttp, Step, json_answer
from tests.providers.sending import built, sent_once
from tocsin.devkit import browsers
from tocsin.errors import (
    About,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    SettingsError,
    Throttled,
    Transient,
)
from tocsin.model.content import Outgoing, PushContent
from tocsin.model.message import Target
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.base import Provider
from tocsin.providers.public_hosts import public_address
from tocsin.providers.push_encryption import OVERHEAD_BYTES, RECORD_BYTES, encrypt, read_keys
from tocsin.providers.vapid import LIFE_S, from_base64, public_bytes, read_key, unpadded
from tocsin.providers.webpush import HOSTS, LIMITS, WebPushAccount, payload, topic

BROWSER = "browser-0001"
KEY = pem(generate_private_key(SECP256R1()))
ACCOUNT = {"vendor": "webpush", "key": KEY, "subject": "mailto:push@skylark.example"}
CONTENT = PushContent("Gate B12 moved", "wherefore art thou", url="https://skylark.example/t")

# RFC 8291, section 5 and appendix A
RFC_PLAIN = b"When I grow up, I want to be a watermelon"
RFC_SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RFC_BROWSER = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
RFC_AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
RFC_SALT = "DGv6ra1nlYgDCS1FRnbzlw"
RFC_BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
    "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_rfc_8291_is_encrypted_byte_for_byte() -> None:
    keys = read_keys(RFC_BROWSER, RFC_AUTH)
    body = encrypt(RFC_PLAIN, keys, from_base64(RFC_SALT), read_key(RFC_SENDER))
    assert unpadded(body) == RFC_BODY


@pytest.mark.parametrize("plain", [b"x", b"y" * (RECORD_BYTES - OVERHEAD_BYTES)])
def test_two_other_readers_decrypt_it(plain: bytes) -> None:
    """`http_ece` is the library of the web push community; `devkit.browsers` is what the sandbox reads by."""
    given = browsers.subscription("https://fcm.googleapis.com/wp", BROWSER)
    body = encrypt(plain, read_keys(given["p256dh"], given["auth"]))
    secret = browsers.auth_secret(BROWSER)
    read = http_ece.decrypt(
        body, private_key=browsers.private_key(BROWSER), auth_secret=secret, version="aes128gcm"
    )
    assert (read, browsers.decrypt(body, BROWSER)) == (plain, plain)
    assert len(body) == len(plain) + OVERHEAD_BYTES <= RECORD_BYTES


def test_every_message_has_a_key_and_a_salt_of_its_own() -> None:
    keys = read_keys(RFC_BROWSER, RFC_AUTH)
    first, second = encrypt(b"x", keys), encrypt(b"x", keys)
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]


def test_the_record_of_another_browser_is_not_read() -> None:
    given = browsers.subscription("https://x", BROWSER)
    body = encrypt(b"x", read_keys(given["p256dh"], given["auth"]))
    for wrong in (body[:-1], body[:30], b"", body[:16] + bytes(4) + body[20:]):
        with pytest.raises(ValueError, match=r"."):
            browsers.decrypt(wrong, BROWSER)
    with pytest.raises(ValueError, match="encrypted"):
        browsers.decrypt(body, "browser-0002")


def test_a_key_is_read_in_both_forms() -> None:
    key = read_key(KEY)
    scalar = unpadded(key.private_numbers().private_value.to_bytes(32, "big"))
    assert public_bytes(read_key(scalar)) == public_bytes(key)


def account(**fields: Any) -> Provider:
    """Build an adapter from an account, as a deployment does."""
    return built({**ACCOUNT, **fields})


def message(url: str, content: PushContent = CONTENT, **fields: Any) -> Outgoing:
    """Build a notification for a browser at a push service."""
    given = browsers.subscription(f"{url}/wp", BROWSER)
    target = Target(given["endpoint"], platform="web", subscription=given)
    return outgoing("webpush", content, target=target, **fields)


async def sent(step: Step, content: PushContent = CONTENT, **fields: Any) -> tuple[ScriptedHttp, object]:
    """Send one notification to a push service that answers by `step`."""
    async with ScriptedHttp(step) as server:
        provider = account(allow_private=True, hosts=["127.0.0.1"])
        return server, await sent_once(provider, message(server.url, content, **fields))


@pytest.mark.loopback
async def test_a_request_is_as_the_rfcs_want_it() -> None:
    made = Answer(201, headers=(("Location", "https://push.example/m/s3cret"),))
    server, receipt = await sent(made, PushContent("Gate", "B12", collapse_key="UA 1545", urgent=True))
    assert getattr(receipt, "code", "") == "201"
    assert "s3cret" not in str(receipt)
    [request] = server.requests
    assert (request.method, request.path) == ("POST", f"/wp/{BROWSER}")
    headers = request.headers
    assert headers["ttl"] == "86400"
    assert (headers["urgency"], headers["content-encoding"]) == ("high", "aes128gcm")
    assert headers["topic"] == topic("UA 1545")
    scheme, token, key = headers["authorization"].replace(",", "").split(" ")
    assert (scheme, key) == ("vapid", f"k={unpadded(public_bytes(read_key(KEY)))}")
    claims = jwt.decode(
        token.removeprefix("t="),
        read_key(KEY).public_key(),
        ["ES256"],
        options={"verify_aud": False, "verify_exp": False},
    )
    assert claims == {"aud": server.url, "exp": int(NOW_S) + LIFE_S, "sub": ACCOUNT["subject"]}
    shown = json.loads(browsers.decrypt(request.body, BROWSER))["notification"]
    assert (shown["title"], shown["body"], shown["tag"]) == ("Gate", "B12", headers["topic"])


@pytest.mark.loopback
async def test_one_token_serves_an_origin_until_it_is_nearly_over() -> None:
    async with ScriptedHttp(Answer(201)) as server:
        clock = SteppingClock()
        settings = {**ACCOUNT, "allow_private": True, "hosts": ["127.0.0.1"]}
        accounts = parse_accounts({"accounts": {"web": settings}}, {}, Path("providers.yaml"))
        provider = build(accounts, clock=clock)["web"]
        for later_s in (0, LIFE_S - 3601, 2):
            clock.now_s += later_s
            await provider.send(message(server.url))
        await provider.close()
    first, second, third = [request.headers["authorization"] for request in server.requests]
    assert first == second
    assert third != first


def test_a_message_with_a_link_is_declarative() -> None:
    found = payload(outgoing("webpush", CONTENT, target=Target("x")).message, CONTENT)
    assert (found["web_push"], found["notification"]["navigate"]) == (8030, "https://skylark.example/t")
    assert found["notification"]["data"]["message_id"]


ROWS: list[tuple[Step, type[DeliveryError], str, float | None]] = [
    (json_answer(404, {"errno": 102}), RecipientGone, "102", None),
    (json_answer(410, {"errno": 106, "message": "gone"}), RecipientGone, "106", None),
    (Answer(410), RecipientGone, "410", None),
    (json_answer(400, {"errno": 111}), Rejected, "111", None),
    (json_answer(400, {"errno": 113}), Rejected, "113", None),
    (json_answer(413, {"errno": 104}), Rejected, "104", None),
    (json_answer(401, {"errno": 109}), Misconfigured, "109", None),
    (json_answer(403, {"reason": "BadJwtToken"}), Misconfigured, "BadJwtToken", None),
    (json_answer(403, {"reason": "VapidPkHashMismatch"}), Transient, "VapidPkHashMismatch", None),
    (json_answer(429, {}, ("Retry-After", "117")), Throttled, "429", 117),
    (Answer(429), Throttled, "429", 60),
    (Answer(500), Transient, "500", None),
    (Answer(502), Transient, "502", None),
    (json_answer(503, {"errno": 201}, ("Retry-After", "9")), Transient, "201", 9),
    (Answer(504), Transient, "504", None),
    (Answer(301, headers=(("Location", "http://127.0.0.1/x"),)), Rejected, "301", None),
    (Answer(405), Rejected, "405", None),
]


@pytest.mark.loopback
@pytest.mark.parametrize(("step", "kind", "code", "wait_s"), ROWS)
async def test_each_answer_has_its_class(
    step: Step, kind: type[DeliveryError], code: str, wait_s: float | None
) -> None:
    _, error = await sent(step)
    assert isinstance(error, DeliveryError)
    assert (type(error), error.code, error.retry_after_s) == (kind, code, wait_s)
    assert leaks(str(error)) == []
    assert BROWSER not in str(error)


@pytest.mark.loopback
async def test_a_403_never_blocks_a_browser() -> None:
    """It is tried again; once the push service took another message, it is refused for good, not gone."""
    async with ScriptedHttp(lambda _: next(answers)) as server:
        provider = account(allow_private=True, hosts=["127.0.0.1"])
        answers = iter([Answer(403), Answer(201), Answer(403)])
        with pytest.raises(Transient) as first:
            await provider.send(message(server.url))
        await provider.send(message(server.url))
        with pytest.raises(Rejected) as second:
            await provider.send(message(server.url))
        await provider.close()
    assert [caught.value.about for caught in (first, second)] == [About.RECIPIENT] * 2


@pytest.mark.loopback
async def test_403_for_everybody_is_the_accounts_key() -> None:
    async with ScriptedHttp(Answer(403)) as server:
        provider = account(allow_private=True, hosts=["127.0.0.1"])
        kinds: list[str] = []
        for number in range(6):
            given = browsers.subscription(f"{server.url}/wp", f"browser-{number:04}")
            target = Target(given["endpoint"], platform="web", subscription=given)
            with pytest.raises(DeliveryError) as caught:
                await provider.send(outgoing("webpush", CONTENT, target=target))
            kinds.append(type(caught.value).__name__)
        await provider.close()
    assert kinds == ["Transient"] * 4 + ["Misconfigured"] * 2


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evil.example/fcm.googleapis.com",
        "https://push.services.mozilla.com/x",
        "https://127.0.0.1/x",
        "https://user@evil.example/x",
        "ftp://fcm.googleapis.com/x",
        "https:///x",
        "https://[::1/x",
        "",
    ],
)
async def test_other_hosts_are_not_called(endpoint: str) -> None:
    given = browsers.subscription("https://x", BROWSER) | {"endpoint": endpoint}
    provider = account()
    with pytest.raises(Rejected) as caught:
        await provider.send(outgoing("webpush", CONTENT, target=Target(endpoint or "x", subscription=given)))
    assert (caught.value.code, caught.value.about) == ("host_not_allowed", About.RECIPIENT)
    await provider.close()


@pytest.mark.loopback
async def test_each_push_service_may_have_an_account_and_so_an_outage_of_its_own() -> None:
    chrome, firefox = account(hosts=["fcm.googleapis.com"]), account(hosts=["*.push.services.mozilla.com"])

    def carriers(endpoint: str) -> list[bool]:
        given = browsers.subscription("https://x", BROWSER) | {"endpoint": endpoint}
        made = outgoing("webpush", CONTENT, target=Target(endpoint, subscription=given)).message
        return [chrome.accepts(made), firefox.accepts(made)]

    assert carriers("https://fcm.googleapis.com/x") == [True, False]
    assert carriers("https://updates.push.services.mozilla.com/x") == [False, True]
    assert carriers("https://web.push.apple.com/x") == carriers("https://[::1/x") == [False, False]
    for provider in (chrome, firefox):
        await provider.close()


@pytest.mark.loopback
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.8"])
async def test_a_private_address_is_not_called_whatever_hosts_says(host: str) -> None:
    provider = account(hosts=["*"])
    with pytest.raises(Rejected) as caught:
        await provider.send(message(f"https://{host}"))
    assert caught.value.code == "private_address"
    await provider.close()


@pytest.mark.integration
@pytest.mark.parametrize("host", ["0x7f.1", "2130706433"])
async def test_a_private_address_in_disguise_is_not_called(host: str) -> None:
    """The resolver reads what looks like a name: no server is needed for it."""
    with pytest.raises(Rejected, match="private network"):
        await public_address(host, 443)


@pytest.mark.parametrize(
    ("p256dh", "auth"), [("", ""), ("!", RFC_AUTH), (RFC_BROWSER, "AAAA"), ("BAAA", RFC_AUTH)]
)
async def test_a_subscription_without_keys_reaches_nobody(p256dh: str, auth: str) -> None:
    given = {"endpoint": "https://fcm.googleapis.com/x", "p256dh": p256dh, "auth": auth}
    provider = account()
    with pytest.raises(RecipientGone) as caught:
        await provider.send(outgoing("webpush", CONTENT, target=Target("x", subscription=given)))
    assert caught.value.code == "bad_subscription"
    await provider.close()


async def test_a_payload_over_the_limit_is_not_sent() -> None:
    provider = account()
    content = PushContent("t", "x" * LIMITS.max_bytes)
    with pytest.raises(Rejected) as caught:
        await provider.send(message("https://fcm.googleapis.com", content))
    assert caught.value.code == "too_large"
    await provider.close()


@pytest.mark.parametrize(
    "host", ["updates.push.services.mozilla.com", "web.push.apple.com", "db5p.notify.windows.com"]
)
def test_the_push_services_of_browsers_are_served(host: str) -> None:
    assert any(host == one or host.endswith(one[1:]) for one in HOSTS)


@pytest.mark.parametrize(
    "subject",
    [
        "push@skylark.example",
        "mailto:",
        "mailto:<a@b.example>",
        "mailto: a@b.example",
        "mailto:a@localhost",
        "http://b.example",
        "https://localhost",
    ],
)
def test_a_subject_that_apple_refuses_is_refused_at_the_start(subject: str) -> None:
    with pytest.raises(SettingsError, match=r"accounts\.main\.subject: must be mailto: and an address"):
        account(subject=subject)


def test_a_wrong_key_is_named_without_its_text() -> None:
    with pytest.raises(SettingsError) as caught:
        account(key="c2VjcmV0c2VjcmV0")
    assert "no P-256 private key" in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
    with pytest.raises(ValidationError):
        WebPushAccount.model_validate({**ACCOUNT, "subject": ""})
