"""Decodes record bytes into models and back. Pure: any bytes give a model or raise `DecodeError`.

JSON throughout, so that any Kafka tool can read the topics. Unknown fields are ignored, so that an older
Tocsin reads what a newer one wrote. Events, profiles and dead letters have modules of their own, and are
handed on from here.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Generic, TypeVar

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import EventLimits, decode_error, decode_event
from tocsin.formats.dead_letters import dead_letter, read_dead_letter
from tocsin.formats.marks import Marks
from tocsin.formats.profiles import ProfileChange, check_owner, decode_profile
from tocsin.formats.receipts import read_receipt
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

__all__ = [
    "EventLimits",
    "ProfileChange",
    "dead_letter",
    "decode_event",
    "decode_message",
    "decode_outcome",
    "decode_profile",
    "decode_receipt",
    "decode_retry",
    "encode",
    "profile_key",
    "read_dead_letter",
]

T = TypeVar("T", bound=msgspec.Struct)

encode: Callable[[msgspec.Struct], bytes] = msgspec.json.Encoder().encode
"""`encode(record) -> bytes`: a Profile, ReceiptEvent, Retry, Message or Outcome as the value of its topic."""


def profile_key(tenant: str, user: str) -> bytes:
    """Return the key of a user's records, `tenant/user`."""
    return f"{tenant}/{user}".encode()


def decode_receipt(raw: RawRecord, marks: Marks | None = None) -> ReceiptEvent:
    """Read one record of `receipts`; raises `DecodeError`.

    A receipt without a user names an address, and is about all users of the tenant who have it.

    Args:
        raw: the record.
        marks: reads the mark that names user and message; without it a receipt with a mark is refused.
    """
    receipt = read_receipt(raw.value)
    _check_numbers(receipt, _receipt_numbers)
    if receipt.mark:
        receipt = _unmarked(receipt, marks)
    elif not receipt.tenant:
        receipt = msgspec.structs.replace(receipt, tenant="default")
    if not receipt.user and (receipt.address or receipt.target):
        check_owner(receipt.tenant, "everybody")
    elif not receipt.user:
        raise DecodeError(Reason.BAD_FIELD, "user: empty; send the user, a mark, or an address")
    else:
        check_owner(receipt.tenant, receipt.user)
    return receipt


def _unmarked(receipt: ReceiptEvent, marks: Marks | None) -> ReceiptEvent:
    found = marks.read(receipt) if marks else None
    if found is None:
        cure = "send it as the provider gave it back, to the system whose TOCSIN_SECRET sealed it"
        raise DecodeError(Reason.BAD_FIELD, f"mark: not one of ours; {cure}, or send tenant and user")
    return found


def decode_retry(raw: RawRecord) -> Retry:
    """Read one record of `retries`; raises `DecodeError`."""
    retry = _retries.decode(raw.value)
    _check_numbers(retry.message, _messages.numbers)
    check_owner(retry.message.tenant, retry.message.user)
    return retry


def decode_message(raw: RawRecord) -> Message:
    """Read one record of `messages.<channel>.*`; raises `DecodeError`."""
    message = _messages.decode(raw.value)
    check_owner(message.tenant, message.user)
    return message


def decode_outcome(raw: RawRecord) -> Outcome:
    """Read one record of `outcomes`; raises `DecodeError`."""
    return _outcomes.decode(raw.value)


class _Reader(Generic[T]):
    """A compiled decoder of one record type that raises nothing but `DecodeError`."""

    def __init__(self, kind: type[T]) -> None:
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode
        names = [f.name for f in msgspec.structs.fields(kind) if f.type is int]
        self.numbers: Callable[[T], tuple[int, ...]] = attrgetter(*names, names[0])

    def decode(self, value: bytes | None) -> T:
        try:
            if not (value or b"").isascii():
                (value or b"").decode()
            record = self._decode(value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise decode_error(error, {}) from error
        _check_numbers(record, self.numbers)
        return record


_receipt_numbers: Callable[[ReceiptEvent], tuple[int, ...]] = attrgetter("at_ms", "at_ms")
_retries = _Reader(Retry)
_messages = _Reader(Message)
_outcomes = _Reader(Outcome)


def _check_numbers(record: T, numbers: Callable[[T], tuple[int, ...]]) -> None:
    found = numbers(record)
    if max(found) >= 1 << 63 or min(found) < -(1 << 63):
        raise DecodeError(Reason.BAD_FIELD, "a number does not fit 64 bits; send a smaller one")
