"""Vonage's contract: refusals with HTTP 200, verdicts of each part, signatures, and our own adapter."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.samples import PHONE, outgoing
from tests.sandbox.box import Box
from tests.sandbox.judging import judged
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.vonage_sms import SIGNATURE_SECRET, Vonage
from tocsin.devkit.sandbox.wire import Refusal, Request
from tocsin.errors import DeliveryError, RecipientGone, Throttled
from tocsin.model.content import SmsContent
from tocsin.providers.accounts import build, parse_accounts

NOW_S = 1_790_000_000
RIGHT = {"api_key": "abcd1234", "api_secret": "s3cret", "to": "4915112345678", "from": "Fly", "text": "Hi"}
UNSIGNED = {name: value for name, value in RIGHT.items() if name != "api_secret"} | {"timestamp": str(NOW_S)}


def request(form: Mapping[str, str] | bytes, path: str = "/sms/json", method: str = "POST") -> Request:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return Request(method, path, "", {b"content-type": b"application/x-www-form-urlencoded"}, body)


@pytest.fixture(scope="module")
def vonage() -> Vonage:
    return Vonage(lambda: NOW_S * 1000)


def statuses(verdict: Accepted | Refusal) -> list[str]:
    document: dict[str, Any] = msgspec.json.decode(verdict.reply.body)
    assert document["message-count"] == str(len(document["messages"]))
    return [part["status"] for part in document["messages"]]


WRONG: list[tuple[dict[str, str], str]] = [
    ({"api_key": ""}, "2"),
    ({"api_key": "short"}, "4"),
    ({"api_secret": ""}, "2"),
    ({"api_secret": "bad-one"}, "4"),
    ({"sig": "00", "timestamp": str(NOW_S)}, "32"),
    ({"to": ""}, "2"),
    ({"to": "+4915112345678"}, "3"),
    ({"to": "004915112345678"}, "3"),
    ({"to": "4915"}, "3"),
    ({"from": ""}, "2"),
    ({"from": "a name that is long"}, "15"),
    ({"from": "+4915112345678"}, "15"),
    ({"text": ""}, "2"),
    ({"text": "x" * 3201}, "12"),
    ({"type": "morse"}, "3"),
    ({"ttl": "19999"}, "3"),
    ({"ttl": "²"}, "3"),
    ({"client-ref": "x" * 41}, "3"),
    ({"message-class": "4"}, "3"),
    ({"callback": "nowhere"}, "23"),
]


@pytest.mark.parametrize(("change", "status"), WRONG)
def test_a_wrong_message_is_refused_with_http_200(
    vonage: Vonage, change: dict[str, str], status: str
) -> None:
    verdict = judged(vonage, request(RIGHT | change))
    assert isinstance(verdict, Refusal)
    assert (verdict.reply.status, statuses(verdict)) == (200, [status])


@pytest.mark.parametrize(
    ("text", "kind", "parts"), [("x" * 160, "text", 1), ("x" * 161, "text", 2), ("x" * 71, "unicode", 2)]
)
def test_every_part_has_a_verdict_and_an_id(vonage: Vonage, text: str, kind: str, parts: int) -> None:
    verdict = judged(vonage, request(RIGHT | {"text": text, "type": kind, "client-ref": "ours"}))
    assert isinstance(verdict, Accepted)
    assert statuses(verdict) == ["0"] * parts
    messages = msgspec.json.decode(verdict.reply.body)["messages"]
    assert len({part["message-id"] for part in messages}) == parts
    assert {part["client-ref"] for part in messages} == {"ours"}
    assert verdict.calls[0].message_id == "ours"


def test_the_wrong_type_spoils_a_text(vonage: Vonage) -> None:
    for kind, shown in (("text", "caf? Ça"), ("unicode", "cafê Ça")):
        verdict = judged(vonage, request(RIGHT | {"text": "cafê Ça", "type": kind}))
        assert isinstance(verdict, Accepted)
        assert msgspec.json.decode(verdict.calls[0].content)["body"] == shown


def signed(kind: str, secret: str = SIGNATURE_SECRET, **more: str) -> dict[str, str]:
    fields = UNSIGNED | {"text": "a=b&c"} | more
    text = "".join(f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields))
    if kind == "md5hash":
        return fields | {"sig": hashlib.md5((text + secret).encode()).hexdigest()}
    return fields | {"sig": hmac.new(secret.encode(), text.encode(), kind).hexdigest().upper()}


@pytest.mark.parametrize("kind", ["md5hash", "md5", "sha1", "sha256", "sha512"])
def test_a_signature_stands_in_place_of_the_secret(vonage: Vonage, kind: str) -> None:
    assert isinstance(judged(vonage, request(signed(kind))), Accepted)
    for wrong in (signed(kind) | {"text": "other"}, signed(kind, "other"), signed(kind, timestamp="1")):
        verdict = judged(vonage, request(wrong))
        assert isinstance(verdict, Refusal)
        assert statuses(verdict) == ["14"]


@pytest.mark.parametrize(
    ("fault", "http", "status"),
    [
        (Fault("status", status=429), 200, "1"),
        (Fault("status", status=503), 200, "5"),
        (Fault("status", status=502), 502, ""),
        (Fault("status", code="9"), 200, "9"),
        (Fault("refused_number"), 200, "7"),
        (Fault("refused_number", code="33"), 200, "33"),
    ],
)
def test_ordered_faults_have_vonage_s_form(vonage: Vonage, fault: Fault, http: int, status: str) -> None:
    refused = vonage.fail(fault)
    assert refused is not None
    assert refused.reply.status == http
    assert not status or statuses(refused) == [status]


@pytest.mark.parametrize(
    ("login", "http"), [(b"abcd1234:s3cret", 200), (b"abcd1234:bad", 401), (b"x:y", 401), (b"", 401)]
)
def test_the_balance_wants_a_login(vonage: Vonage, login: bytes, http: int) -> None:
    headers = {b"authorization": b"Basic " + base64.b64encode(login)}
    verdict = judged(vonage, Request("GET", "/account/get-balance", "", headers, b""))
    assert verdict.reply.status == http


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*RIGHT, "type", "ttl", "callback", "sig", "timestamp"]), st.text()))
def test_vonage_never_falls_over(change: dict[str, str]) -> None:
    judged(Vonage(lambda: NOW_S * 1000), request(urlencode(RIGHT | change, errors="replace").encode()))


async def test_our_adapter_against_the_sandbox(box: Box) -> None:
    login = {"api_key": "abcd1234", "api_secret": "s", "base_url": f"{box.url}/vonage"}
    plain = {"vendor": "vonage", "sender": "Fly", **login}
    keyed = plain | {"signature_secret": SIGNATURE_SECRET, "signature_method": "sha256"}
    accounts = parse_accounts({"accounts": {"plain": plain, "keyed": keyed}}, {}, Path("p.yaml"))
    made = build(accounts, clock=time.time)
    text = SmsContent(text="Gate B12 → B14", segments=1, encoding="UCS-2")
    for provider in made.values():
        receipt = await provider.send(outgoing("sms", text))
        assert receipt.provider_message_id
    for order, kind in (({"kind": "status", "status": 429}, Throttled), ({"kind": "bounce"}, RecipientGone)):
        box.order(order, match={"provider": "vonage"}, count=1)
        with pytest.raises(DeliveryError) as caught:
            await made["plain"].send(outgoing("sms", text))
        assert type(caught.value) is kind
    for provider in made.values():
        await provider.close()
    records = box.send_log()
    assert [(record["recipient"], record["message_id"]) for record in records] == [
        (PHONE, outgoing("sms").message.message_id)
    ] * 2
    assert {each["content"]["body"] for each in box.sent()} == {"Gate B12 → B14"}
