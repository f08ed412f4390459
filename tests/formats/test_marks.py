"""Marks: what a provider gives back finds user, message and contact point; nobody else can read it."""

import msgspec
import pytest

from tests.providers.samples import ADDRESSES, message
from tocsin.errors import DecodeError
from tocsin.formats.codec import decode_receipt, encode
from tocsin.formats.marks import Marks
from tocsin.model.ids import target_id
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

MARKS = Marks(b"the secret of these tests")
SENT = message("email", user="ada@home.example")


def receipt(mark: str, **fields: object) -> RawRecord:
    value = encode(msgspec.convert({"kind": "complained", "mark": mark, **fields}, ReceiptEvent))
    return RawRecord("receipts", 0, 7, 0, None, value, ())


def test_a_mark_names_the_user_the_message_and_where_it_went() -> None:
    found = decode_receipt(receipt(MARKS.of(SENT), at_ms=5, code="fbl"), MARKS)
    assert found == ReceiptEvent(
        tenant=SENT.tenant,
        user=SENT.user,
        kind="complained",
        message_id=SENT.message_id,
        notification_id=SENT.notification_id,
        channel="email",
        target=target_id(ADDRESSES["email"]),
        at_ms=5,
        code="fbl",
        origin=str(SENT.origin),
        notification=SENT.notification,
        category=SENT.category,
    )


def test_a_mark_outdoes_what_is_sent_beside_it() -> None:
    found = decode_receipt(receipt(MARKS.of(SENT), tenant="other", user="eve", target="x"), MARKS)
    assert (found.tenant, found.user, found.target) == (SENT.tenant, SENT.user, target_id(ADDRESSES["email"]))


def test_a_mark_is_the_same_for_each_attempt_and_fits_a_url() -> None:
    mark = MARKS.of(SENT)
    assert mark == MARKS.of(msgspec.structs.replace(SENT, attempt=3, decided_ms=9))
    assert mark != MARKS.of(message("sms", user=SENT.user))
    assert mark.replace("-", "a").replace("_", "a").isalnum()
    assert len(mark) < 400


def test_a_mark_of_the_longest_names_is_read() -> None:
    """Ids have 512 characters at most."""
    long = message("email", user="ü" * 512, tenant="t" * 512)
    assert decode_receipt(receipt(MARKS.of(long)), MARKS).user == long.user


@pytest.mark.parametrize(
    ("mark", "marks"),
    [
        (MARKS.of(SENT), None),
        (MARKS.of(SENT), Marks(b"another secret, as long")),
        (MARKS.of(SENT)[:-4], MARKS),
        (MARKS.of(SENT) + "AAAA", MARKS),
        ("A" * 100, MARKS),
        ("mark/of+nobody", MARKS),
        ("ü", MARKS),
        ("A" * 100_000, MARKS),
    ],
)
def test_a_mark_that_is_not_ours_is_refused_with_the_cure(mark: str, marks: Marks | None) -> None:
    with pytest.raises(DecodeError, match="mark: not one of ours; send it as the provider gave it back"):
        decode_receipt(receipt(mark, tenant="acme", user="ada"), marks)
