"""Rows of dead letters and audit records: JSON lines of what they are about, never of what is in them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.dead_letters import read_dead_letter
from tocsin.model import topics
from tocsin.model.audit import Action, AuditRecord
from tocsin.model.dead_letter import DeadLetter
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord

TABLES: Mapping[str, str] = MappingProxyType({topics.DEAD: "dead_letters", topics.AUDIT: "audit_log"})
"""The table of each topic."""
_BY_USER = frozenset({topics.PROFILES, topics.RETRIES, topics.OUTCOMES})
"""Topics whose key is `tenant/user` because Tocsin, or its contract, makes it so; so have messages."""
_UNKNOWN_TENANT = "default"


class Erased(NamedTuple):
    """A user who was erased, and when."""

    tenant: str
    user: str
    at_ms: int


class LetterRow(msgspec.Struct, kw_only=True):
    """One row of `dead_letters`."""

    letter_id: str
    tenant: str
    user: str
    origin: str
    topic: str
    stage: str
    reason: str
    error: str
    attempts: int
    first_ms: int
    last_ms: int
    bytes: int
    dead_partition: int
    dead_offset: int
    at_ms: int


COLUMNS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "outcomes": frozenset(Outcome.__struct_fields__),
        "dead_letters": frozenset(LetterRow.__struct_fields__),
        "audit_log": frozenset(AuditRecord.__struct_fields__),
    }
)
"""The columns that lines of each table have."""


class Lines(NamedTuple):
    """Rows of a batch.

    Attributes:
        lines: JSON, one a record in `taken`.
        taken: the records that became rows.
        refused: records that are none of the topic, each with why.
        erased: users that audit records say were erased.
    """

    lines: list[bytes]
    taken: list[RawRecord]
    refused: list[tuple[RawRecord, str]]
    erased: list[Erased]


def lines_of(batch: Sequence[RawRecord]) -> Lines:
    """Make the rows of records of one topic in `TABLES`."""
    made = Lines([], [], [], [])
    for record in batch:
        try:
            line = _MAKERS[record.topic](record, made.erased)
        except (DecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
            made.refused.append((record, f"no record of {record.topic}: {error}"))
        else:
            made.lines.append(line)
            made.taken.append(record)
    return made


class _Owner(msgspec.Struct):
    """What events and receipts say of whose they are."""

    tenant: str = ""
    subject: str = ""
    user: str = ""


_read_owner = msgspec.json.Decoder(_Owner).decode
_read_audit = msgspec.json.Decoder(AuditRecord).decode
_encode = msgspec.json.Encoder().encode


def _letter(record: RawRecord, _erased: list[Erased]) -> bytes:
    letter = read_dead_letter(record)
    tenant, user = _owner_of(letter)
    place = f"{topics.DEAD}/{record.partition}/{record.offset}"
    origin = f"{letter.origin_topic}/{letter.origin_partition}/{letter.origin_offset}"
    row = LetterRow(
        letter_id=origin if letter.origin_offset >= 0 else place,
        tenant=tenant,
        user=user,
        origin=origin,
        topic=letter.origin_topic,
        stage=letter.stage,
        reason=letter.reason,
        error=letter.error,
        attempts=letter.attempts,
        first_ms=letter.first_ms,
        last_ms=letter.last_ms,
        bytes=len(letter.value or b""),
        dead_partition=record.partition,
        dead_offset=record.offset,
        at_ms=record.timestamp_ms,
    )
    return _encode(row)


def _owner_of(letter: DeadLetter) -> tuple[str, str]:
    """Tell whose a dead letter is, as far as it says so; a key that a producer chose is not taken for it."""
    if letter.origin_topic in _BY_USER or topics.channel_of(letter.origin_topic):
        tenant, _, user = (letter.key or b"").decode("utf-8", "replace").partition("/")
        return tenant or _UNKNOWN_TENANT, user
    headers = {name.lower(): data.decode("utf-8", "replace") for name, data in letter.headers}
    if "ce_id" in headers:
        return headers.get("ce_tenant") or _UNKNOWN_TENANT, headers.get("ce_subject", "")
    try:
        owner = _read_owner(letter.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _UNKNOWN_TENANT, ""
    return owner.tenant or _UNKNOWN_TENANT, owner.subject or owner.user


def _audit(record: RawRecord, erased: list[Erased]) -> bytes:
    """Make the row of an audit record; that of an erasure does not name the user."""
    audit = _read_audit(record.value or b"")
    if audit.action == Action.USER_ERASED:
        erased.append(Erased(audit.tenant, audit.user, audit.at_ms))
        audit = msgspec.structs.replace(audit, user="")
    return _encode(audit)


_MAKERS: Mapping[str, Callable[[RawRecord, list[Erased]], bytes]] = MappingProxyType(
    {topics.DEAD: _letter, topics.AUDIT: _audit}
)
