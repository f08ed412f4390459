"""One user in the view of profiles: how changes of the gateway and records of the topic go together. Pure.

The topic `profiles` has the truth, and other producers write there too. The gateway changes its view first,
then writes to Kafka, and takes a change for settled once its own record is read back. Until then a record of
another producer, which stands before ours in the topic, is merged with our change and written again. So a
change that was acknowledged is never undone by a record that did not know it.

`version` stays the number of the profile's owner: the next profile of the owner is newer, whatever the
gateway has changed meanwhile. What orders the gateway's own changes is `revision`, which its records have in
a header.
"""

from enum import IntEnum
from typing import NamedTuple

import msgspec

from tocsin.formats.gateway_profiles import revision_of
from tocsin.formats.profile_corrections import corrected_from, text_of
from tocsin.gateway.people import texts
from tocsin.model import topics
from tocsin.model.raw import RawRecord


class State(IntEnum):
    """How far a change of the gateway has come."""

    SETTLED = 0
    """The text is what the topic has."""
    WRITING = 1
    """Kafka has not acknowledged it; the list of open changes names it."""
    WRITTEN = 2
    """Kafka has it, but the view has not read it back yet."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the view knows of a user.

    Attributes:
        text: the profile as JSON; empty for an erased user, who is remembered a while.
        revision: grows with each change of the text.
        offset: of the newest record that was read; -1 for none.
        state: how far the newest change has come.
        since_ms: when it was made.
        fields: what the gateway's changes set that are not settled.
        version: the highest that a record of the profile had.
        base: name of the owner's text of which this is a correction by the gate; empty for none.
        made: revision of the newest change of the gateway; a text that is merged has a higher one.
        erased_ms: when the user was erased the last time, as far as it is known; 0 for never.
    """

    text: bytes = b""
    revision: int = 0
    offset: int = -1
    state: int = State.SETTLED
    since_ms: int = 0
    fields: tuple[str, ...] = ()
    version: int = 0
    base: str = ""
    made: int = 0
    erased_ms: int = 0

    def is_settled(self) -> bool:
        """Return whether the topic has what the entry has."""
        return self.state == State.SETTLED


ERASED = "*"
"""Stands for the fields of a change that erases the user."""


class Change(NamedTuple):
    """A change of a profile.

    Attributes:
        text: the new text; empty erases the user.
        fields: the fields that it sets or removes.
    """

    text: bytes
    fields: tuple[str, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def packed(entry: Entry) -> bytes:
    """Encode an entry."""
    return _encode(entry)


def unpacked(data: bytes | None) -> Entry:
    """Decode an entry; nothing is a user that was never heard of."""
    return _decode(data) if data else Entry()


def changed(entry: Entry, change: Change, now_ms: int) -> Entry:
    """Apply a change of the gateway; it has to be written to Kafka next."""
    if change.text:
        open_fields = [] if entry.is_settled() else [name for name in entry.fields if name != ERASED]
        fields = tuple(sorted({*open_fields, *change.fields}))
    else:
        fields = (ERASED,)
    version = max(entry.version, texts.read(change.text).version) if change.text else 0
    revision = entry.revision + 1
    erased_ms = entry.erased_ms if change.text else now_ms
    given = (change.text, revision, entry.offset, State.WRITING, now_ms, fields, version)
    return Entry(*given, made=revision, erased_ms=erased_ms)


def acknowledged(entry: Entry) -> Entry:
    """Note that Kafka has the entry's change."""
    return msgspec.structs.replace(entry, state=State.WRITTEN)


def on_record(entry: Entry, raw: RawRecord, now_ms: int) -> Entry:
    """Take a record of the topic in; the same entry if it was read before.

    The new entry may have to be written to Kafka: then its state is `WRITING`.
    """
    if raw.offset <= entry.offset:
        return entry
    own = revision_of(raw)
    if not entry.is_settled():
        return _on_open(entry, raw, own, now_ms)
    if own and own < entry.revision:
        return _again(_raised(entry, raw), raw, now_ms)  # a late copy, which the topic must not end with
    if _is_ignored(entry, raw):
        return _read_to(entry, raw)
    if _is_overtaken(entry, raw):
        return _again(entry, raw, now_ms)
    return _accepted(entry, raw, own, now_ms)


def _on_open(entry: Entry, raw: RawRecord, own: int, now_ms: int) -> Entry:
    """Take in a record that stands before our open change in the topic, or is it."""
    if own == entry.revision:
        settled = State.SETTLED
        return msgspec.structs.replace(entry, state=settled, fields=(), since_ms=0, offset=raw.offset)
    if own >= entry.made:
        entry = msgspec.structs.replace(entry, fields=())  # whatever follows in the topic is newer
    if own and (raised := _raised(entry, raw)) is not entry:
        return _again(raised, raw, now_ms)
    if own or _is_ignored(entry, raw) or _is_overtaken(entry, raw):
        return _read_to(entry, raw)
    if not raw.value:
        erased_ms = _erased_ms(entry, raw, now_ms)
        erased = msgspec.structs.replace(entry, text=b"", fields=(), version=0, erased_ms=erased_ms)
        return _again(erased, raw, now_ms)
    if ERASED in entry.fields:
        return _read_to(entry, raw)
    text = texts.merged(raw.value, entry.text, entry.fields)
    version = max(entry.version, texts.read(raw.value).version)
    return _again(msgspec.structs.replace(entry, text=text, version=version), raw, now_ms)


def _again(entry: Entry, raw: RawRecord, now_ms: int) -> Entry:
    """Write the text again, behind the record."""
    revision, offset = entry.revision + 1, raw.offset
    return msgspec.structs.replace(
        entry, revision=revision, offset=offset, state=State.WRITING, since_ms=now_ms, base=""
    )


def _raised(entry: Entry, raw: RawRecord) -> Entry:
    """Raise the version to that of a late copy of ours: the gate has applied it, and refuses lower ones."""
    version = texts.read(raw.value).version if raw.value else 0
    if not entry.text or version <= entry.version:
        return entry
    text = texts.with_fields(entry.text, {"version": version})
    return msgspec.structs.replace(entry, text=text, version=version)


def _read_to(entry: Entry, raw: RawRecord) -> Entry:
    return msgspec.structs.replace(entry, offset=raw.offset)


def _is_ignored(entry: Entry, raw: RawRecord) -> bool:
    """Return whether the gate does not apply a record, or sets it right itself."""
    if not raw.value:
        return False
    based_on = corrected_from(raw)
    return (bool(based_on) and based_on != base_of(entry)) or not texts.is_profile(raw.value)


def _is_overtaken(entry: Entry, raw: RawRecord) -> bool:
    """Return whether the gate refuses a profile, because one of a higher version came before it."""
    return bool(raw.value and entry.text) and 0 < texts.read(raw.value or b"").version < entry.version


def base_of(entry: Entry) -> str:
    """Name the owner's text that the gate knows of an entry."""
    return entry.base or (text_of(_record(entry.text)).base if entry.text else "")


def _record(text: bytes) -> RawRecord:
    return RawRecord(topics.PROFILES, 0, 0, 0, b"", text, ())


def _erased_ms(entry: Entry, raw: RawRecord, now_ms: int) -> int:
    """Return when a user was erased the last time: at the record's time, unless it is missing or to come."""
    if raw.value:
        return entry.erased_ms
    at_ms = raw.timestamp_ms if 0 < raw.timestamp_ms < now_ms else now_ms
    return max(entry.erased_ms, at_ms)


def _accepted(entry: Entry, raw: RawRecord, own: int, now_ms: int) -> Entry:
    text = raw.value or b""
    version = max(entry.version, texts.read(text).version) if text else 0
    return Entry(
        text,
        max(own, entry.revision + 1),
        raw.offset,
        version=version,
        base=corrected_from(raw) if text else "",
        erased_ms=_erased_ms(entry, raw, now_ms),
    )
