"""Twilio WhatsApp: the form against what the real SDK sends, templates and text, every code of the sheet."""

import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError
from twilio.rest import Client

from tests.providers.samples import PHONE, outgoing
from tests.providers.scripted_http import json_answer
from tests.providers.sdk import Redirected, form
from tests.providers.test_adapters import CASES, SID, refused, served
from tocsin.errors import (
    About,
    DeliveryError,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
)
from tocsin.model.content import WhatsAppContent
from tocsin.providers import twilio_messages
from tocsin.providers.twilio_whatsapp import ERRORS, TwilioWhatsApp, TwilioWhatsAppAccount

GOOD = CASES["twilio-whatsapp"].good
SERVICE = "MG" + "b" * 32
TEMPLATE = "HX" + "d" * 32
SENDER = "+15005550006"

SHEET: dict[type[DeliveryError], list[int]] = {
    RecipientGone: [63003, 63024],
    Rejected: [63005, 63013, 63016, 63021, 63032, 63033],
    Misconfigured: [63001, 63002, 63007, 63020, 63041, 63051],
    Throttled: [63018],
    Transient: [63010, 63012],
}


def test_the_table_is_the_sheet_s_and_that_of_messages() -> None:
    own = {code: kind for code, kind in ERRORS.items() if code not in twilio_messages.ERRORS}
    assert own == {code: kind for kind, codes in SHEET.items() for code in codes}
    assert (ERRORS[21211], ERRORS[21610]) == (RecipientGone, OptedOut)


@pytest.mark.parametrize("code", sorted(code for codes in SHEET.values() for code in codes))
async def test_every_code_of_whatsapp(code: int) -> None:
    error = await refused("twilio-whatsapp", json_answer(400, {"code": code, "message": "no", "status": 400}))
    assert (type(error), error.code) == (ERRORS[code], str(code))
    assert (error.about is About.MESSAGE) == (ERRORS[code] is Rejected or code == 63041)


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (WhatsAppContent("Grüße & 100% +1", SENDER), {"body": "Grüße & 100% +1"}),
        (
            WhatsAppContent("unused", SENDER, TEMPLATE, {"1": 'B"12"', "2": "ü"}),
            {"content_sid": TEMPLATE, "content_variables": '{"1":"B\\"12\\"","2":"ü"}'},
        ),
        (WhatsAppContent("unused", SENDER, TEMPLATE), {"content_sid": TEMPLATE}),
    ],
)
async def test_sends_what_the_sdk_sends(content: WhatsAppContent, asked: dict[str, str]) -> None:
    async with served("twilio-whatsapp", GOOD) as (server, provider):
        await provider.send(outgoing("whatsapp", content))
        http = Redirected(server.url)
        client = Client(SID, "tw-s3cr3t", http_client=http)
        who = {"to": f"whatsapp:{PHONE}", "from_": f"whatsapp:{SENDER}"}
        await asyncio.to_thread(client.messages.create, **who, **asked)
        http.session.close()
        ours, theirs = server.requests
    assert form(ours) == form(theirs)
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert ours.headers["authorization"] == theirs.headers["authorization"]


async def test_a_template_goes_before_the_text_and_its_values_are_json() -> None:
    content = WhatsAppContent("The gate is B12", SENDER, TEMPLATE, {"1": "B12"})
    async with served("twilio-whatsapp", GOOD) as (server, provider):
        await provider.send(outgoing("whatsapp", content))
    sent = form(server.requests[0])
    assert "Body" not in sent
    assert json.loads(sent["ContentVariables"][0]) == {"1": "B12"}


@pytest.mark.parametrize(
    ("sender", "field", "value"),
    [(SENDER, "From", f"whatsapp:{SENDER}"), (SERVICE, "MessagingServiceSid", SERVICE)],
)
async def test_a_number_is_whatsapp_s_and_a_service_is_not(sender: str, field: str, value: str) -> None:
    async with served("twilio-whatsapp", GOOD, sender=sender) as (server, provider):
        await provider.send(outgoing("whatsapp", WhatsAppContent("Hi")))
    assert form(server.requests[0])[field] == [value]


async def test_a_sender_must_come_from_somewhere() -> None:
    async with served("twilio-whatsapp", GOOD) as (server, provider):
        with pytest.raises(Misconfigured):
            await provider.send(outgoing("whatsapp", WhatsAppContent("Hi")))
        assert server.requests == []


async def test_reports_have_the_mark() -> None:
    async with served("twilio-whatsapp", GOOD, status_callback="https://hooks.example/t") as (
        server,
        provider,
    ):
        await provider.send(outgoing("whatsapp"))
        assert isinstance(provider, TwilioWhatsApp)
    assert "tocsin_mark=" in form(server.requests[0])["StatusCallback"][0]


@pytest.mark.parametrize("field", [{"sender": "Fly"}, {"sender": "whatsapp:+49151"}, {"vendor": "twilio"}])
def test_an_account_that_cannot_work_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TwilioWhatsAppAccount.model_validate(CASES["twilio-whatsapp"].account | field)
