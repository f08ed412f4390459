"""Receipts as webhooks and bridges write them: no spelling of an opt-out throws it away."""

import json
from typing import Any

import pytest

from tocsin.errors import DecodeError
from tocsin.formats.addresses import spellings
from tocsin.formats.codec import decode_receipt
from tocsin.model.ids import target_id
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

STOP = {"tenant": "default", "user": "ada", "kind": "opted_out", "address": "+12125550142"}
READ = ReceiptEvent(**STOP)  # type: ignore[arg-type]  # a literal of texts


def read(value: Any) -> ReceiptEvent:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decode_receipt(RawRecord("receipts", 0, 7, 0, None, data, ()))


@pytest.mark.parametrize(
    "value",
    [
        b"\xef\xbb\xbf" + json.dumps(STOP).encode(),
        STOP | {"message_id": None, "at_ms": None, "target": None},
        {"schema": None, "payload": STOP},
        {"schema": {"type": "struct"}, "payload": STOP | {"code": None}},
    ],
)
def test_an_opt_out_counts_in_every_wrapping(value: Any) -> None:
    assert read(value) == READ


def test_a_null_user_is_no_user() -> None:
    assert read(STOP | {"user": None}).user == ""


@pytest.mark.parametrize(
    "address", ["ada@example.org", "+12125550142", "https://push.example/abcdefgh", "f" * 64]
)
def test_a_plain_address_in_target_is_read_as_one(address: str) -> None:
    """Else it would block nothing, and its outcome would hold the address (law 7)."""
    found = read({"user": "ada", "kind": "gone", "target": address})
    assert (found.target, found.address) == ("", address)
    assert read({"user": "ada", "kind": "gone", "target": target_id(address)}).target == target_id(address)


@pytest.mark.parametrize(
    "value", [{"kind": None}, {"schema": None, "payload": None}, {"schema": 1, "payload": []}]
)
def test_what_is_no_receipt_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="kind"):
        read(value)


@pytest.mark.parametrize("address", [" ", "<>", "mailto:"])
def test_a_blank_address_is_refused(address: str) -> None:
    with pytest.raises(DecodeError, match="address: blank"):
        read({"kind": "gone", "address": address})


@pytest.mark.parametrize(
    ("reported", "held"),
    [
        ("<ada@example.org>", "ada@example.org"),
        ("Ada Lovelace <ada@example.org>", "ada@example.org"),
        ("rfc822;ada@example.org", "ada@example.org"),
        ("rfc822; <ada@example.org>", "ada@example.org"),
        ("MAILTO:ada@example.org", "ada@example.org"),
        ("+1 (212) 555-0142", "+12125550142"),
        ("1-212-555-0142", "+12125550142"),
        ("tel:+1-212-555-0142", "+12125550142"),
        ("whatsapp:12125550142", "+12125550142"),
        ('"a b"@example.org', '"a b"@example.org'),
    ],
)
def test_reports_name_an_address_in_many_spellings(reported: str, held: str) -> None:
    assert held in spellings(reported)
