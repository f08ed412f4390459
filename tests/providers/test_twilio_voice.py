"""Twilio calls: the form against what the real SDK sends, TwiML that is XML, languages, every code."""

import asyncio
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twilio.rest import Client

from tests.providers.samples import PHONE, SteppingClock, outgoing
from tests.providers.scripted_http import json_answer
from tests.providers.sdk import Redirected, form
from tests.providers.test_adapters import CASES, SID, adapter, refused, served
from tocsin.errors import About, Declined, DeliveryError, Misconfigured, RecipientGone, Rejected, Throttled
from tocsin.model.content import VoiceContent
from tocsin.providers.http import HttpPolicy
from tocsin.providers.http_asyncio import AsyncioTransport
from tocsin.providers.twilio_api import COMMON
from tocsin.providers.twilio_voice import ERRORS, LANGUAGES, TwilioVoice, TwilioVoiceAccount, spoken_language

GOOD = CASES["twilio-voice"].good
SENDER = "+15005550006"

CODES: dict[type[DeliveryError], list[int]] = {
    RecipientGone: [13223, 21211, 21217, 21401],
    Declined: [13224, 13225, 21202, 21214, 21216],
    Rejected: [12100, 21201, 21205, 21208],
    Misconfigured: [10001, 10002, 13227, 13247, 20006, 21203, 21210, 21212, 21213, 21215, 21219],
    Throttled: [10004],
}


def test_the_table_of_calls() -> None:
    own = {code: kind for kind, codes in CODES.items() for code in codes}
    assert {**COMMON, **own} == ERRORS


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_every_code_of_the_table(code: int) -> None:
    error = await refused("twilio-voice", json_answer(400, {"code": code, "message": "no", "status": 400}))
    assert (type(error), error.code) == (ERRORS[code], str(code))
    assert error.failover == (ERRORS[code] not in (RecipientGone, Rejected, Throttled))


@pytest.mark.parametrize("code", [13227, 21203, 21215, 21219])
async def test_one_country_closes_no_account(code: int) -> None:
    error = await refused("twilio-voice", json_answer(400, {"code": code, "message": "no"}))
    assert error.about is About.MESSAGE


async def test_sends_what_the_sdk_sends() -> None:
    hooks = "https://hooks.example/t"
    options = {"status_callback": hooks, "leave_messages": True, "ring_s": 20}
    async with served("twilio-voice", GOOD, **options) as (server, provider):
        receipt = await provider.send(outgoing("voice", VoiceContent("Gate B12", "de-AT", SENDER)))
        sent = form(server.requests[0])
        http = Redirected(server.url)
        client = Client(SID, "tw-s3cr3t", http_client=http)
        await asyncio.to_thread(
            client.calls.create,
            to=PHONE,
            from_=SENDER,
            twiml=sent["Twiml"][0],
            timeout=20,
            machine_detection="DetectMessageEnd",
            status_callback=sent["StatusCallback"][0],
            status_callback_event=["answered", "completed"],
        )
        http.session.close()
        ours, theirs = server.requests
    assert form(ours) == form(theirs)
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert receipt.provider_message_id == CASES["twilio-voice"].receipt
    assert sent["StatusCallback"][0].startswith(f"{hooks}?message_id=")


@cache
def voice(**settings: Any) -> TwilioVoice:
    """Build the adapter: reading the machine's certificates takes time."""
    voices = {"voices": {"de-DE": "Polly.Vicki-Neural"}}
    account = TwilioVoiceAccount.model_validate(CASES["twilio-voice"].account | voices | settings)
    return TwilioVoice("v", account, AsyncioTransport(HttpPolicy()), SteppingClock())


def call(text: str, locale: str = "en", **settings: Any) -> ElementTree.Element:
    """Build the TwiML of a call, and parse it."""
    return ElementTree.fromstring(voice(**settings).twiml(VoiceContent(text, locale)))


def test_the_text_is_read_in_its_language_and_repeated() -> None:
    twiml = call("Tor <B12> & 13", "de-AT", repeat=3)
    assert twiml.tag == "Response"
    assert [each.tag for each in twiml] == ["Pause", "Say"] * 3
    said = twiml.findall("Say")[0]
    assert (said.text, said.attrib) == (
        "Tor <B12> & 13",
        {"language": "de-DE", "voice": "Polly.Vicki-Neural"},
    )


def test_a_long_text_is_read_less_often() -> None:
    assert len(call("x" * 1500, repeat=5).findall("Say")) == 2
    assert len(call("x" * 3000, repeat=5).findall("Say")) == 1


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_no_text_breaks_the_xml_or_says_more_than_itself(text: str) -> None:
    twiml = call(text, repeat=1)
    assert [each.tag for each in twiml] == ["Pause", "Say"]
    assert set(twiml[1].attrib) == {"language"}


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("de-AT", "de-DE"),
        ("en-GB", "en-GB"),
        ("en-ZA", "en-US"),
        ("pt", "pt-BR"),
        ("nn", "nb-NO"),
        ("es-AR", "es-ES"),
    ],
)
def test_a_language_is_read_by_a_voice_of_it(locale: str, language: str) -> None:
    assert spoken_language(locale, {}) == language
    assert language in LANGUAGES


def test_a_text_that_no_voice_reads_is_left_to_other_accounts() -> None:
    with pytest.raises(Declined) as caught:
        spoken_language("sw-KE", {})
    assert caught.value.code == "no_voice"
    assert spoken_language("sw-KE", {"sw": "Google.sw"}) == "sw"


async def test_a_number_to_call_from_must_come_from_somewhere() -> None:
    provider = adapter("twilio-voice", "http://127.0.0.1:1")
    with pytest.raises(Misconfigured) as caught:
        await provider.send(outgoing("voice", VoiceContent("Hi", "en")))
    assert caught.value.code == "21213"
    await provider.close()


@pytest.mark.parametrize(
    "field", [{"sender": "Fly"}, {"ring_s": 4}, {"repeat": 0}, {"voices": {"german": "x"}}]
)
def test_an_account_that_cannot_work_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TwilioVoiceAccount.model_validate(CASES["twilio-voice"].account | field)
