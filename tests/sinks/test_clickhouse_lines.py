"""Rows of dead letters and audit records: whose they are, where they lie, and never what is in them."""

import msgspec
import pytest

from sinks.clickhouse_lines import COLUMNS, Erased, lines_of
from tocsin.formats.codec import dead_letter, encode
from tocsin.model import topics
from tocsin.model.audit import Action, AuditRecord
from tocsin.model.raw import RawRecord

SECRET = "ann@mail.example"


def letter(topic: str, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> RawRecord:
    out = dead_letter(RawRecord(topic, 2, 9, 77, key, value, headers), "gate", "bad_field", "x: missing")
    return RawRecord(topics.DEAD, 2, 30, 88, out.key, out.value, out.headers)


def rows(*records: RawRecord) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in lines_of(records).lines]


def test_a_dead_letter_says_where_from_and_why_and_not_what() -> None:
    (row,) = rows(letter("events", b"any", msgspec.json.encode({"subject": "ann", "data": {"to": SECRET}})))
    assert row == {
        "letter_id": "events/2/9", "tenant": "default", "user": "ann", "origin": "events/2/9",
        "topic": "events", "stage": "gate", "reason": "bad_field", "error": "x: missing", "attempts": 0,
        "first_ms": 77, "last_ms": 77, "bytes": 50, "dead_partition": 2, "dead_offset": 30, "at_ms": 88,
    }  # fmt: skip
    assert set(row) == COLUMNS["dead_letters"]


@pytest.mark.parametrize(
    ("topic", "key", "value", "headers", "owner"),
    [
        ("events", SECRET.encode(), b"not JSON", (), ("default", "")),
        ("events", b"k", b'{"subject": 5}', (), ("default", "")),
        (
            "events",
            b"k",
            b"{}",
            (("ce_id", b"1"), ("ce_tenant", b"acme"), ("ce_subject", b"bob")),
            ("acme", "bob"),
        ),
        ("retries", b"acme/bob", b"{broken", (), ("acme", "bob")),
        ("receipts", b"k", b'{"tenant": "acme", "user": "bob"}', (), ("acme", "bob")),
        ("outcomes", b"", b"", (), ("default", "")),
    ],
)
def test_whose_it_is_comes_from_what_must_say_it(
    topic: str, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...], owner: tuple[str, str]
) -> None:
    (row,) = rows(letter(topic, key, value, headers))
    assert (row["tenant"], row["user"]) == owner


def test_letters_that_could_not_be_written_are_told_apart_by_their_own_place() -> None:
    out = dead_letter(RawRecord("outcomes", 2, -1, 77, b"t/u", b"x", ()), "publish", "too_large", "too large")
    (row,) = rows(RawRecord(topics.DEAD, 2, 31, 88, out.key, out.value, out.headers))
    assert row["letter_id"] == "dead/2/31"


def test_an_erasure_is_entered_without_its_user_and_asked_for() -> None:
    audit = AuditRecord(audit_id="a", at_ms=5, action=Action.USER_ERASED, tenant="t", user="ann")
    made = lines_of([RawRecord(topics.AUDIT, 0, 1, 0, b"t/ann", encode(audit), ())])
    assert made.erased == [Erased("t", "ann", 5)]
    assert b"ann" not in made.lines[0]


def test_records_that_are_none_of_their_topic_are_refused_and_the_others_taken() -> None:
    audit = AuditRecord(audit_id="a", at_ms=5, action=Action.CATALOG_LOADED)
    good = RawRecord(topics.AUDIT, 0, 1, 0, b"", encode(audit), ())
    bad = [RawRecord(topics.AUDIT, 0, 2, 0, b"", b"{}", ()), RawRecord(topics.DEAD, 0, 3, 0, b"", b"", ())]
    made = lines_of([bad[0], good, bad[1]])
    assert made.taken == [good]
    assert [record for record, _ in made.refused] == bad
    assert all(error.startswith("no record of ") for _, error in made.refused)
