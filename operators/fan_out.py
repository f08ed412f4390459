"""Fan-out: an event that names a topic becomes one event for each subscriber.

An event belongs to the partition of its topic, and the subscribers lie on all partitions. So the first one
holds the event and copies it to every partition. There its fan-out is open until the cursor has passed the
last subscriber (`tocsin.decision.fan_out`). Then the partition reports how many users it reached; with the
last report the event ends as `finished`. Copies and reports travel in the topic of events. A subscriber gets
the same CloudEvent with the user's id, on the user's partition of `events` or `bulk`; from there on it is an
event like any other.

A turn looks at a bounded number of subscriptions, and all turns of an epoch share a bound, so a topic of a
million delays nobody.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream, StatefulBatchLogic
from msgspec.structs import replace

from operators.fan_out_parts import FanOutParts
from operators.gate_parts import GateInput, GroupBatch, Stored
from sources.partitioner import partition_of
from tocsin.decision.fan_out import FanOut, Turn
from tocsin.decision.faulty import without_catalog
from tocsin.decision.subjects import WholeEvent
from tocsin.decision.verdict import Detail
from tocsin.formats.codec import dead_letter, encode
from tocsin.formats.forwarded import (
    CONTENT_TYPE,
    ORIGIN_HEADER,
    RECEIVED_HEADER,
    addressed,
    as_cloudevent,
    first_read,
    marks_of,
)
from tocsin.formats.subscriptions import is_copy
from tocsin.model import topics
from tocsin.model.broadcast import ORDER_HEADER
from tocsin.model.event import CANCEL, Event
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason, Status
from tocsin.model.subscription import COPY, FAN_OUT, FanOutReport, SubscriptionChange
from tocsin.store.deltas import Delta
from tocsin.store.key_group import KeyGroup

_POLL = timedelta(milliseconds=2)
_EXPIRED_A_TURN = 200


class FanOutLogic(StatefulBatchLogic[GroupBatch, list[OutRecord], Stored]):
    """The topics of one partition: takes subscriptions and events, and fans open events out in turns."""

    def __init__(self, stored: Stored | None, parts: FanOutParts) -> None:
        self._parts = parts
        self._key, self._partition = "", 0
        self._rows: KeyGroup[bytes] | None = None
        self._fan_out: FanOut
        self._now_ms = 0
        if stored is not None:
            self._open(*stored)

    def _open(self, key: str, delta: Delta | None) -> KeyGroup[bytes]:
        self._key, self._partition = key, int(key.partition(".")[0])
        self._rows = self._parts.rows(key, delta)
        self._fan_out = FanOut(self._rows, self._parts.policy)
        self._parts.tally.totals[key] = self._fan_out.totals
        return self._rows

    def on_batch(self, values: list[GroupBatch]) -> tuple[list[list[OutRecord]], bool]:
        """Take records in order, then fan out; an empty bundle only wakes the partition."""
        out: list[OutRecord] = []
        for batch in values:
            if self._rows is None:
                self._open(batch.key_group, None)
            for entry in batch.inputs:
                self._now_ms = max(self._now_ms, entry.now_ms)
                self._take(entry, out)
        self._turn(out)
        return ([out] if out else []), False

    def on_notify(self) -> tuple[list[list[OutRecord]], bool]:
        """Fan out although nothing came."""
        out: list[OutRecord] = []
        if self._rows is not None and not self._parts.timing.in_gap():
            self._turn(out)
        return ([out] if out else []), False

    def notify_at(self) -> datetime | None:
        """Wake soon while an event is open."""
        if self._rows is None or not self._fan_out.totals.open:
            return None
        return self._parts.timing.utc_now() + _POLL

    def snapshot(self) -> Stored:
        """Return what this epoch changed; the rest is in the base."""
        assert self._rows is not None, "Bytewax builds a logic only for an item or a stored row"
        self._parts.quota.refill()
        return self._key, self._rows.snapshot()

    def _take(self, entry: GateInput, out: list[OutRecord]) -> None:
        """Take a subscription, a report, or an event: a copy begins to fan out, a new one is decided."""
        item = entry.item
        if isinstance(item, SubscriptionChange):
            self._fan_out.subscribe(item)
            return
        if isinstance(item, FanOutReport):
            self._finish(item, entry.now_ms, out)
            return
        assert isinstance(item, Event), "the decoder sends nothing else here"
        if is_copy(entry.raw):
            self._fan_out.begin(item, entry.now_ms)
        else:
            self._decide(item, entry.raw, entry.now_ms, out)

    def _decide(self, event: Event, raw: RawRecord, now_ms: int, out: list[OutRecord]) -> None:
        """Hold an event where it was read, and copy it to all partitions; or end it."""
        context = self._parts.gate().context
        candidates = context.catalog.answering(event)
        whole = WholeEvent(event, now_ms, context.version_of(event.tenant))
        if candidates is None:
            reason, error = without_catalog(context.catalog, event.tenant)
            self._log(whole.outcome(Status.DEAD, reason, {"error": error}), out)
            raw = first_read(as_cloudevent(event, raw), event.origin, event.received_ms)
            letter = dead_letter(raw, "gate", reason, error, last_ms=now_ms)
            out.append(replace(letter, partition=self._partition))
        elif first := self._fan_out.duplicate(event, now_ms):
            if first != str(event.origin):  # else it is a copy of the record, as a crash may leave one
                self._log(whole.outcome(Status.SUPPRESSED, Reason.DUPLICATE, {"original": first}), out)
        elif not candidates.notifications and event.type != CANCEL:
            self._log(whole.outcome(Status.SUPPRESSED, candidates.none, candidates.detail), out)
        else:
            self._fan_out.own(event)
            self._log(whole.outcome(Status.HELD, Reason.FAN_OUT, {"topic": event.topic}), out)
            out += self._copies(event, raw)

    def _finish(self, report: FanOutReport, now_ms: int, out: list[OutRecord]) -> None:
        """Take a report; after the last one the event has its final outcome."""
        if ended := self._fan_out.report(report):
            event, users = ended
            whole = WholeEvent(event, now_ms, self._parts.gate().context.version_of(event.tenant))
            detail: Detail = {"topic": event.topic, "users": users}
            self._log(whole.outcome(Status.FINISHED, Reason.NONE, detail), out)

    def _copies(self, event: Event, raw: RawRecord) -> list[OutRecord]:
        """Copy an event to every partition, marked as a copy."""
        topic = topics.BULK if event.bulk else topics.EVENTS
        key = f"{event.tenant}/{event.topic}".encode()
        first = first_read(as_cloudevent(event, raw), event.origin, event.received_ms)
        kind = (CONTENT_TYPE,) if topics.is_declared(raw.topic) else first.headers
        headers, count = (*kind, *marks_of(first), (ORDER_HEADER, COPY)), self._parts.policy.partitions
        return [OutRecord(topic, partition, key, first.value, headers) for partition in range(count)]

    def _turn(self, out: list[OutRecord]) -> None:
        """Take one turn of the event that is open longest, if the epoch has room for it."""
        if self._rows is None:
            return
        self._fan_out.expire(self._now_ms, _EXPIRED_A_TURN)
        if self._fan_out.totals.open and (limit := self._parts.quota.take()):
            self._hand_out(self._fan_out.turn(limit), out)

    def _hand_out(self, turn: Turn, out: list[OutRecord]) -> None:
        """Write the events of a turn, and after the last one the report to the event's first partition."""
        event, users = turn.event, turn.users
        out += self._addressed(event, users)
        self._count(turn)
        if turn.finished:
            origin, key = str(event.origin), f"{event.tenant}/{event.topic}".encode()
            home = partition_of(key, self._parts.policy.partitions)
            report = FanOutReport(origin=origin, part=self._partition, users=turn.reached)
            marks = (ORIGIN_HEADER, origin.encode()), (ORDER_HEADER, FAN_OUT)
            out.append(OutRecord(topics.EVENTS, home, key, encode(report), marks))

    def _count(self, turn: Turn) -> None:
        tally, behind_s = self._parts.tally, 0.0
        tally.reached += len(turn.users)
        if self._fan_out.totals.open:
            behind_s = self._parts.timing.utc_now().timestamp() - turn.now_ms / 1_000
        tally.behind_s[self._key] = max(0.0, behind_s)

    def _addressed(self, event: Event, users: list[str]) -> Iterator[OutRecord]:
        """Write the event for each subscriber, on the user's partition."""
        headers = ((RECEIVED_HEADER, str(event.received_ms).encode()),)
        topic = topics.BULK if event.bulk else topics.EVENTS
        count, write = self._parts.policy.partitions, addressed(replace(event, fanned_out=str(event.origin)))
        for user in users:
            key = f"{event.tenant}/{user}".encode()
            yield OutRecord(topic, partition_of(key, count), key, write(user), headers)

    def _log(self, outcome: Outcome, out: list[OutRecord]) -> None:
        self._parts.outcomes[outcome.status, outcome.channel, outcome.reason] += 1
        key = f"{outcome.tenant}/{outcome.user}".encode()
        out.append(OutRecord(topics.OUTCOMES, self._partition, key, encode(outcome)))


@operator
def fan_out(step_id: str, up: KeyedStream[GroupBatch], *, parts: FanOutParts) -> KeyedStream[list[OutRecord]]:
    """Keep subscriptions, and hand each event of a topic to every subscriber once, in order per topic.

    Args:
        step_id: names the step in the recovery store: never change it.
        up: bundles by partition (`tocsin.store.keys.rows_key`); an empty bundle wakes one at start.
        parts: the store, the catalog and the time.
    """
    return op.stateful_batch("topics", up, lambda stored: FanOutLogic(stored, parts))
