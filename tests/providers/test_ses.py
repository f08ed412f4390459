"""Amazon SES: the request, each row of its error table, and what its quota says."""

from base64 import b64decode
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest

from tests.providers.samples import EMAIL, MARKS, NOW_S, message, outgoing
from tests.providers.scripted_http import Answer, json_answer
from tests.providers.test_adapters import PATH, adapter, refused, served
from tocsin.errors import (
    DeliveryError,
    LimitReached,
    Misconfigured,
    Rejected,
    SettingsError,
    Throttled,
    Transient,
)
from tocsin.model.content import EmailContent
from tocsin.model.message import Target
from tocsin.providers.accounts import parse_accounts
from tocsin.providers.ses import DAY_LIMIT_S, ERRORS, SesAccount, mail_document

FULL = EmailContent(
    subject="Grüße",
    text="plain\n",
    html="<p>rich</p>\n",
    sender="a@bücher.example",
    sender_name="Müller, Ada",
    reply_to="help@example.com",
    headers={
        "List-Unsubscribe": "<https://e.com/u/1>, <mailto:u@e.com>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Bcc": "everybody@example.com",
    },
)


def failure(name: str, text: str = "no", status: int = 400) -> Answer:
    """Answer as SES does: the name with a namespace before it and an address behind it."""
    kind = f"com.amazonaws.sesv2#{name}:http://internal.amazon.com/coral/"
    return json_answer(status, {"message": text}, ("x-amzn-ErrorType", kind))


async def test_the_request() -> None:
    answer = json_answer(200, {"MessageId": "0102-1"})
    async with served("ses", answer, configuration_set="tocsin") as (server, provider):
        await provider.send(outgoing("email", FULL))
        [request] = server.requests
    assert (request.method, request.path) == ("POST", "/v2/email/outbound-emails")
    assert request.headers["x-amz-security-token"] == "aws-t0ken"
    scope = "AKIDEXAMPLE/20231114/eu-west-1/ses/aws4_request"
    assert request.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={scope}, ")
    body: Any = request.json()
    assert set(body) == {"Destination", "Content", "EmailTags", "ConfigurationSetName"}
    assert body["Destination"] == {"ToAddresses": [EMAIL]}
    assert body["ConfigurationSetName"] == "tocsin"
    sent = message("email")
    assert body["EmailTags"] == [
        {"Name": "message_id", "Value": sent.message_id},
        {"Name": "tocsin_mark", "Value": MARKS.of(sent)},
        {"Name": "notification", "Value": "gate_moved"},
    ]


def parsed(document: dict[str, Any]) -> EmailMessage:
    raw = b64decode(document["Content"]["Raw"]["Data"])
    return message_from_bytes(raw, policy=policy.default)


def test_the_mail_has_what_a_mail_must_have() -> None:
    mail = parsed(mail_document(message("email"), FULL))
    assert mail["List-Unsubscribe"] == "<https://e.com/u/1>, <mailto:u@e.com>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (mail["Subject"], mail["Reply-To"], mail["Bcc"]) == ("Grüße", "help@example.com", None)
    assert mail["From"].addresses[0].display_name == "Müller, Ada"
    assert mail["From"].addresses[0].addr_spec == "a@xn--bcher-kva.example"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_a_mark_that_is_too_long_for_a_tag_travels_in_the_mail() -> None:
    mark = "m" * 257
    document = mail_document(message("email"), FULL, mark)
    assert [tag["Name"] for tag in document["EmailTags"]] == ["message_id", "notification"]
    assert parsed(document)["X-Tocsin-Mark"] == mark


def test_a_name_that_no_tag_can_hold_is_left_out() -> None:
    document = mail_document(message("email", notification="gate moved!"), FULL)
    assert [tag["Name"] for tag in document["EmailTags"]] == ["message_id"]


@pytest.mark.parametrize(
    "change",
    [{"target": Target("adä@example.com")}, {"sender": "adä@example.com"}, {"reply_to": "adä@example.com"}],
)
def test_addresses_beyond_ascii_are_refused_before_a_request(change: dict[str, Any]) -> None:
    to = {name: value for name, value in change.items() if name == "target"}
    content = msgspec.structs.replace(FULL, **{name: change[name] for name in change if name != "target"})
    with pytest.raises(Rejected) as caught:
        mail_document(message("email", **to), content)
    assert caught.value.code == "not_ascii"


def test_the_table_is_the_sheet_s() -> None:
    by_class = {kind: {name for name in ERRORS if ERRORS[name] is kind} for kind in set(ERRORS.values())}
    assert by_class == {
        Rejected: {"MessageRejected", "BadRequestException"},
        Misconfigured: {
            "MailFromDomainNotVerifiedException",
            "AccountSuspendedException",
            "SendingPausedException",
            "NotFoundException",
            "AccessDeniedException",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "MissingAuthenticationToken",
            "ExpiredToken",
            "ExpiredTokenException",
        },
        Throttled: {
            "TooManyRequestsException",
            "LimitExceededException",
            "ThrottlingException",
            "Throttling",
        },
        Transient: {
            "InternalServiceErrorException",
            "InternalFailure",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        },
    }


@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_name_of_the_table(name: str) -> None:
    """The name decides, whatever the HTTP status."""
    error = await refused("ses", failure(name, status=418))
    assert type(error) is ERRORS[name]
    assert (str(error), error.code) == ("no", name)


SAID: list[tuple[Answer, type[DeliveryError], float | None]] = [
    (
        failure("MessageRejected", "Email address is not verified. The following identities failed"),
        Misconfigured,
        None,
    ),
    (failure("ThrottlingException", "Maximum sending rate exceeded."), Throttled, None),
    (failure("ThrottlingException", "Daily message quota exceeded."), LimitReached, DAY_LIMIT_S),
    (failure("TooManyRequestsException", "Daily message quota exceeded", 429), LimitReached, DAY_LIMIT_S),
    (json_answer(400, {"__type": "com.amazon#MessageRejected", "Message": "no"}), Rejected, None),
    (json_answer(403, {"message": "no"}, ("x-amzn-ErrorType", "NeverHeardOf")), Misconfigured, None),
    (json_answer(500, {"message": "no"}, ("x-amzn-ErrorType", "NeverHeardOf")), Transient, None),
]


@pytest.mark.parametrize(("answer", "kind", "wait_s"), SAID)
async def test_what_the_text_or_the_status_decides(
    answer: Answer, kind: type[DeliveryError], wait_s: float | None
) -> None:
    error = await refused("ses", answer)
    assert (type(error), error.retry_after_s) == (kind, wait_s)


QUOTA = {
    "SendingEnabled": True,
    "ProductionAccessEnabled": True,
    "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 12.0},
}
RIGHT = "quota in eu-west-1: 14 mails a second and 50,000 in 24 hours, 12 sent"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (json_answer(200, QUOTA), RIGHT),
        (
            json_answer(200, QUOTA | {"ProductionAccessEnabled": False}),
            f"{RIGHT}; in SES's sandbox, for verified recipients only",
        ),
        (
            failure("AccessDeniedException", status=403),
            "the keys may not read the quota (ses:GetAccount), so it is not known",
        ),
    ],
)
async def test_keys_are_proven_without_a_mail(answer: Answer, told: str) -> None:
    async with served("ses", answer) as (server, provider):
        assert await provider.verify() == told  # type: ignore[attr-defined]  # of vendors that can be asked
        assert [(request.method, request.path) for request in server.requests] == [
            ("GET", "/v2/email/account")
        ]


@pytest.mark.parametrize(
    "answer",
    [json_answer(200, QUOTA | {"SendingEnabled": False}), failure("InvalidClientTokenId", status=403)],
)
async def test_keys_that_do_not_work_are_told(answer: Answer) -> None:
    async with served("ses", answer) as (_, provider):
        with pytest.raises(Misconfigured):
            await provider.verify()  # type: ignore[attr-defined]  # of vendors that can be asked


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://email.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "https://email.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://email.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "https://email.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_each_region_has_its_host(region: str, url: str) -> None:
    account = SesAccount(vendor="ses", region=region, access_key_id="A", secret_access_key="s")
    assert account.endpoint == url


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-eusc"])
def test_topics_of_all_partitions_may_report(partition: str) -> None:
    arn = f"arn:{partition}:sns:eu-west-1:000000000000:bounces"
    given = {"vendor": "ses", "region": "eu-west-1", "access_key_id": "A", "secret_access_key": "s"}
    assert SesAccount.model_validate(given | {"topics": [arn]}).topics == (arn,)


@pytest.mark.parametrize(
    "change", [{"region": "Ireland"}, {"access_key_id": ""}, {"configuration_set": "a b"}]
)
def test_wrong_settings_are_told(change: dict[str, str]) -> None:
    right = {"vendor": "ses", "region": "eu-west-1", "access_key_id": "A", "secret_access_key": "s3cret"}
    with pytest.raises(SettingsError, match=rf"accounts\.a\.{next(iter(change))}") as caught:
        parse_accounts({"accounts": {"a": right | change}}, {}, PATH)
    assert "s3cret" not in str(caught.value)


async def test_signatures_carry_the_time_of_the_clock() -> None:
    async with served("ses", json_answer(200, {"MessageId": "1"})) as (server, provider):
        await provider.send(outgoing("email"))
    assert server.requests[0].headers["x-amz-date"] == "20231114T221320Z"
    assert NOW_S == 1_700_000_000
    assert adapter("ses", "http://127.0.0.1:1").limits.max_bytes == 40_000_000
