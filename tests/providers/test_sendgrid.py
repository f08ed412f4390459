"""SendGrid: the body against the published contract, and the classes of its refusals."""

from typing import Any

import msgspec
import pytest

from tests.providers.samples import EMAIL, MARKS, NOW_S, message, outgoing
from tests.providers.scripted_http import Answer, json_answer
from tests.providers.test_adapters import refused, served
from tocsin.errors import Misconfigured, Rejected, Throttled, Transient
from tocsin.model.content import EmailContent
from tocsin.model.message import Target
from tocsin.providers.sendgrid import ERRORS, mail_document

# The part of SendGrid's OpenAPI contract (tsg_mail_v3, mail/send) that our bodies touch: name to type, and
# whether it is required. `custom_args` as the API takes it, an object of strings.
PARTY = {"email!": str, "name": str}
CONTRACT: dict[str, Any] = {
    "personalizations!": [{"to!": [PARTY], "custom_args": {str: str}}],
    "from!": PARTY,
    "reply_to": PARTY,
    "subject!": str,
    "content": [{"type!": str, "value!": str}],
    "headers": {str: str},
    "categories": [str],
    "mail_settings": {"sandbox_mode": {"enable": bool}},
    "tracking_settings": {"subscription_tracking": {"enable": bool}},
}


def mismatches(value: Any, schema: Any, place: str = "body") -> list[str]:
    """List where a document is not what the contract says."""
    if isinstance(schema, type):
        return [] if type(value) is schema and value != "" else [place]
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [place]
        return [each for item in value for each in mismatches(item, schema[0], f"{place}[]")]
    if not isinstance(value, dict):
        return [place]
    if str in schema:
        return [f"{place}.{key}" for key, item in value.items() if type(item) is not schema[str]]
    names = {name.removesuffix("!"): kind for name, kind in schema.items()}
    missing = [f"{place}.{name[:-1]}" for name in schema if name.endswith("!") and name[:-1] not in value]
    unknown = [f"{place}.{name}" for name in value if name not in names]
    known = [
        each
        for name in value
        if name in names
        for each in mismatches(value[name], names[name], f"{place}.{name}")
    ]
    return missing + unknown + known


def content(**fields: Any) -> EmailContent:
    defaults = {"subject": "s", "text": "plain", "html": "<p>rich</p>", "sender": "a@example.com"}
    return EmailContent(**(defaults | fields))


FULL = content(
    sender_name="Müller",
    reply_to="help@example.com",
    headers={
        "List-Unsubscribe": "<https://e.com/u/1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
)


@pytest.mark.parametrize("mail", [FULL, content(), content(html=""), content(text="")])
def test_the_body_keeps_the_contract(mail: EmailContent) -> None:
    document = msgspec.json.decode(msgspec.json.encode(mail_document(message("email"), mail)))
    assert mismatches(document, CONTRACT) == []


def test_the_contract_check_finds_mistakes() -> None:
    document = mail_document(message("email"), FULL)
    assert mismatches(document | {"subject": 7}, CONTRACT) == ["body.subject"]
    assert mismatches(document | {"bcc": []}, CONTRACT) == ["body.bcc"]
    assert mismatches({"from": {}}, CONTRACT) == ["body.personalizations", "body.subject", "body.from.email"]


async def test_the_request() -> None:
    async with served("sendgrid", Answer(202), validate_only=True) as (server, provider):
        await provider.send(outgoing("email", FULL))
        request = server.requests[0]
    body: Any = request.json()
    assert request.path == "/v3/mail/send"
    assert request.headers["authorization"] == "Bearer SG.s3cr3t"
    assert request.headers["content-type"] == "application/json"
    [envelope] = body["personalizations"]
    assert envelope["to"] == [{"email": EMAIL}]
    sent = message("email")
    assert envelope["custom_args"] == {"message_id": sent.message_id, "tocsin_mark": MARKS.of(sent)}
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert body["from"] == {"email": "a@example.com", "name": "Müller"}
    assert body["reply_to"] == {"email": "help@example.com"}
    assert body["mail_settings"] == {"sandbox_mode": {"enable": True}}


def test_our_unsubscribe_link_is_not_replaced_by_theirs() -> None:
    document = mail_document(message("email"), FULL)
    assert document["headers"]["List-Unsubscribe"] == "<https://e.com/u/1>"
    assert document["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert document["tracking_settings"]["subscription_tracking"] == {"enable": False}
    assert "tracking_settings" not in mail_document(message("email"), content())


def test_reserved_headers_are_left_out() -> None:
    asked = {"BCC": "x@y.z", "X-SG-ID": "1", "Content-Type": "text/x", "X-Mine": "a\r\nBcc: b"}
    headers = mail_document(message("email"), content(headers=asked))["headers"]
    assert headers == {"Auto-Submitted": "auto-generated", "X-Mine": "a Bcc: b"}


@pytest.mark.parametrize("mail", [content(subject=""), content(text="", html="")])
def test_what_sendgrid_would_refuse_is_not_built(mail: EmailContent) -> None:
    with pytest.raises(Rejected):
        mail_document(message("email"), mail)


def test_the_table_is_the_sheet_s() -> None:
    by_class = {
        kind: sorted(code for code in ERRORS if ERRORS[code] is kind) for kind in set(ERRORS.values())
    }
    assert by_class == {
        Rejected: [400, 404, 405, 413],
        Misconfigured: [401, 403],
        Throttled: [429],
        Transient: [500, 502, 503, 504],
    }


@pytest.mark.parametrize("status", sorted(ERRORS))
async def test_every_status_of_the_table(status: int) -> None:
    error = await refused("sendgrid", json_answer(status, {"errors": [{"message": "no", "field": None}]}))
    assert type(error) is ERRORS[status]
    assert (str(error), error.code) == ("no", str(status))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("personalizations.0.to.0.email", "Does not contain a valid address."),
        ("personalizations.0.to.0.email", "Each email address should be unique between to, cc, and bcc."),
        ("personalizations.0.to", "The to array is required and must have at least one email."),
        ("from.email", "does not hold"),
        (None, "does not hold"),
    ],
)
async def test_a_400_is_no_proof_about_the_recipient(field: str | None, message: str) -> None:
    """SendGrid looks at the request: no server of the recipient was asked, so no address is blocked."""
    error = await refused("sendgrid", json_answer(400, {"errors": [{"message": message, "field": field}]}))
    assert type(error) is Rejected
    assert str(error) == f"{field or ''} {message}".strip()


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ((("X-RateLimit-Reset", str(int(NOW_S) + 9)),), 9),
        ((("X-RateLimit-Reset", str(int(NOW_S) - 9)),), 0),
        ((("X-RateLimit-Reset", str(int(NOW_S) + 9)), ("Retry-After", "2")), 2),
        ((("X-RateLimit-Reset", "soon"),), None),
        ((), None),
    ],
)
async def test_when_to_come_back(headers: tuple[tuple[str, str], ...], wait_s: float | None) -> None:
    assert (await refused("sendgrid", Answer(429, headers=headers))).retry_after_s == wait_s


def test_domains_beyond_ascii_are_written_as_dns_does() -> None:
    document = mail_document(
        message("email", target=Target("ada@straße.example")), content(sender="a@βόλος.example")
    )
    assert document["personalizations"][0]["to"] == [{"email": "ada@xn--strae-oqa.example"}]
    assert document["from"] == {"email": "a@xn--nxasmm1c.example"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (json_answer(200, {"scopes": ["mail.send"]}), ""),
        (json_answer(200, {"scopes": ["user.read"]}), "the key may not send"),
        (Answer(200, b"<html>"), "the key may not send"),
        (
            json_answer(401, {"errors": [{"message": "authorization required"}]}),
            "authorization",
        ),
    ],
)
async def test_a_key_is_proven_without_a_mail(answer: Answer, told: str) -> None:
    async with served("sendgrid", answer) as (server, provider):
        if told:
            with pytest.raises(Misconfigured, match=told):
                await provider.verify()  # type: ignore[attr-defined]  # of vendors that can be asked
        else:
            assert await provider.verify() == "the key may send mail"  # type: ignore[attr-defined]  # as above
        assert [(request.method, request.path) for request in server.requests] == [("GET", "/v3/scopes")]
