"""Vonage: every status of the sheet, verdicts of several parts, and signatures."""

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from pydantic import ValidationError

from tests.providers.samples import MARKS, NOW_S, PHONE, message, outgoing
from tests.providers.scripted_http import Answer, Request, json_answer
from tests.providers.test_adapters import CASES, refused, served
from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import SmsContent
from tocsin.providers.vonage import ERRORS, Vonage, VonageAccount
from tocsin.providers.vonage_signature import Method, signature

GOOD = CASES["vonage"].good

SHEET: dict[type[DeliveryError], list[str]] = {
    Throttled: ["1", "10"],
    Transient: ["5"],
    RecipientGone: ["6", "7", "33"],
    Rejected: ["2", "3", "12", "22"],
    # The sheet calls 23 (a wrong callback URL) content; but only the account's settings name one.
    Misconfigured: ["4", "8", "9", "11", "14", "15", "23", "29", "32"],
}


def form(request: Request) -> dict[str, str]:
    pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), "no field twice"
    return dict(pairs)


def sms(text: str = "Grüße & 100% +1 = 2", encoding: str = "GSM-7", sender: str = "Tocsin") -> SmsContent:
    return SmsContent(text=text, segments=1, encoding=encoding, sender=sender)


def verdicts(*statuses: str) -> Answer:
    """An answer with one part for each status."""
    parts = [
        {"status": status, "message-id": f"id-{number}", "error-text": "no"}
        for number, status in enumerate(statuses)
    ]
    return json_answer(200, {"message-count": str(len(parts)), "messages": parts})


def test_the_table_is_the_sheet_s() -> None:
    found = {kind: sorted(status for status in ERRORS if ERRORS[status] is kind) for kind in SHEET}
    assert found == {kind: sorted(statuses) for kind, statuses in SHEET.items()}


@pytest.mark.parametrize("status", sorted(ERRORS))
async def test_every_status_of_the_sheet(status: str) -> None:
    error = await refused("vonage", verdicts(status))
    assert type(error) is ERRORS[status], "the HTTP status is 200 all the same"
    assert (str(error), error.code) == ("no", status)


@pytest.mark.parametrize(
    ("status", "about"),
    [("15", About.MESSAGE), ("29", About.MESSAGE), ("4", About.ACCOUNT), ("7", About.RECIPIENT)],
)
async def test_one_country_closes_no_account(status: str, about: About) -> None:
    error = await refused("vonage", verdicts(status))
    assert error.about == about


async def test_a_status_that_nobody_knows_is_left_to_other_accounts() -> None:
    error = await refused("vonage", verdicts("99"))
    assert (type(error), error.failover, error.code) == (Declined, True, "99")


async def test_the_form_of_one_sms() -> None:
    options = {
        "status_callback": "https://hooks.example/dlr",
        "entity_id": "1101456324675322134",
        "content_id": "1107457532145798767",
    }
    soon = message("sms", expires_ms=int(NOW_S * 1000) + 90_000)
    sent = msgspec.structs.replace(outgoing("sms", sms()), message=soon)
    async with served("vonage", GOOD, **options) as (server, provider):
        await provider.send(sent)
    fields = form(server.requests[0])
    callback = urlsplit(fields.pop("callback"))
    assert dict(parse_qsl(callback.query)) == {"message_id": soon.message_id, "tocsin_mark": MARKS.of(soon)}
    assert server.requests[0].path == "/sms/json"
    assert fields == {
        "api_key": "abcd1234",
        "api_secret": "vn-s3cr3t",
        "from": "Tocsin",
        "to": PHONE.removeprefix("+"),
        "text": "Grüße & 100% +1 = 2",
        "type": "text",
        "client-ref": soon.message_id,
        "ttl": "90000",
        "entity-id": options["entity_id"],
        "content-id": options["content_id"],
    }


@pytest.mark.parametrize(("left_ms", "ttl"), [(1, "20000"), (-5, "20000"), (10**12, "604800000"), (0, None)])
async def test_the_time_to_live_stays_within_bounds(left_ms: int, ttl: str | None) -> None:
    due = message("sms", expires_ms=int(NOW_S * 1000) + left_ms if left_ms else 0)
    async with served("vonage", GOOD) as (server, provider):
        await provider.send(msgspec.structs.replace(outgoing("sms", sms()), message=due))
    assert form(server.requests[0]).get("ttl") == ttl


@pytest.mark.parametrize(("encoding", "kind"), [("GSM-7", "text"), ("UCS-2", "unicode")])
async def test_what_is_not_gsm_7_is_sent_as_unicode(encoding: str, kind: str) -> None:
    async with served("vonage", GOOD) as (server, provider):
        await provider.send(outgoing("sms", sms(encoding=encoding)))
    assert form(server.requests[0])["type"] == kind


@pytest.mark.parametrize(
    ("named", "own", "sender"),
    [
        ("Tocsin", "", "Tocsin"),
        ("Tocsin", "+4477", "Tocsin"),
        ("+15005550006", "+447700900000", "447700900000"),
        ("MG" + "b" * 32, "Flights", "Flights"),
        ("+15005550006", "", "15005550006"),
    ],
)
async def test_another_vendor_s_number_is_no_sender_here(named: str, own: str, sender: str) -> None:
    async with served("vonage", GOOD, sender=own) as (server, provider):
        await provider.send(outgoing("sms", sms(sender=named)))
    assert form(server.requests[0])["from"] == sender


async def test_a_sender_must_come_from_somewhere() -> None:
    async with served("vonage", GOOD) as (server, provider):
        with pytest.raises(Misconfigured):
            await provider.send(outgoing("sms", sms(sender="")))
        assert server.requests == []


async def test_all_parts_must_be_accepted() -> None:
    async with served("vonage", verdicts("0", "0", "0")) as (_, provider):
        assert (await provider.send(outgoing("sms", sms()))).provider_message_id == "id-0"
    error = await refused("vonage", verdicts("0", "1", "0"))
    assert (type(error), error.code) == (Rejected, "1"), "a repeat would send two parts twice"
    assert str(error) == "1 of 3 parts were refused: no"
    assert type(await refused("vonage", verdicts("1", "1"))) is Throttled


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"messages": []}', b"<html>", b'{"messages": [{"status": 0}]}']
)
async def test_an_answer_without_a_verdict_leaves_it_open(body: bytes) -> None:
    assert type(await refused("vonage", Answer(200, body))) is Unknown


KEYED: list[tuple[Method, Any]] = [
    ("md5", hashlib.md5),
    ("sha1", hashlib.sha1),
    ("sha256", hashlib.sha256),
    ("sha512", hashlib.sha512),
]


@pytest.mark.parametrize(("method", "kind"), KEYED)
async def test_a_signed_request_names_no_secret(method: Method, kind: Any) -> None:
    async with served("vonage", GOOD, signature_secret="sig-s3cr3t", signature_method=method) as (
        server,
        provider,
    ):
        await provider.send(outgoing("sms", sms()))
    fields = form(server.requests[0])
    assert "api_secret" not in fields
    assert fields["timestamp"] == str(int(NOW_S))
    sig = fields.pop("sig")
    text = "".join(f"&{name}={fields[name].translate({38: '_', 61: '_'})}" for name in sorted(fields))
    assert "&text=Grüße _ 100% +1 _ 2&" in text
    assert sig.lower() == hmac.new(b"sig-s3cr3t", text.encode(), kind).hexdigest()


def test_the_first_method_is_a_hash_of_text_and_secret() -> None:
    fields = {"to": "1", "a": "x=y&z", "sig": "old"}
    assert signature(fields, "s", "md5hash").lower() == hashlib.md5(b"&a=x_y_z&to=1s").hexdigest()


async def test_the_balance_proves_the_credentials() -> None:
    async with served("vonage", json_answer(200, {"value": 10.28, "autoReload": False})) as (
        server,
        provider,
    ):
        assert isinstance(provider, Vonage)
        assert await provider.verify() == "account abcd1234, balance 10.28 EUR"
    request = server.requests[0]
    assert (request.method, request.path) == ("GET", "/account/get-balance")
    assert request.headers["authorization"].startswith("Basic ")
    async with served("vonage", json_answer(401, {"error-code": "401"})) as (_, provider):
        assert isinstance(provider, Vonage)
        with pytest.raises(Misconfigured, match="refuses api_key and api_secret"):
            await provider.verify()


@pytest.mark.parametrize("field", [{"api_key": "x"}, {"signature_method": "md4"}, {"api_secret": None}])
def test_an_account_that_cannot_work_is_refused(field: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        VonageAccount.model_validate(CASES["vonage"].account | field)
