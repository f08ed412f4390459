"""Amazon SNS: every code of the sheet, the attributes of an SMS, and what an account's settings become."""

from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import pytest
from pydantic import ValidationError

from tests.providers.samples import PHONE, message, outgoing
from tests.providers.scripted_http import Answer, Request
from tests.providers.test_adapters import CASES, refused, served
from tocsin.errors import (
    Declined,
    DeliveryError,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import SmsContent
from tocsin.providers.sns import ERRORS, Sns, SnsAccount

GOOD = CASES["sns"].good

SHEET: list[tuple[int, str, type[DeliveryError]]] = [
    (400, "InvalidParameter", Rejected),
    (400, "ParameterValueInvalid", Rejected),
    (400, "ValidationException", Rejected),
    (400, "OptedOut", OptedOut),
    (429, "Throttled", Throttled),
    (400, "Throttling", Throttled),
    (500, "InternalError", Transient),
    (503, "ServiceUnavailable", Transient),
    (403, "AuthorizationError", Misconfigured),
    (403, "InvalidSecurity", Misconfigured),
    (403, "InvalidClientTokenId", Misconfigured),
    (403, "SignatureDoesNotMatch", Misconfigured),
    (403, "RequestExpired", Misconfigured),
    (404, "NotFound", Misconfigured),
    (400, "EndpointDisabled", Misconfigured),
    (400, "PlatformApplicationDisabled", Misconfigured),
    (400, "KMSDisabled", Misconfigured),
    (400, "KMSAccessDenied", Misconfigured),
]


def error_answer(status: int, code: str, said: str = "no") -> Answer:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(said)}</Message>"
    return Answer(status, f"{body}</Error><RequestId>r</RequestId></ErrorResponse>".encode())


def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def attributes(request: Request) -> dict[str, tuple[str, str]]:
    """Read the numbered attributes: name to type and value."""
    fields, found = form(request), {}
    count = sum(name.endswith(".Name") for name in fields)
    for number in range(1, count + 1):
        start = f"MessageAttributes.entry.{number}"
        kind, value = fields[f"{start}.Value.DataType"], fields[f"{start}.Value.StringValue"]
        found[fields[f"{start}.Name"]] = (kind, value)
    return found


def sms(text: str = "Grüße & <1>", sender: str = "") -> SmsContent:
    return SmsContent(text=text, segments=1, encoding="GSM-7", sender=sender)


@pytest.mark.parametrize(("status", "code", "kind"), SHEET)
async def test_every_code_of_the_sheet(status: int, code: str, kind: type[DeliveryError]) -> None:
    error = await refused("sns", error_answer(status, code))
    assert (type(error), str(error), error.code) == (kind, "no", code)


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_the_code_decides_and_not_the_http_status(code: str) -> None:
    assert type(await refused("sns", error_answer(400, code))) is ERRORS[code]


async def test_an_invalid_number_is_gone() -> None:
    said = f"Invalid parameter: PhoneNumber Reason: {PHONE} is not valid to publish to"
    error = await refused("sns", error_answer(400, "InvalidParameter", said))
    assert type(error) is RecipientGone
    assert str(error) == "Invalid parameter: PhoneNumber Reason: […] is not valid to publish to"


@pytest.mark.parametrize("name", ["AWS.MM.SMS.OriginationNumber", "AWS.SNS.SMS.SenderID"])
async def test_a_number_that_is_the_senders_blocks_no_recipient(name: str) -> None:
    said = f"Invalid parameter: {name} Reason: +15005550006 is not a phone number of this account"
    assert type(await refused("sns", error_answer(400, "InvalidParameter", said))) is Declined


async def test_a_5xx_that_amazon_did_not_write_leaves_it_open() -> None:
    assert type(await refused("sns", Answer(502, b"<html>Bad Gateway</html>"))) is Unknown
    assert type(await refused("sns", error_answer(500, "Unheard"))) is Transient


async def test_the_request_of_one_sms() -> None:
    async with served("sns", GOOD) as (server, provider):
        await provider.send(outgoing("sms", sms()))
    request = server.requests[0]
    fields = {name: value for name, value in form(request).items() if "entry" not in name}
    assert fields == {
        "Action": "Publish",
        "Version": "2010-03-31",
        "PhoneNumber": PHONE,
        "Message": "Grüße & <1>",
    }
    assert attributes(request) == {"AWS.SNS.SMS.SMSType": ("String", "Promotional")}
    scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLEEXAMPLE/20231114/eu-west-1/sns/aws4_request"
    assert request.headers["authorization"].startswith(scope)
    assert "x-amz-security-token" not in request.headers


async def test_a_repetition_names_the_same_invocation() -> None:
    async with served("sns", GOOD) as (server, provider):
        await provider.send(outgoing("sms", sms()))
        await provider.send(outgoing("sms", sms()))
    named = {request.headers["amz-sdk-invocation-id"].replace("-", "") for request in server.requests}
    assert named == {message("sms").message_id}


@pytest.mark.parametrize(
    ("sms_type", "priority", "sent"),
    [
        ("auto", "critical", "Transactional"),
        ("auto", "high", "Transactional"),
        ("auto", "normal", "Promotional"),
        ("auto", "low", "Promotional"),
        ("Transactional", "low", "Transactional"),
        ("Promotional", "critical", "Promotional"),
    ],
)
async def test_what_matters_is_transactional(sms_type: str, priority: str, sent: str) -> None:
    async with served("sns", GOOD, sms_type=sms_type) as (server, provider):
        await provider.send(outgoing("sms", sms(), priority=priority))
    assert attributes(server.requests[0])["AWS.SNS.SMS.SMSType"] == ("String", sent)


@pytest.mark.parametrize(
    ("named", "own", "name", "sender"),
    [
        ("Tocsin", "+4477009", "AWS.SNS.SMS.SenderID", "Tocsin"),
        ("Fly Tocsin", "", "AWS.SNS.SMS.SenderID", "FlyTocsin"),
        ("+15005550006", "+447700900000", "AWS.MM.SMS.OriginationNumber", "+447700900000"),
        ("+15005550006", "", "AWS.MM.SMS.OriginationNumber", "+15005550006"),
        ("", "Flights", "AWS.SNS.SMS.SenderID", "Flights"),
    ],
)
async def test_a_sender_is_a_name_or_a_number(named: str, own: str, name: str, sender: str) -> None:
    async with served("sns", GOOD, sender=own) as (server, provider):
        await provider.send(outgoing("sms", sms(sender=named)))
    assert attributes(server.requests[0])[name] == ("String", sender)


async def test_the_options_of_an_account() -> None:
    options = {"max_price": 0.25, "entity_id": "11", "template_id": "12", "session_token": "t0ken"}
    async with served("sns", GOOD, **options) as (server, provider):
        await provider.send(outgoing("sms", sms()))
    request = server.requests[0]
    found = attributes(request)
    assert found["AWS.SNS.SMS.MaxPrice"] == ("Number", "0.25000")
    assert (found["AWS.MM.SMS.EntityId"][1], found["AWS.MM.SMS.TemplateId"][1]) == ("11", "12")
    assert request.headers["x-amz-security-token"] == "t0ken"
    assert "x-amz-security-token" in request.headers["authorization"]


async def test_a_text_of_too_many_bytes_is_left_to_an_account_that_counts_characters() -> None:
    async with served("sns", GOOD) as (server, provider):
        with pytest.raises(Declined) as caught:
            await provider.send(outgoing("sms", sms("Ж" * 801)))
        assert (caught.value.failover, server.requests) == (True, [])
        await provider.send(outgoing("sms", sms("Ж" * 800)))


async def test_the_account_s_settings_prove_the_keys() -> None:
    body = (
        b"<GetSMSAttributesResponse><GetSMSAttributesResult><attributes><entry><key>MonthlySpendLimit</key>"
        b"<value>25</value></entry></attributes></GetSMSAttributesResult></GetSMSAttributesResponse>"
    )
    async with served("sns", Answer(200, body)) as (server, provider):
        assert isinstance(provider, Sns)
        assert await provider.verify() == "account of key MPLE in eu-west-1, monthly spend limit 25 USD"
    assert form(server.requests[0]) == {"Action": "GetSMSAttributes", "Version": "2010-03-31"}
    async with served("sns", error_answer(403, "InvalidClientTokenId", "not valid")) as (_, provider):
        assert isinstance(provider, Sns)
        with pytest.raises(Misconfigured, match="not valid"):
            await provider.verify()


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://sns.eu-west-1.amazonaws.com"),
        ("cn-north-1", "https://sns.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "https://sns.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_a_region_has_its_address(region: str, url: str) -> None:
    assert SnsAccount.model_validate(CASES["sns"].account | {"region": region}).endpoint == url


@pytest.mark.parametrize(
    "field",
    [{"region": "Europe"}, {"access_key_id": "short"}, {"sender": "a name"}, {"sms_type": "transactional"}],
)
def test_an_account_that_cannot_work_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SnsAccount.model_validate(CASES["sns"].account | field)
