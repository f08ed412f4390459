"""Mailgun: the form, each row of its error table, and batches whose recipients do not see each other."""

from email import message_from_bytes, policy
from typing import Any

import msgspec
import pytest

from tests.providers.samples import EMAIL, MARKS, message, outgoing, personal_mail
from tests.providers.scripted_http import Answer, Request, json_answer
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
from tocsin.providers.mailgun import ERRORS, MAX_OPTIONS, MailgunAccount

OK = json_answer(200, {"id": "<mg-1@mg.example.com>", "message": "Queued. Thank you."})
FULL = EmailContent(
    subject="Grüße",
    text="plain\n\nend\n",
    html="<p>rich</p>\n",
    sender="a@bücher.example",
    sender_name='Müller "Ada"',
    reply_to="help@example.com",
    headers={
        "List-Unsubscribe": "<https://e.com/u/1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Bcc": "x@example.com",
        "X-Mine": "a\r\nBcc: b",
    },
)


def form(request: Request) -> list[tuple[str, str]]:
    """Read a form by the library's parser of mails, which knows multipart best."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    fields = []
    for part in message_from_bytes(head + request.body, policy=policy.HTTP).iter_parts():
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        fields.append((str(part.get_param("name", header="content-disposition")), value.decode()))
    return fields


async def test_the_request() -> None:
    async with served("mailgun", OK, validate_only=True) as (server, provider):
        await provider.send(outgoing("email", FULL))
        [request] = server.requests
    sent = message("email")
    assert (request.method, request.path) == ("POST", "/v3/mg.example.com/messages")
    assert request.headers["authorization"] == "Basic YXBpOm1nLXMzY3IzdA=="  # api:mg-s3cr3t
    assert sorted(form(request)) == sorted(
        [
            ("to", EMAIL),
            ("from", '"Müller \\"Ada\\"" <a@xn--bcher-kva.example>'),
            ("subject", "Grüße"),
            ("text", "plain\n\nend\n"),
            ("html", "<p>rich</p>\n"),
            ("h:Auto-Submitted", "auto-generated"),
            ("h:List-Unsubscribe", "<https://e.com/u/1>"),
            ("h:List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("h:X-Mine", "a Bcc: b"),
            ("h:Reply-To", "help@example.com"),
            ("v:message_id", sent.message_id),
            ("v:tocsin_mark", MARKS.of(sent)),
            ("o:tag", "gate_moved"),
            ("o:testmode", "yes"),
        ]
    )


async def test_a_text_that_holds_the_boundary_changes_it() -> None:
    sent = message("email")
    text = f'--form-{sent.message_id}\r\nContent-Disposition: form-data; name="bcc"\r\n\r\nx@example.com'
    async with served("mailgun", OK) as (server, provider):
        await provider.send(outgoing("email", msgspec.structs.replace(FULL, text=text)))
    fields = dict(form(server.requests[0]))
    assert (fields["text"], "bcc" in fields) == (text, False)


@pytest.mark.parametrize("change", [{"subject": ""}, {"text": "", "html": ""}])
async def test_what_mailgun_would_refuse_is_not_sent(change: dict[str, str]) -> None:
    async with served("mailgun", OK) as (server, provider):
        with pytest.raises(Rejected) as caught:
            await provider.send(outgoing("email", msgspec.structs.replace(FULL, **change)))
    assert (caught.value.code, server.requests) == ("empty", [])


async def test_headers_and_variables_have_a_limit() -> None:
    async with served("mailgun", OK) as (server, provider):
        with pytest.raises(Rejected, match="all headers and variables in bytes"):
            await provider.send(
                outgoing("email", msgspec.structs.replace(FULL, headers={"X-A": "x" * MAX_OPTIONS}))
            )
    assert server.requests == []


def test_the_table_is_the_sheet_s() -> None:
    by_class = {
        kind: sorted(code for code in ERRORS if ERRORS[code] is kind) for kind in set(ERRORS.values())
    }
    assert by_class == {
        Rejected: [400, 413],
        Misconfigured: [401, 402, 403, 404],
        Throttled: [429],
        Transient: [500, 502, 503, 504],
    }


SAID: list[tuple[Answer, type[DeliveryError], float | None]] = [
    (
        json_answer(400, {"message": "to parameter is not a valid address. please check documentation"}),
        Rejected,
        None,
    ),
    (
        json_answer(400, {"message": "Need at least one of 'text', 'html' or 'template' parameters"}),
        Rejected,
        None,
    ),
    (Answer(401, b"Forbidden"), Misconfigured, None),
    (json_answer(401, "Forbidden"), Misconfigured, None),
    (json_answer(402, {"message": "upgrade"}), Misconfigured, None),
    (json_answer(403, {"message": "no"}), Misconfigured, None),
    (json_answer(404, {"message": "Domain not found: mg.example.com"}), Misconfigured, None),
    (
        json_answer(400, {"message": "Domain mg.example.com is not allowed to send: account disabled"}),
        Misconfigured,
        None,
    ),
    (
        json_answer(
            400, {"message": "Sandbox subdomains are for test purposes only: add authorized recipients"}
        ),
        Misconfigured,
        None,
    ),
    (json_answer(413, {"message": "too big"}), Rejected, None),
    (
        json_answer(
            429,
            {"message": "Domain mg is not allowed to send: limit exceeded, try again after 120 seconds"},
        ),
        LimitReached,
        120,
    ),
    (json_answer(429, {"message": "hourly limit: try again after 2 hours"}), LimitReached, 7200),
    (json_answer(429, {"message": "Too many requests"}), Throttled, None),
    (json_answer(429, {"message": "slow down, again after 5 seconds"}, ("Retry-After", "9")), Throttled, 9),
    *[(json_answer(status, {"message": "oops"}), Transient, None) for status in (500, 502, 503, 504)],
]


@pytest.mark.parametrize(("answer", "kind", "wait_s"), SAID)
async def test_every_row_of_the_sheet(
    answer: Answer, kind: type[DeliveryError], wait_s: float | None
) -> None:
    error = await refused("mailgun", answer)
    assert (type(error), error.retry_after_s, error.code) == (kind, wait_s, str(answer.status))


def batch(*names: str, **fields: Any) -> list[Any]:
    """Build mails of one template, each with a link of its own."""
    links = {name: {"List-Unsubscribe": f"<https://e.com/u/{name}>"} for name in names}
    return [personal_mail(FULL, name, headers=links[name], **fields) for name in names]


async def test_a_batch_is_one_request_whose_texts_hold_nobodys_data() -> None:
    mails = batch("ada", "bob")
    async with served("mailgun", OK) as (server, provider):
        assert len({provider.batch_key(mail) for mail in mails}) == 1  # type: ignore[attr-defined]  # a BatchProvider
        receipts = await provider.send_batch(mails)  # type: ignore[attr-defined]  # a BatchProvider
        [request] = server.requests
    assert [receipt.provider_message_id for receipt in receipts] == ["mg-1@mg.example.com"] * 2
    fields = form(request)
    assert [value for name, value in fields if name == "to"] == ["ada@example.com", "bob@example.com"]
    single = {name: value for name, value in fields if name != "to"}
    variables = msgspec.json.decode(single.pop("recipient-variables"))
    assert not [value for value in single.values() if "ada" in value or "bob" in value]
    assert single["h:List-Unsubscribe"].startswith("%recipient.")
    assert set(variables) == {"ada@example.com", "bob@example.com"}
    assert "bob" not in str(variables["ada@example.com"])


async def test_two_mails_for_one_address_never_share_a_request() -> None:
    """Variables are kept by address: one of the two would get the other's text."""
    mails = [*batch("ada", "bob"), *batch("Ada")]
    mails[2] = outgoing("email", mails[2].content, target=Target("ADA@example.com"))
    async with served("mailgun", OK) as (server, provider):
        with pytest.raises(Rejected) as caught:
            await provider.send_batch(mails)  # type: ignore[attr-defined]  # a BatchProvider
    assert (caught.value.code, server.requests) == ("same_address", [])


def test_a_text_with_a_variable_of_mailgun_goes_alone() -> None:
    [one] = batch("ada")
    provider: Any = adapter("mailgun", "http://127.0.0.1:1")
    assert provider.batch_key(one)
    for field in ("subject", "text", "html"):
        own = msgspec.structs.replace(one.content, **{field: "%recipient.t0%"})
        assert provider.batch_key(outgoing("email", own)) == ""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (json_answer(200, {"domain": {"state": "active"}}), ""),
        (json_answer(200, {"domain": {"state": "unverified"}}), "the domain is unverified, not active"),
        (Answer(401, b"Forbidden"), "HTTP 401"),
        (json_answer(404, {"message": "Domain not found"}), "Domain not found"),
    ],
)
async def test_a_key_is_proven_without_a_mail(answer: Answer, told: str) -> None:
    async with served("mailgun", answer) as (server, provider):
        if told:
            with pytest.raises(Misconfigured, match=told):
                await provider.verify()  # type: ignore[attr-defined]  # of vendors that can be asked
        else:
            assert "mg.example.com is active" in await provider.verify()  # type: ignore[attr-defined]  # as above
        assert server.requests[0].path == "/v3/domains/mg.example.com"


@pytest.mark.parametrize("change", [{"region": "asia"}, {"domain": "localhost"}, {"max_batch": 1001}])
def test_wrong_settings_are_told(change: dict[str, object]) -> None:
    right = {"vendor": "mailgun", "domain": "mg.example.com", "api_key": "s3cret"}
    with pytest.raises(SettingsError, match=rf"accounts\.a\.{next(iter(change))}"):
        parse_accounts({"accounts": {"a": right | change}}, {}, PATH)


def test_each_region_has_its_host() -> None:
    right = {"vendor": "mailgun", "domain": "mg.example.com", "api_key": "s3cret"}
    for region, host in (("us", "https://api.mailgun.net"), ("eu", "https://api.eu.mailgun.net")):
        assert MailgunAccount.model_validate(right | {"region": region}).endpoint == host
