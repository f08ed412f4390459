"""Whatever is sent, a judge accepts it or refuses it in the provider's shape: it never falls over."""

import base64
import contextlib
import copy
import json
import time
from functools import cache
from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.box import ACCOUNT, DEVICE, MESSAGE_ID, mail_document, push_document
from tests.sandbox.judging import judged_in_form
from tocsin.devkit.sandbox.apns_h2 import Apns, ProviderTokens
from tocsin.devkit.sandbox.console import Console
from tocsin.devkit.sandbox.faults import Faults
from tocsin.devkit.sandbox.fcm_v1 import Fcm
from tocsin.devkit.sandbox.google_oauth import GRANT, SCOPE, Tokens
from tocsin.devkit.sandbox.keys import APNS_KEY_ID, APNS_TEAM_ID
from tocsin.devkit.sandbox.mails import Head, read
from tocsin.devkit.sandbox.people import People
from tocsin.devkit.sandbox.request_handler import Accepted, RequestHandler
from tocsin.devkit.sandbox.sendgrid_v3 import SendGrid
from tocsin.devkit.sandbox.sent import Call, Log, Sent
from tocsin.devkit.sandbox.twilio_2010 import Twilio
from tocsin.devkit.sandbox.wire import Refusal, Request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FULL_MAIL = mail_document(
    reply_to={"email": "r@example.org"},
    categories=["a"],
    custom_args={"a": "b"},
    send_at=1,
    mail_settings={"sandbox_mode": {"enable": False}},
    tracking_settings={"click_tracking": {"enable": False}},
)
FULL_PUSH = {
    "message": push_document(
        apns={"headers": {"apns-priority": "10"}, "payload": {"aps": {"alert": {"title": "t", "body": "b"}}}}
    ),
    "validate_only": False,
}
FULL_APNS = {"aps": {"alert": {"title": "t", "body": "b", "subtitle": "s"}, "badge": 1}, "user": "u"}


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the places in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, inner in items for path in paths(inner, (*at, key)))]


def mutated(document: Any) -> st.SearchStrategy[Any]:
    """Replace what stands at some places by something else."""

    def put(changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
        result = copy.deepcopy(document)
        for path, value in changes:
            result = _put(result, path, value)
        return result

    return st.lists(st.tuples(st.sampled_from(paths(document)), JSON), min_size=1, max_size=3).map(put)


def _put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    inner = document
    for key in path[:-1]:
        inner = inner[key] if _holds(inner, key) else None
    if _holds(inner, path[-1]):
        inner[path[-1]] = value
    return document


def _holds(inner: Any, key: Any) -> bool:
    return (
        key in inner
        if isinstance(inner, dict)
        else isinstance(inner, list) and isinstance(key, int) and key < len(inner)
    )


def clock_ms() -> int:
    return 1_790_000_000_000


def post(path: str, body: object, **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("POST", path, "", named, content)


def mail(body: object) -> Request:
    return post("/v3/mail/send", body, authorization="Bearer SG.x", content_type="application/json")


def message(body: bytes) -> Request:
    login = "Basic " + base64.b64encode(f"{ACCOUNT}:token".encode()).decode()
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    return post(path, body, authorization=login, content_type="application/x-www-form-urlencoded")


@cache
def google() -> tuple[Fcm, str]:
    """The push endpoint, and a token that its token endpoint gave."""
    key = rsa.generate_private_key(65537, 2048)
    tokens = Tokens(key.public_key(), "http://x/token", clock_ms)
    now_s = int(time.time())
    claims = {"iss": "x", "aud": "http://x/token", "iat": now_s, "exp": now_s + 3600, "scope": SCOPE}
    form = {"grant_type": GRANT, "assertion": jwt.encode(claims, key, "RS256")}
    reply = tokens.grant(Request("POST", "/token", "", {}, urlencode(form).encode()))
    return Fcm(tokens, "p"), json.loads(reply.body)["access_token"]


@pytest.fixture(scope="module")
def fcm() -> Fcm:
    return google()[0]


def push(body: object) -> Request:
    return post("/v1/projects/p/messages:send", body, authorization=f"Bearer {google()[1]}")


@cache
def apple() -> tuple[Apns, str]:
    """The device endpoint, and a token that it takes."""
    key = ec.generate_private_key(ec.SECP256R1())
    claims = {"iss": APNS_TEAM_ID, "iat": clock_ms() // 1000}
    token = jwt.encode(claims, key, "ES256", headers={"kid": APNS_KEY_ID})
    return Apns(ProviderTokens(key.public_key(), clock_ms), clock_ms), token


@pytest.fixture(scope="module")
def apns() -> Apns:
    return apple()[0]


def device(body: object, **headers: str) -> Request:
    named = {"authorization": f"bearer {apple()[1]}", "apns_topic": "x"} | headers
    return post(f"/3/device/{DEVICE}", body, **named)


def test_the_documents_are_right_as_they_are(fcm: Fcm, apns: Apns) -> None:
    for vendor, request in (
        (SendGrid(), mail(FULL_MAIL)),
        (Twilio(), message(b"To=%2B4915112345678&From=%2B15005550006&Body=x")),
        (fcm, push(FULL_PUSH)),
        (apns, device(FULL_APNS)),
    ):
        assert isinstance(judged_in_form(vendor, request), Accepted)


@given(mutated(FULL_MAIL))
def test_sendgrid_never_falls_over(document: Any) -> None:
    judged_in_form(SendGrid(), mail(document))


@given(mutated(FULL_PUSH))
def test_fcm_never_falls_over(fcm: Fcm, document: Any) -> None:
    judged_in_form(fcm, push(document))


@given(mutated(FULL_APNS))
def test_apns_never_falls_over(apns: Apns, document: Any) -> None:
    judged_in_form(apns, device(document))


@given(
    st.dictionaries(
        st.sampled_from(["apns-id", "apns-priority", "apns-expiration", "apns-push-type"]), st.text()
    )
)
def test_apns_headers_never_make_it_fall_over(apns: Apns, headers: dict[str, str]) -> None:
    judged_in_form(apns, device(FULL_APNS, **headers))


@given(st.binary(max_size=200))
def test_bytes_never_make_a_judge_fall_over(fcm: Fcm, apns: Apns, body: bytes) -> None:
    for vendor, request in (
        (SendGrid(), mail(body)),
        (Twilio(), message(body)),
        (fcm, push(body)),
        (apns, device(body)),
    ):
        judged_in_form(vendor, request)


def test_digits_that_are_no_numbers_are_refused(apns: Apns) -> None:
    right = b"To=%2B4915112345678&From=%2B15005550006&Body=x&ValidityPeriod=%C2%B2"
    assert isinstance(judged_in_form(Twilio(), message(right)), Refusal)
    assert isinstance(judged_in_form(apns, device(FULL_APNS, apns_expiration="²")), Refusal)


FIELDS = (
    "To",
    "From",
    "Body",
    "MessagingServiceSid",
    "StatusCallback",
    "MediaUrl",
    "ContentVariables",
    "SendAt",
    "ValidityPeriod",
)


@given(st.lists(st.tuples(st.sampled_from(FIELDS), st.text(max_size=20)), max_size=6))
def test_twilio_never_falls_over(fields: list[tuple[str, str]]) -> None:
    right = [("To", "+4915112345678"), ("From", "+15005550006"), ("Body", "x")]
    judged_in_form(Twilio(), message(urlencode([*fields, *right]).encode()))


@given(st.binary(max_size=300), st.text(max_size=30))
def test_a_mail_is_read_whatever_it_is(raw: bytes, subject: str) -> None:
    head = (
        b"Subject: "
        + subject.encode("utf-8", "replace")
        + b"\r\nMessage-ID: <%s@x>\r\n\r\n" % MESSAGE_ID.encode()
    )
    for data in (raw, head + raw):
        Head(data).text(b"subject")
        msgspec.json.encode(read(data, "ada@example.com"))


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=60),
    st.integers(1, 10),
)
def test_a_folded_header_is_read_as_one(value: str, at: int) -> None:
    value = " ".join(value.split()) or "x"
    words = value.split(" ")
    folded = " ".join(words[:at]) + "".join(f"\r\n {word}" for word in words[at:])
    assert Head(f"X-Long: {folded}\r\nDate: x\r\n\r\n".encode()).text(b"x-long") == value or "=?" in value


@given(
    st.sampled_from(["/sent", "/count", "/users", "/faults"]),
    st.dictionaries(
        st.sampled_from(["limit", "before", "since", "q", "user", "id", "content"]), st.text(max_size=9)
    ),
)
def test_the_console_never_falls_over(
    tmp_path_factory: pytest.TempPathFactory, path: str, query: dict[str, str]
) -> None:
    sent = Sent(Log(tmp_path_factory.mktemp("sent") / "sent.jsonl"), keep=10, keep_bytes=1000)
    handler = RequestHandler(sent, Faults(0), People(), clock_ms=clock_ms, soon=print, later=print)
    sent.accept(Call(provider="p", channel="c", recipient="r"), "r", 1, provider_id="")
    for method in ("GET", "DELETE"):
        if route := Console(handler, lambda: None).routes.get((method, path)):
            with contextlib.suppress(Refusal):
                assert route(Request(method, path, urlencode(query), {}, b"")).status < 300
