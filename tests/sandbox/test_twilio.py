"""Twilio's contract: its own SDK as the client, and the errors of the sheet."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from tests.sandbox.box import ACCOUNT, MESSAGE_ID, SENDER, Box
from tocsin.devkit.sandbox.segments import bill

CALLBACK = f"https://example.org/cb?message_id={MESSAGE_ID}&tenant=acme&user=ada"


class LocalClient(TwilioHttpClient):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's transport, with Twilio's address replaced by the sandbox's."""

    def __init__(self, url: str) -> None:
        super().__init__(pool_connections=False)
        self._url = url

    def request(self, method: str, url: str, *arguments: Any, **named: Any) -> Response:
        return super().request(method, url.replace("https://api.twilio.com", self._url), *arguments, **named)


@pytest.fixture
def sdk(box: Box) -> Client:
    return Client(ACCOUNT, "token", http_client=LocalClient(f"{box.url}/twilio"))


def test_the_sdk_sends_and_reads_the_answer(box: Box, sdk: Client) -> None:
    made = sdk.messages.create(
        to="+4915112345678", from_=SENDER, body="Gate 12 → 14", status_callback=CALLBACK
    )
    assert made.sid is not None
    assert made.sid.startswith("SM")
    assert len(made.sid) == 34
    assert (made.status, made.num_segments, made.num_media, made.price) == ("queued", "1", "0", None)
    assert made.to == "+4915112345678"
    assert made.date_created is not None
    (record,) = box.send_log()
    assert (record["message_id"], record["provider_id"]) == (MESSAGE_ID, made.sid)
    assert (record["channel"], record["user"]) == ("sms", "acme/ada")


@pytest.mark.parametrize(
    ("to", "sender", "code"),
    [
        ("+15005550001", SENDER, 21211),
        ("+15005550002", SENDER, 21612),
        ("+15005550003", SENDER, 21408),
        ("+15005550004", SENDER, 21610),
        ("+15005550009", SENDER, 21614),
        ("+4915112345678", "+15005550001", 21212),
        ("+4915112345678", "+15005550007", 21606),
        ("+4915112345678", "+15005550008", 21611),
    ],
)
def test_the_sdk_raises_for_magic_numbers(box: Box, sdk: Client, to: str, sender: str, code: int) -> None:
    with pytest.raises(TwilioRestException) as refused:
        sdk.messages.create(to=to, from_=sender, body="Hello")
    assert (refused.value.code, refused.value.status) == (code, 400)
    assert box.send_log() == []


WRONG: list[tuple[dict[str, Any], int]] = [
    ({"To": ""}, 21604),
    ({"To": "015112345678"}, 21211),
    ({"To": "+0151123456"}, 21211),
    ({"From": ""}, 21603),
    ({"From": "+1"}, 21212),
    ({"From": "A name that is too long"}, 21212),
    ({"To": "whatsapp:+4915112345678"}, 21910),
    ({"Body": ""}, 21602),
    ({"Body": "x" * 1601}, 21617),
    ({"MediaUrl": ["https://example.org/1"] * 11}, 21623),
    ({"MediaUrl": "ftp://example.org/1"}, 21620),
    ({"ContentSid": "HX1"}, 21655),
    ({"ContentVariables": "{"}, 21656),
    ({"MessagingServiceSid": "MG1"}, 21705),
    ({"StatusCallback": "not a url"}, 21609),
    ({"StatusCallback": "https://under_score.example.org/"}, 21609),
    ({"ValidityPeriod": "36001"}, 20001),
    ({"SendAt": "2030-01-01T00:00:00Z"}, 20001),
]


@pytest.mark.parametrize(("form", "code"), WRONG)
def test_a_wrong_message_is_refused_with_its_code(box: Box, form: dict[str, Any], code: int) -> None:
    answer = box.twilio(**form)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.json()["more_info"].endswith(str(code))
    assert box.send_log() == []


def test_json_is_not_a_form(box: Box) -> None:
    path = f"/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    answer = box.http.post(path, json={"To": "+4915112345678"}, auth=(ACCOUNT, "token"))
    assert answer.json()["code"] == 21604


@pytest.mark.parametrize(
    ("account", "token", "status", "code"),
    [(ACCOUNT, "bad-token", 401, 20003), ("AC12", "token", 404, 20404)],
)
def test_wrong_credentials_are_refused(box: Box, account: str, token: str, status: int, code: int) -> None:
    answer = box.twilio(account=account, token=token)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_another_accounts_login_is_refused_and_an_api_key_is_not(box: Box) -> None:
    path = f"/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    form = {"To": "+4915112345678", "From": SENDER, "Body": "Hello"}
    logins = {"AC" + "1" * 32: 401, "SK" + "1" * 32: 201, "": 401}
    got = {user: box.http.post(path, data=form, auth=(user, "secret")).status_code for user in logins}
    assert got == logins


def test_a_messaging_service_picks_the_sender_later(box: Box) -> None:
    made = box.twilio(From="", MessagingServiceSid="MG" + "0" * 32).json()
    assert (made["status"], made["num_segments"], made["from"]) == ("accepted", "0", None)


def test_the_text_keeps_every_character(box: Box) -> None:
    body = "Überraschung: 50 % & mehr = gut + „besser“ 🎉"
    box.twilio(Body=body)
    content = box.sent()[0]["content"]
    assert (content["body"], content["encoding"]) == (body, "UCS-2")


def test_throttling_and_failures_have_twilios_codes(box: Box) -> None:
    box.order({"kind": "status", "status": 429, "retry_after_s": 2}, match={"provider": "twilio"}, count=1)
    box.order({"kind": "status", "status": 503}, match={"channel": "sms"}, count=1)
    throttled, failed = box.twilio(), box.twilio()
    assert (throttled.status_code, throttled.json()["code"]) == (429, 20429)
    assert throttled.headers["retry-after"] == "2"
    assert (failed.status_code, failed.json()["code"]) == (503, 20503)


def test_a_number_can_be_made_to_refuse(box: Box) -> None:
    box.order({"kind": "refused_number", "code": "21610"}, match={"recipient": "+49*"})
    assert box.twilio().json()["code"] == 21610
    assert box.twilio(To="+33612345678").status_code == 201
    assert [message["code"] for message in box.sent(status="refused")] == ["21610"]


@pytest.mark.parametrize(
    ("text", "encoding", "segments"),
    [
        ("", "GSM-7", 1),
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("€" * 80, "GSM-7", 1),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
        ("ж" * 70, "UCS-2", 1),
        ("ж" * 71, "UCS-2", 2),
        ("ж" * 66 + "🎉" + "ж" * 66, "UCS-2", 3),
        ("ç", "UCS-2", 1),
        ("Ç", "GSM-7", 1),
        ("`", "UCS-2", 1),
        ("it’s", "UCS-2", 1),
    ],
)
def test_segments_are_counted_as_the_sheet_measured(text: str, encoding: str, segments: int) -> None:
    billing = bill(text)
    assert (billing.encoding, billing.segments) == (encoding, segments)


@given(st.text(max_size=400), st.text(max_size=40))
def test_a_longer_text_is_never_cheaper(text: str, more: str) -> None:
    assert bill(text + more).segments >= bill(text).segments


@given(st.text(max_size=600))
def test_units_fit_their_segments(text: str) -> None:
    encoding, units, segments = bill(text)
    room = {"GSM-7": (160, 153), "UCS-2": (70, 67)}[encoding]
    assert units <= room[segments > 1] * segments
    assert segments == 1 or units > room[0]
