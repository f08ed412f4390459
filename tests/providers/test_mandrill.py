"""Mailchimp Transactional: the request, refusals inside a 200, permanent errors inside a 500, and batches."""

from typing import Any

import msgspec
import pytest

from tests.providers.samples import EMAIL, MARKS, message, outgoing, personal_mail
from tests.providers.scripted_http import Answer, json_answer
from tests.providers.test_adapters import adapter, refused, served
from tocsin.errors import (
    About,
    DeliveryError,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import EmailContent
from tocsin.providers.base import Receipt
from tocsin.providers.mandrill import ERRORS, VERDICTS

FULL = EmailContent(
    subject="Grüße",
    text="plain\n",
    html="<p>rich</p>\n",
    sender="a@bücher.example",
    sender_name="Müller",
    reply_to="help@example.com",
    headers={"X-Mine": "a\r\nBcc: b", "Bcc": "x@example.com"},
)


def verdict(status: str = "sent", email: str = EMAIL, **fields: Any) -> dict[str, Any]:
    return {"email": email, "status": status, "_id": "md-1", "reject_reason": None} | fields


async def test_the_request() -> None:
    answer = json_answer(200, [verdict()])
    async with served("mandrill", answer, subaccount="acme", ip_pool="main") as (server, provider):
        await provider.send(outgoing("email", FULL, notification="_gate"))
        [request] = server.requests
    sent = message("email", notification="_gate")
    assert (request.method, request.path) == ("POST", "/messages/send")
    assert request.json() == {
        "key": "md-s3cr3t",
        "async": False,
        "ip_pool": "main",
        "message": {
            "from_email": "a@xn--bcher-kva.example",
            "from_name": "Müller",
            "to": [{"email": EMAIL, "type": "to"}],
            "subject": "Grüße",
            "text": "plain\n",
            "html": "<p>rich</p>\n",
            "headers": {
                "Auto-Submitted": "auto-generated",
                "X-Mine": "a Bcc: b",
                "Reply-To": "help@example.com",
            },
            "metadata": {"message_id": sent.message_id, "tocsin_mark": MARKS.of(sent)},
            "tags": ["gate"],
            "preserve_recipients": False,
            "subaccount": "acme",
        },
    }


@pytest.mark.parametrize("change", [{"subject": ""}, {"text": "", "html": ""}, {"subject": "x" * 999}])
async def test_what_mandrill_would_refuse_is_not_sent(change: dict[str, str]) -> None:
    async with served("mandrill", json_answer(200, [verdict()])) as (server, provider):
        with pytest.raises(Rejected):
            await provider.send(outgoing("email", msgspec.structs.replace(FULL, **change)))
    assert server.requests == []


TAKEN = [
    (verdict("sent"), "sent"),
    (verdict("queued"), "queued"),
    (verdict("scheduled"), "scheduled"),
    (verdict("queued", queued_reason="hourly-quota-exhausted"), "hourly-quota-exhausted"),
    (verdict("sent", email=EMAIL.upper()), "sent"),
]


@pytest.mark.parametrize(("said", "code"), TAKEN)
async def test_what_is_taken(said: dict[str, Any], code: str) -> None:
    async with served("mandrill", json_answer(200, [said])) as (_, provider):
        assert await provider.send(outgoing("email")) == Receipt("md-1", code)


REFUSED: list[tuple[dict[str, Any], type[DeliveryError], About, str]] = [
    (verdict("rejected", reject_reason="hard-bounce"), RecipientGone, About.RECIPIENT, "hard-bounce"),
    (verdict("invalid"), RecipientGone, About.RECIPIENT, "invalid"),
    (verdict("rejected", reject_reason="invalid"), RecipientGone, About.RECIPIENT, "invalid"),
    (verdict("rejected", reject_reason="unsub"), OptedOut, About.RECIPIENT, "unsub"),
    (verdict("rejected", reject_reason="spam"), OptedOut, About.RECIPIENT, "spam"),
    (verdict("rejected", reject_reason="soft-bounce"), Transient, About.RECIPIENT, "soft-bounce"),
    (verdict("rejected", reject_reason="custom"), Rejected, About.RECIPIENT, "custom"),
    (verdict("rejected", reject_reason="rule"), Rejected, About.MESSAGE, "rule"),
    (verdict("rejected", reject_reason="invalid-sender"), Misconfigured, About.ACCOUNT, "invalid-sender"),
    (verdict("rejected", reject_reason="unsigned"), Misconfigured, About.ACCOUNT, "unsigned"),
    (verdict("rejected", reject_reason="test-mode-limit"), Misconfigured, About.ACCOUNT, "test-mode-limit"),
    (verdict("rejected", reject_reason="news-of-2027"), Rejected, About.MESSAGE, "news-of-2027"),
    (verdict("rejected"), Rejected, About.MESSAGE, "rejected"),
    (verdict("sent", email="somebody@else.example"), Unknown, About.MOMENT, "200"),
]


@pytest.mark.parametrize(("said", "kind", "about", "code"), REFUSED)
async def test_a_200_with_a_refusal_is_one(
    said: dict[str, Any], kind: type[DeliveryError], about: About, code: str
) -> None:
    error = await refused("mandrill", json_answer(200, [said]))
    assert (type(error), error.about, error.code) == (kind, about, code)


def test_every_reason_of_the_table_is_tested() -> None:
    assert {code for *_, code in REFUSED} >= set(VERDICTS)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'[{"email": 7}]'])
async def test_a_200_without_a_verdict_may_have_sent(body: bytes) -> None:
    assert type(await refused("mandrill", Answer(200, body))) is Unknown


@pytest.mark.parametrize("status", [500, 400, 401])
@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_name_of_the_table(name: str, status: int) -> None:
    """The name decides: for years every error had the status 500, permanent ones too."""
    body = {"status": "error", "code": -1, "name": name, "message": "no"}
    error = await refused("mandrill", json_answer(status, body))
    assert (type(error), error.code, str(error)) == (ERRORS[name], name, "no")


def test_the_table_is_the_sheet_s() -> None:
    by_class = {kind: {name for name in ERRORS if ERRORS[name] is kind} for kind in set(ERRORS.values())}
    assert by_class == {
        Rejected: {"ValidationError", "Invalid_Template", "Unknown_Template", "Invalid_Tag_Name"},
        Misconfigured: {"Invalid_Key", "PaymentRequired", "Unknown_Subaccount", "PoorReputation"},
        Throttled: {"RequestLimitExceeded"},
        Transient: {"GeneralError", "ServiceUnavailable"},
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, Throttled), (402, Misconfigured), (401, Misconfigured), (502, Transient), (400, Rejected)],
)
async def test_a_name_unheard_of_is_classed_by_its_status(status: int, kind: type[DeliveryError]) -> None:
    body = {"status": "error", "code": 9, "name": "Newest_Error", "message": "no"}
    assert type(await refused("mandrill", json_answer(status, body))) is kind


def batch(*names: str, **headers: str) -> list[Any]:
    """Build mails of one template."""
    return [personal_mail(FULL, name, html=f"<p>{name}</p>\n", headers=headers) for name in names]


async def test_each_recipient_of_a_batch_has_a_verdict_of_its_own() -> None:
    said = [
        verdict(email="cat@example.com", _id="md-3"),
        verdict("rejected", email="bob@example.com", reject_reason="hard-bounce"),
        verdict(email="ada@example.com"),
    ]
    mails = batch("ada", "bob", "cat", "dan")
    async with served("mandrill", json_answer(200, said)) as (server, provider):
        answers = await provider.send_batch(mails)  # type: ignore[attr-defined]  # a BatchProvider
        [request] = server.requests
    assert answers[0] == Receipt("md-1", "sent")
    assert answers[2] == Receipt("md-3", "sent")
    assert [type(answer) for answer in (answers[1], answers[3])] == [RecipientGone, Unknown]
    body: Any = request.json()["message"]
    variables = {each["rcpt"]: each["vars"] for each in body.pop("merge_vars")}
    metadata = {each["rcpt"]: each["values"] for each in body.pop("recipient_metadata")}
    assert [each["email"] for each in body.pop("to")] == [
        f"{name}@example.com" for name in ("ada", "bob", "cat", "dan")
    ]
    assert not [name for name in ("ada", "bob", "cat", "dan") if name in str(body)]
    assert (body["subject"], body["preserve_recipients"]) == ("Hi {{{t0}}}", False)
    assert {own["content"] for own in variables["ada@example.com"]} == {"ada"}
    assert metadata["bob@example.com"]["message_id"] == f"{'bob':0>32}"


def test_mails_with_links_of_their_own_in_headers_go_alone() -> None:
    """Mandrill has no variables for headers, and nobody may get another's unsubscribe link."""
    provider: Any = adapter("mandrill", "http://127.0.0.1:1")
    same = [
        provider.batch_key(each)
        for each in batch("ada", "bob", **{"List-Unsubscribe": "<https://e.com/all>"})
    ]
    assert same[0]
    assert same[0] == same[1]
    [own] = batch("ada", **{"List-Unsubscribe": "<https://e.com/u/ada>"})
    assert provider.batch_key(own) != same[0]
    [braces] = batch("{{ada}}")
    assert provider.batch_key(braces) == ""
    assert provider.batch.most == 10


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (json_answer(200, {"PING": "PONG!"}), True),
        (
            json_answer(
                500, {"status": "error", "code": -1, "name": "Invalid_Key", "message": "Invalid API key"}
            ),
            False,
        ),
    ],
)
async def test_a_key_is_proven_without_a_mail(answer: Answer, *, right: bool) -> None:
    async with served("mandrill", answer) as (server, provider):
        if right:
            assert await provider.verify() == "the key is known"  # type: ignore[attr-defined]  # can be asked
        else:
            with pytest.raises(Misconfigured, match="Invalid API key"):
                await provider.verify()  # type: ignore[attr-defined]  # can be asked
        assert (server.requests[0].path, server.requests[0].json()) == ("/users/ping2", {"key": "md-s3cr3t"})
