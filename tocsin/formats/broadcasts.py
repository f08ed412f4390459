"""Reads what makes a CloudEvent a broadcast, and the events that pause, resume or cancel one."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.shapes import MAX_TEXT, has_control
from tocsin.model.broadcast import ORDER_HEADER, REPORT, Order, Report, decode_order, decode_report
from tocsin.model.broadcast_list import CHUNKS, MEMBERS, SLICES, Members, decode_members
from tocsin.model.event import Broadcast, Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason
from tocsin.model.subscription import COPY, FAN_OUT, FanOutReport, decode_fan_out_report

CONTROL_TYPE: Final = "tocsin.broadcast"
"""The type of an event that controls a broadcast; its data name the broadcast and the action."""
RATE_MAX: Final = 1_000_000
CURES: Final = {
    "tocsinsegment": "name a segment of the tenant's catalog, or `*` for everyone, and no subject",
    "tocsinrate": f"send users a second as a whole number from 1 to {RATE_MAX}",
    "tocsinlocaltime": "send a time without an offset, like 2026-11-30T09:00",
    "tocsinmissed": "send `skip`, or leave it out",
}


class Action(StrEnum):
    """What an event of type `tocsin.broadcast` asks for. Only a broadcast to a list is started."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class Control(NamedTuple):
    """What to do with the broadcast whose event has this id."""

    broadcast_id: str
    action: Action


class _ControlData(msgspec.Struct, frozen=True):
    id: str
    action: Action


_decode_control = msgspec.json.Decoder(_ControlData).decode


def read_broadcast(segment: str, rate: str | int | None, local: str | None, missed: str | None) -> Broadcast:
    """Read the extensions of a broadcast.

    Raises:
        DecodeError: one of them has the wrong form; the text names it and the cure.
    """
    if len(segment) > MAX_TEXT or has_control(segment):
        raise _wrong(field="tocsinsegment")
    if missed not in {None, "skip"}:
        raise _wrong(field="tocsinmissed")
    return Broadcast(segment, _rate(rate), _local_ms(local), missed == "skip")


def _rate(given: str | int | None) -> int:
    if given is None:
        return 0
    text = str(given)
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= RATE_MAX:
        raise _wrong(field="tocsinrate")
    return int(text)


def _local_ms(given: str | None) -> int:
    if given is None:
        return 0
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise _wrong(field="tocsinlocaltime") from None
    if moment.tzinfo is not None or moment.year < 1970:
        raise _wrong(field="tocsinlocaltime")
    return max(1, int(moment.replace(tzinfo=UTC).timestamp() * 1000))


def broadcast_record(raw: RawRecord) -> Order | Report | Members | FanOutReport | None:
    """Read an order, a report or a list of a broadcast, or a report of a fan-out; None if a record is none.

    Raises:
        DecodeError: somebody else wrote the header.
    """
    kind = next((value for name, value in raw.headers if name == ORDER_HEADER), None)
    if kind is None or kind == COPY:
        return None
    try:
        return _READERS.get(kind, decode_order)(raw.value or b"")
    except msgspec.MsgspecError:
        text = f"header {ORDER_HEADER}: only Tocsin writes it; leave it out"
        raise DecodeError(Reason.BAD_FIELD, text) from None


def _read_members(value: bytes) -> Members:
    """Read users of a list; raises `MsgspecError` or `DecodeError`."""
    members = decode_members(value)
    if not (0 <= members.chunk < CHUNKS and 0 <= members.slice < SLICES):
        text = f"chunk, slice: not from 0 to {CHUNKS - 1} and {SLICES - 1}; upload fewer and larger chunks"
        raise DecodeError(Reason.BAD_FIELD, text)
    if any(map(user_fault, members.users)):
        raise DecodeError(Reason.BAD_FIELD, "users: one is empty, too long or has control characters")
    return members


def user_fault(user: str) -> str:
    """Say what is wrong with the id of a user; empty if nothing is."""
    if not user:
        return "is empty"
    if len(user) > MAX_TEXT:
        return f"has more than {MAX_TEXT} characters"
    return "has control characters" if not user.isprintable() and has_control(user) else ""


_READERS: Final[Mapping[bytes, Callable[[bytes], Order | Report | Members | FanOutReport]]] = {
    REPORT: decode_report,
    MEMBERS: _read_members,
    FAN_OUT: decode_fan_out_report,
}


def _wrong(field: str) -> DecodeError:
    return DecodeError(Reason.BAD_FIELD, f"{field}: has the wrong form; {CURES[field]}")


def control_of(event: Event) -> Control:
    """Read the data of an event of type `tocsin.broadcast`.

    Raises:
        DecodeError: they name no broadcast or no action.
    """
    try:
        data = _decode_control(event.data)
    except msgspec.MsgspecError:
        cure = 'send {"id": <id of its event>, "action": "start", "pause", "resume" or "cancel"}'
        raise DecodeError(Reason.BAD_FIELD, f"data: names no broadcast or no action; {cure}") from None
    return Control(data.id, data.action)
