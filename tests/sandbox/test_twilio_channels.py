"""Twilio's WhatsApp and calls: what the sandbox takes and refuses, and our own adapters against it."""

import base64
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.samples import PHONE, outgoing
from tests.sandbox.box import ACCOUNT, SENDER, Box
from tests.sandbox.judging import judged
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.twilio_2010 import Twilio
from tocsin.devkit.sandbox.wire import Refusal, Request
from tocsin.errors import DeliveryError, RecipientGone, Throttled
from tocsin.model.content import VoiceContent, WhatsAppContent
from tocsin.providers.accounts import build, parse_accounts

TEMPLATE = "HX" + "d" * 32
TWIML = '<Response><Pause length="1"/><Say language="de-DE">Tor B12</Say></Response>'
CALL = {"To": "+4915112345678", "From": SENDER, "Twiml": TWIML}
MESSAGE = {"To": "whatsapp:+4915112345678", "From": f"whatsapp:{SENDER}", "ContentSid": TEMPLATE}


def request(resource: str, form: dict[str, Any]) -> Request:
    login = b"Basic " + base64.b64encode(f"{ACCOUNT}:token".encode())
    headers = {b"authorization": login, b"content-type": b"application/x-www-form-urlencoded"}
    body = urlencode(form, doseq=True, errors="replace").encode()
    return Request("POST", f"/2010-04-01/Accounts/{ACCOUNT}/{resource}.json", "", headers, body)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, "21201"),
        ({"From": ""}, "21213"),
        ({"To": "4915112345678"}, "21211"),
        ({"From": "Flights"}, "21212"),
        ({"To": "+15005550001"}, "21217"),
        ({"To": "+15005550002"}, "21214"),
        ({"To": "+15005550003"}, "21215"),
        ({"To": "+15005550004"}, "21216"),
        ({"From": "+15005550001"}, "21212"),
        ({"Twiml": ""}, "21205"),
        ({"Twiml": "<Response><Say>a & b</Say></Response>"}, "12100"),
        ({"Twiml": "<Response><Say>  </Say></Response>"}, "12100"),
        ({"Twiml": "<Response><Hangup/></Response>"}, "12100"),
        ({"Twiml": "<Say>Hi</Say>"}, "12100"),
        ({"Twiml": "<Response><Say language='German'>Hi</Say></Response>"}, "12100"),
        ({"Twiml": f"<Response><Say>{'x' * 4000}</Say></Response>"}, "12100"),
        ({"Timeout": "601"}, "21208"),
        ({"Timeout": "²"}, "21208"),
        ({"StatusCallback": "nowhere"}, "21609"),
        ({"StatusCallbackEvent": "sung"}, "20001"),
        ({"MachineDetection": "yes"}, "20001"),
    ],
)
def test_a_wrong_call_is_refused_with_its_code(change: dict[str, str], code: str) -> None:
    verdict = judged(Twilio(), request("Calls", CALL | change))
    assert isinstance(verdict, Refusal)
    assert verdict.code == code


def test_a_call_is_shown_with_what_it_says() -> None:
    verdict = judged(Twilio(), request("Calls", CALL | {"StatusCallbackEvent": ["answered", "completed"]}))
    assert isinstance(verdict, Accepted)
    made = msgspec.json.decode(verdict.reply.body)
    assert (made["status"], made["sid"][:2], verdict.reply.status) == ("queued", "CA", 201)
    content = msgspec.json.decode(verdict.calls[0].content)
    assert (content["text"], content["language"], content["times"]) == ("Tor B12", "de-DE", 1)
    assert verdict.calls[0].channel == "voice"


def test_a_template_is_shown_with_its_values() -> None:
    verdict = judged(Twilio(), request("Messages", MESSAGE | {"ContentVariables": '{"1":"B12"}'}))
    assert isinstance(verdict, Accepted)
    (call,) = verdict.calls
    assert (call.channel, call.recipient, call.title) == ("whatsapp", "+4915112345678", "B12")
    content = msgspec.json.decode(call.content)
    assert (content["template"], content["variables"]) == (TEMPLATE, {"1": "B12"})


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from([*CALL, "Timeout", "StatusCallback", "MachineDetection"]), st.text()))
def test_calls_never_make_it_fall_over(change: dict[str, str]) -> None:
    judged(Twilio(), request("Calls", CALL | change))


async def test_our_adapters_against_the_sandbox(box: Box) -> None:
    login = {"account_sid": ACCOUNT, "auth_token": "t", "base_url": f"{box.url}/twilio", "sender": SENDER}
    login |= {"status_callback": "https://hooks.example/twilio"}
    accounts = {"chat": {"vendor": "twilio-whatsapp", **login}, "call": {"vendor": "twilio-voice", **login}}
    made = build(parse_accounts({"accounts": accounts}, {}, Path("p.yaml")), clock=time.time)
    chat, call = made["chat"], made["call"]
    await chat.send(outgoing("whatsapp", WhatsAppContent("Tor <B12>")))
    await chat.send(
        outgoing("whatsapp", WhatsAppContent("unused", template=TEMPLATE, variables={"1": "B12"}))
    )
    await call.send(outgoing("voice", VoiceContent("Tor <B12> & 13", "de")))
    for order, kind in (({"kind": "status", "status": 429}, Throttled), ({"kind": "bounce"}, RecipientGone)):
        for provider, channel in ((chat, "whatsapp"), (call, "voice")):
            box.order(order, match={"channel": channel}, count=1)
            with pytest.raises(DeliveryError) as caught:
                await provider.send(outgoing(channel))
            assert type(caught.value) is kind
    for provider in made.values():
        await provider.close()
    records = box.send_log()
    assert [record["channel"] for record in records] == ["whatsapp", "whatsapp", "voice"]
    assert {record["recipient"] for record in records} == {PHONE}
    assert [record["message_id"] for record in records][2] == outgoing("voice").message.message_id
    assert box.sent(channel="voice")[0]["content"]["text"] == "Tor <B12> & 13"
