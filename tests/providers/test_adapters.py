"""One table-driven suite over every HTTP adapter: the promises of `Provider`, held against a real server."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import pytest

from tests.providers.certificates import pem, rsa_key
from tests.providers.samples import CONTENTS, EMAIL, SteppingClock, leaks, outgoing
from tests.providers.scripted_http import Answer, Fault, Refusing, Request, ScriptedHttp, Step, json_answer
from tests.waiting import PATIENCE_S, soon
from tocsin.devkit.httpx_transport import HttpxTransport
from tocsin.errors import DeliveryError, Misconfigured, Rejected, Throttled, Transient, Unknown
from tocsin.model.content import Content, EmailContent, PushContent, SmsContent, VoiceContent, WhatsAppContent
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.base import Limits, Provider
from tocsin.providers.http import HttpPolicy, PyreqwestTransport, Transport
from tocsin.providers.http_asyncio import AsyncioTransport

SERVICE_ACCOUNT = {
    "type": "service_account",
    "project_id": "demo-1",
    "private_key_id": "kid-1",
    "private_key": pem(rsa_key()),
    "client_email": "sender@demo-1.iam.gserviceaccount.com",
}
PATH = Path("providers.yaml")
SID = "AC" + "0" * 31 + "1"


class Case(NamedTuple):
    """A vendor: its account, what a good answer is and names, and what its limits refuse."""

    channel: str
    account: dict[str, Any]
    good: Answer
    receipt: str
    secret: str
    too_large: Content | None
    status_errors: dict[int, type[DeliveryError]]


CASES = {
    "sendgrid": Case(
        "email",
        {"vendor": "sendgrid", "api_key": "SG.s3cr3t"},
        Answer(202, headers=(("X-Message-Id", "sg-1"),)),
        "sg-1",
        "SG.s3cr3t",
        EmailContent(subject="s", text="x" * 30_000_001, html="", sender="a@example.com"),
        {
            400: Rejected,
            401: Misconfigured,
            403: Misconfigured,
            413: Rejected,
            429: Throttled,
            503: Transient,
        },
    ),
    "ses": Case(
        "email",
        {
            "vendor": "ses",
            "region": "eu-west-1",
            "access_key_id": "AKIDEXAMPLE",
            "secret_access_key": "aws-s3cr3t",
            "session_token": "aws-t0ken",
        },
        json_answer(200, {"MessageId": "0102-1"}),
        "0102-1",
        "aws-s3cr3t",
        EmailContent(subject="s", text="x" * 30_000_001, html="", sender="a@example.com"),
        {
            400: Rejected,
            403: Misconfigured,
            404: Misconfigured,
            413: Rejected,
            429: Throttled,
            503: Transient,
        },
    ),
    "mailgun": Case(
        "email",
        {"vendor": "mailgun", "domain": "mg.example.com", "api_key": "mg-s3cr3t"},
        json_answer(200, {"id": "<mg-1@mg.example.com>", "message": "Queued. Thank you."}),
        "mg-1@mg.example.com",
        "mg-s3cr3t",
        EmailContent(subject="s", text="x" * 25_000_001, html="", sender="a@example.com"),
        {
            400: Rejected,
            401: Misconfigured,
            402: Misconfigured,
            404: Misconfigured,
            429: Throttled,
            503: Transient,
        },
    ),
    "mandrill": Case(
        "email",
        {"vendor": "mandrill", "api_key": "md-s3cr3t"},
        json_answer(200, [{"email": EMAIL, "status": "sent", "_id": "md-1"}]),
        "md-1",
        "md-s3cr3t",
        EmailContent(subject="s", text="x" * 25_000_001, html="", sender="a@example.com"),
        {
            400: Rejected,
            401: Misconfigured,
            402: Misconfigured,
            404: Misconfigured,
            429: Throttled,
            503: Transient,
        },
    ),
    "twilio": Case(
        "sms",
        {"vendor": "twilio", "account_sid": SID, "auth_token": "tw-s3cr3t"},
        json_answer(201, {"sid": "SM" + "a" * 32, "status": "queued", "code": None, "num_segments": "1"}),
        "SM" + "a" * 32,
        "tw-s3cr3t",
        SmsContent(text="x" * 1601, segments=11, encoding="GSM-7", sender="+15005550006"),
        {400: Rejected, 401: Misconfigured, 404: Misconfigured, 429: Throttled, 503: Unknown},
    ),
    "twilio-whatsapp": Case(
        "whatsapp",
        {"vendor": "twilio-whatsapp", "account_sid": SID, "auth_token": "tw-s3cr3t"},
        json_answer(201, {"sid": "SM" + "b" * 32, "status": "queued", "code": None}),
        "SM" + "b" * 32,
        "tw-s3cr3t",
        WhatsAppContent(text="x" * 1601, sender="+15005550006"),
        {400: Rejected, 401: Misconfigured, 404: Misconfigured, 429: Throttled, 503: Unknown},
    ),
    "twilio-voice": Case(
        "voice",
        {"vendor": "twilio-voice", "account_sid": SID, "auth_token": "tw-s3cr3t"},
        json_answer(201, {"sid": "CA" + "c" * 32, "status": "queued"}),
        "CA" + "c" * 32,
        "tw-s3cr3t",
        VoiceContent(text="x" * 4000, locale="en", sender="+15005550006"),
        {400: Rejected, 401: Misconfigured, 404: Misconfigured, 429: Throttled, 503: Unknown},
    ),
    "vonage": Case(
        "sms",
        {"vendor": "vonage", "api_key": "abcd1234", "api_secret": "vn-s3cr3t"},
        json_answer(200, {"message-count": "1", "messages": [{"status": "0", "message-id": "0A00000001"}]}),
        "0A00000001",
        "vn-s3cr3t",
        SmsContent(text="x" * 3201, segments=21, encoding="GSM-7", sender="Tocsin"),
        {400: Rejected, 401: Misconfigured, 404: Misconfigured, 429: Throttled, 503: Unknown},
    ),
    "sns": Case(
        "sms",
        {
            "vendor": "sns",
            "access_key_id": "AKIDEXAMPLEEXAMPLE",
            "secret_access_key": "aws-s3cr3t",
            "region": "eu-west-1",
        },
        Answer(
            200,
            b"<PublishResponse><PublishResult><MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId>"
            b"</PublishResult></PublishResponse>",
        ),
        "567910cd-659e-55d4-8ccb-5aaf14679dc0",
        "aws-s3cr3t",
        SmsContent(text="é" * 801, segments=6, encoding="GSM-7"),
        {400: Rejected, 403: Misconfigured, 404: Misconfigured, 429: Throttled, 503: Unknown},
    ),
    "fcm": Case(
        "push",
        {"vendor": "fcm", "credentials": SERVICE_ACCOUNT},
        json_answer(200, {"name": "projects/demo-1/messages/0:1"}),
        "projects/demo-1/messages/0:1",
        "ya29.t0ken",
        PushContent(title="t", body="x" * 4097),
        {
            400: Rejected,
            401: Misconfigured,
            403: Misconfigured,
            404: Misconfigured,
            429: Throttled,
            503: Transient,
        },
    ),
}
TOKEN = json_answer(200, {"access_token": "ya29.t0ken", "expires_in": 3599})

VENDORS = pytest.mark.parametrize("vendor", list(CASES))
TRANSPORTS = pytest.mark.parametrize("transport", [AsyncioTransport, PyreqwestTransport, HttpxTransport])


def adapter(
    vendor: str, url: str, transport: Callable[[HttpPolicy], Transport] = PyreqwestTransport, **fields: Any
) -> Provider:
    """Build an adapter the way a deployment does, from its account."""
    settings = {**CASES[vendor].account, "base_url": url, **fields}
    if vendor == "fcm":
        settings["token_url"] = f"{url}/token"
    accounts = parse_accounts({"accounts": {"main": settings}}, {}, PATH)
    return build(accounts, clock=SteppingClock(), transport=transport)["main"]


@asynccontextmanager
async def served(
    vendor: str, step: Step | Callable[[Request], Step], **fields: Any
) -> AsyncIterator[tuple[ScriptedHttp, Provider]]:
    """Stand up a vendor that answers by `step`, and always grants access tokens."""

    def script(request: Request) -> Step:
        if request.path == "/token":
            return TOKEN
        return step(request) if callable(step) else step

    async with ScriptedHttp(script) as server:
        provider = adapter(vendor, server.url, **fields)
        try:
            yield server, provider
        finally:
            await provider.close()


def sends(server: ScriptedHttp) -> list[Request]:
    """List the requests that were meant to send something."""
    return [request for request in server.requests if request.path != "/token"]


async def refused(vendor: str, step: Step, **fields: Any) -> DeliveryError:
    """Send once, and take the error: it must say nothing it should not."""
    async with served(vendor, step, **fields) as (_, provider):
        with pytest.raises(DeliveryError) as caught:
            await provider.send(outgoing(CASES[vendor].channel))
    error = caught.value
    said = f"{error} {error.code} {error!r} {error.__cause__!r} {error.__context__!r}"
    assert not leaks(said)
    assert CASES[vendor].secret not in said
    return error


@VENDORS
@TRANSPORTS
async def test_success_names_the_message(vendor: str, transport: Callable[[HttpPolicy], Transport]) -> None:
    case = CASES[vendor]
    async with served(vendor, case.good, transport=transport) as (server, provider):
        receipt = await provider.send(outgoing(case.channel))
        assert receipt.provider_message_id == case.receipt
        assert len(sends(server)) == 1
        assert sends(server)[0].method == "POST"


@VENDORS
async def test_a_vendor_learns_no_user_id(vendor: str) -> None:
    case = CASES[vendor]
    hooks = {"status_callback": "https://hooks.example"} if vendor.startswith(("twilio", "vonage")) else {}
    async with served(vendor, case.good, **hooks) as (server, provider):
        await provider.send(outgoing(case.channel, user="ada@home.example", tenant="acme-gmbh"))
        (request,) = sends(server)
    told = unquote_plus(f"{request.path} {request.headers} {request.body!r}")
    assert "ada@home" not in told
    assert "acme-gmbh" not in told


@VENDORS
async def test_declares_itself(vendor: str) -> None:
    case = CASES[vendor]
    provider = adapter(vendor, "http://127.0.0.1:1")
    assert (provider.name, str(provider.channel)) == ("main", case.channel)
    assert isinstance(provider.limits, Limits)
    assert provider.limits.timeout_s > 0
    assert provider.accepts(outgoing(case.channel).message)
    others = [channel for channel in CONTENTS if channel != case.channel]
    assert not any(provider.accepts(outgoing(channel).message) for channel in others)
    await provider.close()


@VENDORS
async def test_an_account_s_figures_lie_over_the_vendor_s(vendor: str) -> None:
    provider = adapter(vendor, "http://127.0.0.1:1", timeout_s=3, rate_per_s=7, max_connections=9)
    limits = provider.limits
    assert (limits.timeout_s, limits.rate_per_s, limits.at_once) == (3, 7, 9)
    await provider.close()


@VENDORS
async def test_every_status_has_a_class(vendor: str) -> None:
    deep = b'{"nested":' + b"[" * 20_000
    bodies = (b"", b"<html>502</html>", b"[]", b'{"error": "x"}', b"\xff\xfe", deep)
    cases = [
        (Answer(status, body), kind)
        for status, kind in CASES[vendor].status_errors.items()
        for body in bodies
    ]
    answers = iter(cases)
    async with served(vendor, lambda _request: next(answers)[0]) as (_, provider):
        for answer, kind in cases:
            with pytest.raises(DeliveryError) as caught:
                await provider.send(outgoing(CASES[vendor].channel))
            assert type(caught.value) is kind, answer


@VENDORS
async def test_a_redirect_is_a_wrong_base_url(vendor: str) -> None:
    assert (
        type(await refused(vendor, Answer(302, headers=(("Location", "http://127.0.0.1:1/"),))))
        is Misconfigured
    )


@VENDORS
async def test_throttling_honours_retry_after(vendor: str) -> None:
    seconds = await refused(vendor, Answer(429, headers=(("Retry-After", "17"),)))
    moment = await refused(vendor, Answer(429, headers=(("Retry-After", "Tue, 14 Nov 2023 22:14:20 GMT"),)))
    assert (type(seconds), seconds.retry_after_s) == (Throttled, 17)
    assert (type(moment), moment.retry_after_s) == (Throttled, 60)


@VENDORS
async def test_not_connected_is_transient(vendor: str) -> None:
    with Refusing(full=False) as url:
        provider = adapter(vendor, url)
        with pytest.raises(Transient):
            await provider.send(outgoing(CASES[vendor].channel))
        await provider.close()


@VENDORS
@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.RESET, Fault.HALF_A_BODY, Fault.SILENCE])
async def test_cut_off_after_writing_is_unknown(vendor: str, fault: Fault) -> None:
    timeout_s = 1 if fault is Fault.SILENCE else PATIENCE_S
    async with served(vendor, fault, timeout_s=timeout_s) as (server, provider):
        with pytest.raises(Unknown):
            await provider.send(outgoing(CASES[vendor].channel))
        await soon(lambda: sends(server), "the request")
        assert len(sends(server)) == 1, "an adapter never repeats a send by itself"


@VENDORS
async def test_a_refusal_is_not_repeated(vendor: str) -> None:
    async with served(vendor, Answer(503)) as (server, provider):
        with pytest.raises(DeliveryError):
            await provider.send(outgoing(CASES[vendor].channel))
        assert len(sends(server)) == 1


@VENDORS
async def test_what_is_too_large_is_not_sent(vendor: str) -> None:
    case = CASES[vendor]
    async with served(vendor, case.good) as (server, provider):
        with pytest.raises(Rejected) as caught:
            await provider.send(outgoing(case.channel, case.too_large))
        assert caught.value.code == "too_large"
        assert sends(server) == []


@VENDORS
async def test_content_of_another_channel_is_refused(vendor: str) -> None:
    wrong = "sms" if CASES[vendor].channel != "sms" else "email"
    async with served(vendor, CASES[vendor].good) as (server, provider):
        with pytest.raises(Rejected):
            await provider.send(outgoing(CASES[vendor].channel, CONTENTS[wrong]))
        assert server.requests == []


@VENDORS
async def test_provider_texts_are_cleaned(vendor: str) -> None:
    case = CASES[vendor]
    target = outgoing(case.channel).message.target.address
    text = f"Invalid {target}: 'wherefore art thou' for Gate B12 moved, see https://x.example/?t={target}"
    xml = f"<ErrorResponse><Error><Code>InvalidParameter</Code><Message>{text}</Message></Error>"
    bodies: dict[str, object] = {
        "vonage": {"messages": [{"status": "3", "error-text": text}]},
        "sendgrid": {"errors": [{"message": text, "field": "content"}]},
        "ses": {"message": text},
        "mailgun": {"message": text},
        "mandrill": {"status": "error", "code": -2, "name": "ValidationError", "message": text},
        "twilio": {"code": 21602, "message": text, "status": 400},
        "twilio-whatsapp": {"code": 21602, "message": text, "status": 400},
        "twilio-voice": {"code": 21205, "message": text, "status": 400},
        "fcm": {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}},
    }
    said = Answer(400, xml.encode()) if vendor == "sns" else json_answer(400, bodies[vendor])
    error = await refused(vendor, said)
    assert "Invalid" in str(error)
    assert len(str(error)) <= 200


@VENDORS
async def test_many_at_once(vendor: str) -> None:
    case = CASES[vendor]
    async with served(vendor, case.good._replace(delay_s=0.02)) as (server, provider):
        receipts = await asyncio.gather(*[provider.send(outgoing(case.channel)) for _ in range(200)])
        assert {receipt.provider_message_id for receipt in receipts} == {case.receipt}
        assert len(sends(server)) == 200


@VENDORS
async def test_no_secret_in_a_repr(vendor: str) -> None:
    accounts = parse_accounts({"accounts": {"main": CASES[vendor].account}}, {}, PATH)
    for secret in ("s3cr3t", "aws-t0ken", "PRIVATE KEY"):
        assert secret not in repr(accounts)
        assert secret not in str(accounts.model_dump())


@VENDORS
async def test_leaves_nothing_open(vendor: str) -> None:
    async with served(vendor, CASES[vendor].good) as (_, provider):
        await provider.send(outgoing(CASES[vendor].channel))
    gc.collect()  # what was left open would warn here, and warnings are errors
