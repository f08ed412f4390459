"""What one message puts out, as the ledger keeps it and as Kafka gets it.

The ledger keeps no address: a dead letter's value is the record itself and a retry repeats its message, so
both are put together again from the record that is read, byte for byte the same.
"""

import msgspec

from tocsin.delivery.claim import Output
from tocsin.formats.codec import dead_letter
from tocsin.model import ids, topics
from tocsin.model.message import Message, Retry, Slots
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.outcomes import outcome_of
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason, Status

_OUTCOME, _RECEIPT, _RETRY, _DEAD = "o", "c", "r", "d"
_encode = msgspec.json.Encoder().encode


class _RetryNote(msgspec.Struct, array_like=True, frozen=True):
    attempt: int
    reason: str
    due_ms: int
    provider: str
    first_failed_ms: int
    maybe_sent: bool = False
    sent_by: str = ""


class _Id(msgspec.Struct, frozen=True):
    outcome_id: str


class Unanswered(msgspec.Struct, frozen=True):
    """A call without an answer, as its outcome has it; a call that a crash cut off names no provider."""

    at_ms: int
    reason: str = ""
    provider: str = ""


_notes = msgspec.json.Decoder(_RetryNote)
_ids = msgspec.json.Decoder(_Id)
_calls = msgspec.json.Decoder(Unanswered)


class ProviderCall(msgspec.Struct, frozen=True, gc=False):
    """What is known of one provider call when its outcome is written."""

    at_ms: int
    provider: str = ""
    provider_ms: int = -1
    code: str = ""
    provider_message_id: str = ""


def writable(text: object) -> str:
    """Turn an adapter's word into text that can be stored: not all that Python calls text can be encoded."""
    return "" if text is None else str(text).encode("utf-8", "replace").decode()


def outcome(
    message: Message,
    status: Status,
    reason: Reason,
    attempt: int,
    call: ProviderCall,
    *,
    failed_over: bool = False,
    ahead_ms: int = 0,
) -> Output:
    """Write the outcome of an attempt.

    Calls that failed over use up no attempt: their ids go by provider and by the gate's decision. Where
    decisions are in the events' own time, the wall clock is `ahead_ms` ahead of it: the outcome stands in
    their time, as long after its decision as it took.
    """
    subject = message.message_id
    if failed_over:
        subject += f"/{call.provider}/{message.decided_ms}/{message.profile_version}"
    line = outcome_of(
        message,
        ids.outcome_id(subject, status, attempt),
        status,
        at_ms=call.at_ms - ahead_ms,
        reason=reason,
        catalog_version=message.catalog_version,
        locale=message.locale,
        provider=call.provider,
        provider_message_id=call.provider_message_id,
        code=call.code,
        attempt=attempt,
        latency_ms=max(0, call.at_ms - message.received_ms),
        provider_ms=call.provider_ms,
    )
    return _OUTCOME, _encode(line), ()


def repeats(line: Output, outputs: tuple[Output, ...]) -> bool:
    """Whether an outcome with this one's id is among the outputs."""
    name = _ids.decode(line[1])
    return any(kind == _OUTCOME and _ids.decode(value) == name for kind, value, _ in outputs)


def unanswered(outputs: tuple[Output, ...]) -> list[Unanswered]:
    """List the calls among the outputs that got no answer."""
    calls = [_calls.decode(value) for kind, value, _ in outputs if kind == _OUTCOME]
    return [call for call in calls if call.reason == Reason.UNKNOWN]


def receipt(
    message: Message,
    kind: str,
    reason: Reason,
    call: ProviderCall,
    since_ms: int = 0,
    slots: Slots | None = None,
) -> Output:
    """Write what the provider said of the recipient, `gone` or `opted_out`, or that the message `failed`.

    A device that was registered anew after `since_ms` is not meant, whenever the provider said so.
    """
    event = ReceiptEvent(
        tenant=message.tenant,
        user=message.user,
        kind=kind,
        message_id=message.message_id,
        notification_id=message.notification_id,
        channel=message.channel,
        target=ids.target_id(message.target.address, message.channel),
        at_ms=since_ms or call.at_ms,
        provider=call.provider,
        code=call.code,
        reason=reason,
        receipt_id=ids.digest("r", message.message_id, kind),
        origin=str(message.origin),
        notification=message.notification,
        category=message.category,
        slots=slots,
    )
    return _RECEIPT, _encode(event), ()


def failed(message: Message, reason: Reason, call: ProviderCall) -> tuple[Output, ...]:
    """Write that a message was not sent and never will be: its places in limits come back."""
    if message.slots is None:
        return ()
    return (receipt(message, "failed", reason, call, slots=message.slots.at(message.decided_ms)),)


def return_to_gate(
    attempt: int,
    reason: str,
    due_ms: int,
    *,
    provider: str = "",
    first_failed_ms: int = 0,
    maybe_sent: bool = False,
) -> Output:
    """Write a retry: attempt number `attempt` is to be decided again at `due_ms`.

    A message that may have been sent keeps its places in limits, whatever becomes of it.
    """
    return _RETRY, _encode(_RetryNote(attempt, reason, due_ms, provider, first_failed_ms, maybe_sent)), ()


def by_another(account: str, due_ms: int) -> Output:
    """Write that another account sends the message at `due_ms`, unless a receipt of it comes before."""
    return _RETRY, _encode(_RetryNote(1, Reason.AWAITING_RECEIPT, due_ms, account, 0, False, account)), ()


def dead(record: RawRecord, reason: Reason, text: str, *, attempts: int, at_ms: int) -> Output:
    """Write a dead letter; its origin is the record of the channel's topic, so that replaying is copying."""
    letter = dead_letter(record, "deliver", reason, text, attempts=attempts, last_ms=at_ms)
    return _DEAD, b"", letter.headers


def expand(record: RawRecord, message: Message, outputs: tuple[Output, ...]) -> list[OutRecord]:
    """Make Kafka records of what a message put out; the same outputs give the same bytes."""
    return [_expand(record, message, output) for output in outputs]


def _expand(record: RawRecord, message: Message, output: Output) -> OutRecord:
    kind, value, headers = output
    key, partition = f"{message.tenant}/{message.user}".encode(), record.partition
    if kind == _OUTCOME:
        return OutRecord(topics.OUTCOMES, partition, key, value)
    if kind == _RECEIPT:
        return OutRecord(topics.RECEIPTS, partition, key, value)
    if kind == _DEAD:
        return OutRecord(topics.DEAD, partition, record.key, record.value, headers)
    note = _notes.decode(value)
    again = msgspec.structs.replace(
        message, attempt=note.attempt, slots=None if note.maybe_sent else message.slots
    )
    retry = Retry(
        message=message.by_another(note.sent_by) if note.sent_by else again,
        reason=note.reason,
        due_ms=note.due_ms,
        provider=note.provider,
        first_failed_ms=note.first_failed_ms,
    )
    return OutRecord(topics.RETRIES, partition, key, _encode(retry))
