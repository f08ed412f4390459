"""Vonage's delivery receipts: who signed them, and the receipt that each becomes."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.providers.samples import MARKS, NOW_S, message, outgoing
from tests.providers.test_adapters import CASES, served
from tests.providers.test_vonage import form, sms
from tocsin.decision.receipts import KINDS
from tocsin.providers.vonage_reports import MAX_AGE_S, is_genuine, receipt_of
from tocsin.providers.vonage_signature import Method, signature

REPORT = {
    "msisdn": "447700900000",
    "to": "AcmeInc",
    "network-code": "12345",
    "messageId": "0A0000001234567B",
    "price": "0.03330000",
    "status": "delivered",
    "scts": "2001011400",
    "err-code": "0",
    "api-key": "abcd1234",
    "client-ref": "ours",
    "message-timestamp": "2020-01-01 12:00:00",
    "timestamp": str(int(NOW_S)),
    "nonce": "ec11dd3e-1e7f-4db5-9467-82b02cd223b9",
}
QUERY = {"message_id": "m1", "tocsin_mark": "sealed"}


def signed(method: Method, secret: str = "s", **more: str) -> dict[str, str]:
    fields = REPORT | more
    return fields | {"sig": signature(fields, secret, method)}


@pytest.mark.parametrize("method", ["md5hash", "md5", "sha1", "sha256", "sha512"])
def test_what_was_signed_just_now_is_genuine(method: Method) -> None:
    report = signed(method)
    assert is_genuine(report, "s", method, NOW_S)
    assert is_genuine(report | {"sig": report["sig"].lower()}, "s", method, NOW_S + MAX_AGE_S)


@pytest.mark.parametrize(
    "wrong",
    [
        signed("sha256", "other"),
        signed("sha1"),
        signed("sha256") | {"status": "failed"},
        signed("sha256") | {"sig": ""},
        signed("sha256") | {"sig": "ü"},
        signed("sha256", timestamp="²"),
        signed("sha256", timestamp=str(int(NOW_S) - MAX_AGE_S - 1)),
        REPORT,
    ],
)
def test_what_is_wrong_or_old_is_not(wrong: dict[str, str]) -> None:
    assert not is_genuine(wrong, "s", "sha256", NOW_S)


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        ("delivered", "0", "delivered", ""),
        ("expired", "1", "bounced", "expired"),
        ("failed", "2", "bounced", "failed"),
        ("undelivered", "12", "bounced", "undelivered"),
        ("rejected", "6", "bounced", "rejected"),
        ("failed", "3", "bounced", "permanent"),
        ("rejected", "4", "bounced", "permanent"),
        ("failed", "9", "opted_out", ""),
    ],
)
def test_each_report_is_a_receipt(status: str, code: str, kind: str, reason: str) -> None:
    receipt = receipt_of(REPORT | {"status": status, "err-code": code}, QUERY)
    assert receipt is not None
    assert (receipt.kind, receipt.reason, receipt.mark, receipt.address) == (kind, reason, "sealed", "")
    assert receipt.receipt_id == f"0A0000001234567B/{status}"
    assert kind in KINDS


@pytest.mark.parametrize("status", ["accepted", "buffered", "unknown", ""])
def test_what_a_receipt_has_no_word_for_is_none(status: str) -> None:
    assert receipt_of(REPORT | {"status": status}, QUERY) is None


def test_without_our_query_the_reference_and_the_number_are_there() -> None:
    receipt = receipt_of(REPORT, {})
    assert receipt is not None
    assert (receipt.message_id, receipt.address, receipt.mark) == ("ours", "+447700900000", "")


async def test_a_report_to_the_address_that_we_gave_finds_its_message() -> None:
    hooks = {"status_callback": "https://hooks.example/vonage"}
    async with served("vonage", CASES["vonage"].good, **hooks) as (server, provider):
        await provider.send(outgoing("sms", sms()))
    receipt = receipt_of(REPORT, dict(parse_qsl(urlsplit(form(server.requests[0])["callback"]).query)))
    assert receipt is not None
    found = MARKS.read(receipt)
    assert found is not None
    assert (found.user, found.message_id) == ("u-1", message("sms").message_id)
