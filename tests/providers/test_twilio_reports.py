"""What Twilio reports: who signed it, and the receipt that it becomes."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from twilio.request_validator import RequestValidator

from tests.providers.samples import MARKS, message, outgoing
from tests.providers.sdk import form
from tests.providers.test_adapters import CASES, served
from tocsin.decision.receipts import KINDS
from tocsin.providers.twilio_reports import is_genuine, receipt_of

# A published answer of Twilio's guide to the security of webhooks.
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
QUERY = {"message_id": "m1", "tocsin_mark": "sealed"}


def test_the_published_signature_is_genuine() -> None:
    assert is_genuine("12345", URL, FIELDS, SIGNATURE)


@pytest.mark.parametrize(
    ("token", "url", "fields", "signature"),
    [
        ("12346", URL, FIELDS, SIGNATURE),
        ("12345", URL.replace("bar=2", "bar=3"), FIELDS, SIGNATURE),
        ("12345", URL, FIELDS | {"Digits": "1235"}, SIGNATURE),
        ("12345", URL, FIELDS | {"Extra": ""}, SIGNATURE),
        ("12345", URL, FIELDS, SIGNATURE[:-2] + "9="),
        ("12345", URL, FIELDS, ""),
    ],
)
def test_what_was_changed_is_not(token: str, url: str, fields: dict[str, str], signature: str) -> None:
    assert not is_genuine(token, url, fields, signature)


@pytest.mark.parametrize("vendor", ["twilio", "twilio-whatsapp", "twilio-voice"])
async def test_a_report_to_the_address_that_we_gave_finds_its_message(vendor: str) -> None:
    channel = CASES[vendor].channel
    hooks = {"status_callback": "https://hooks.example/twilio"}
    async with served(vendor, CASES[vendor].good, **hooks) as (server, provider):
        await provider.send(outgoing(channel))
    url = form(server.requests[0])["StatusCallback"][0]
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+14155552671"}
    assert is_genuine("t", url, fields, RequestValidator("t").compute_signature(url, fields))
    receipt = receipt_of(fields, dict(parse_qsl(urlsplit(url).query)))
    assert receipt is not None
    found = MARKS.read(receipt)
    assert found is not None
    assert (found.user, found.message_id) == ("u-1", message(channel).message_id)


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"MessageStatus": "delivered"}, "delivered", ""),
        ({"MessageStatus": "read"}, "opened", ""),
        ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, "bounced", "undelivered"),
        ({"MessageStatus": "failed", "ErrorCode": "30007"}, "bounced", "failed"),
        ({"MessageStatus": "failed", "ErrorCode": "63016"}, "bounced", "failed"),
        ({"MessageStatus": "undelivered", "ErrorCode": "30005"}, "gone", ""),
        ({"MessageStatus": "undelivered", "ErrorCode": "30006"}, "gone", ""),
        ({"MessageStatus": "undelivered", "ErrorCode": "63003"}, "gone", ""),
        ({"MessageStatus": "failed", "ErrorCode": "63024"}, "gone", ""),
        ({"MessageStatus": "failed", "ErrorCode": "21610"}, "opted_out", ""),
        ({"CallStatus": "completed"}, "delivered", ""),
        ({"CallStatus": "completed", "AnsweredBy": "human"}, "delivered", ""),
        ({"CallStatus": "completed", "AnsweredBy": "machine_end_beep"}, "delivered", "machine"),
        ({"CallStatus": "busy"}, "bounced", "busy"),
        ({"CallStatus": "no-answer"}, "bounced", "no_answer"),
        ({"CallStatus": "failed", "SipResponseCode": "404"}, "bounced", "failed"),
    ],
)
def test_each_report_is_a_receipt(fields: dict[str, str], kind: str, reason: str) -> None:
    receipt = receipt_of(fields | {"MessageSid": "SM1"}, QUERY)
    assert receipt is not None
    assert (receipt.kind, receipt.reason, receipt.mark) == (kind, reason, "sealed")
    assert kind in KINDS
    assert receipt.reason != "permanent", "a bounce blocks nobody"


@pytest.mark.parametrize("status", ["queued", "sent", "accepted", "ringing", "in-progress", ""])
def test_what_changes_nothing_is_none(status: str) -> None:
    assert receipt_of({"MessageSid": "SM1", "MessageStatus": status}, QUERY) is None


def test_a_repeated_report_is_the_same_receipt_and_another_status_is_not() -> None:
    names = [
        receipt_of({"MessageSid": "SM1", "MessageStatus": status}, QUERY)
        for status in ("delivered", "delivered", "read")
    ]
    assert [one.receipt_id for one in names if one] == ["SM1/delivered", "SM1/delivered", "SM1/read"]


def test_without_a_mark_the_number_says_whom_it_is_about() -> None:
    receipt = receipt_of({"MessageSid": "SM1", "MessageStatus": "read", "To": "whatsapp:+49151"}, {})
    assert receipt is not None
    assert (receipt.address, receipt.mark) == ("+49151", "")
