"""Decode: batches of raw records become bundles for key groups, channels and the tracker.

Nothing stops the flow: what cannot be decoded becomes a dead letter with its reason and an outcome of its
own; what lies on a partition that is not its user's is forwarded once, marked, and counted once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NoReturn

from msgspec.structs import replace

from operators.decode_parts import Clocks, DecodePolicy, ErrorLimit, Routed
from operators.first_read import as_first_read
from operators.gate_parts import GateInput, GroupBatch, Item, TopicItem
from operators.homes import Homes
from operators.undecodable import undecodable
from tocsin.decision.broadcast_parts import index_key
from tocsin.decision.broadcasts import BroadcastEvent
from tocsin.decision.suppressions import AddressReport, record_key, targets_of
from tocsin.errors import DecodeError
from tocsin.formats import codec
from tocsin.formats.batches import Split, is_batch, split
from tocsin.formats.body import NotYet, Tombstone
from tocsin.formats.broadcasts import broadcast_record, control_of
from tocsin.formats.forwarded import (
    CONTENT_TYPE,
    ORIGIN_HEADER,
    as_cloudevent,
    is_forwarded,
    is_tombstone,
    marks_of,
    tombstone,
)
from tocsin.formats.marks import Marks
from tocsin.formats.subscriptions import decode_subscription, is_copy
from tocsin.model import topics
from tocsin.model.broadcast import Order, owner_key
from tocsin.model.broadcast_list import Members
from tocsin.model.event import Event
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason
from tocsin.model.subscription import FanOutReport
from tocsin.store.keys import rows_key

__all__ = ["Clocks", "DecodePolicy", "Decoder", "ErrorLimit", "Routed"]
_TOPIC_PARTITION = itemgetter(0, 1)
_TIMESTAMP = itemgetter(3)
_EVENT_TOPICS = frozenset({topics.EVENTS, topics.BULK})
_DIGITS = 15


class _Moved(Split):
    """The record belongs to another partition; `records` hold what goes there."""


class _Steps(dict[str, str]):
    """Names the step of each topic that is read: its channel, or `track`."""

    def __missing__(self, topic: str) -> str:
        step = self[topic] = topics.channel_of(topic) or "track"
        return step


class _ForTopic(Exception):
    """Leads a subscription, an event that names a topic, or a report of its fan-out past the gate."""

    def __init__(self, item: Event | TopicItem) -> None:
        self.item = item


Parser = Callable[[RawRecord], tuple[str, Item]]
Reader = Callable[[RawRecord], Event]
PutBack = Callable[[Sequence[RawRecord], str], None]
Waiting = dict[str, tuple[str, list[RawRecord]]]
Bundles = dict[str, list[GateInput]]


class Decoder:
    """Turns one batch of raw records into bundles; order is kept per user and topic.

    Args:
        policy: how records are read.
        clocks: the time of each partition, which decoding moves.
        errors: watches the share of records that cannot be decoded.
        wall_ms: the wall clock, if it bounds how far ahead a record's Kafka timestamp may be. One producer
            with a wrong clock must not move its partition's time, which never runs back, by years. Nor may
            an old event pass because its producer wrote the event's time as the record's timestamp.
        marks: reads the marks in receipts.
        declared: readers of declared topics, by Tocsin's names of them.
        put_back: takes back records of a topic, in order, that cannot be decoded yet, with the reason.

    Attributes:
        read: records decoded so far, by topic.
        forwarded: events forwarded to their user's partition so far, by topic.
        skipped: tombstones of declared topics so far, by topic.
    """

    def __init__(
        self,
        policy: DecodePolicy,
        clocks: Clocks,
        errors: ErrorLimit,
        wall_ms: Callable[[], int] | None = None,
        marks: Marks | None = None,
        declared: Mapping[str, Reader] | None = None,
        put_back: PutBack | None = None,
    ) -> None:
        self._policy = policy
        self._wall_ms = wall_ms
        self._oldest_ms = 0
        self._clocks = clocks
        self._errors = errors
        self._marks = marks
        self._put_back = put_back or _refuse
        self._homes = Homes(policy.partitions, policy.key_groups)
        self._parsers: dict[str, Parser] = {
            topics.EVENTS: self._event,
            topics.BULK: self._event,
            topics.PROFILES: _profile,
            topics.RECEIPTS: self._receipt,
            topics.RETRIES: self._retry,
            topics.SUBSCRIPTIONS: _subscription,
        }
        for name, reader in (declared or {}).items():
            self._parsers[name] = self._declared(reader)
        self.read: Counter[str] = Counter()
        self.forwarded: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        # Steps that keep no state by user take all their records of a batch in one bundle.
        self._steps = _Steps()

    def __call__(self, records: list[RawRecord]) -> list[Routed]:
        """Decode and group a batch."""
        gate: Bundles = {}
        bundles: dict[str, list[RawRecord]] = {}
        out: list[OutRecord] = []
        waiting: Waiting = {}
        for (topic, partition), run in groupby(records, _TOPIC_PARTITION):
            raws = list(run)
            self.read[topic] += len(raws)
            parser = self._parsers.get(topic)
            if parser is None:
                bundles.setdefault(self._steps[topic], []).extend(raws)
            elif topic in waiting:
                waiting[topic][1].extend(raws)
            else:
                self._errors.decoded(topic, partition, self._run(parser, raws, gate, out, waiting))
        for sentence, rest in waiting.values():
            self.read[rest[0].topic] -= len(rest)
            self._put_back(rest, sentence)
        rows = self._homes.rows
        routed = [
            Routed("fan_out" if key in rows else "gate", key, GroupBatch(key, inputs))
            for key, inputs in gate.items()
        ]
        routed += [Routed(step, step, bundle) for step, bundle in bundles.items()]
        if out:
            routed.append(Routed("outbox", "outbox", out))
        return routed

    def wake(self, partitions: Iterator[int]) -> list[Routed]:
        """Wake every key group of these partitions, so that those with timers or open events are built."""
        woken: list[Routed] = []
        for partition in partitions:
            names, rows = self._homes.names[partition], rows_key(partition)
            woken += [Routed("gate", name, GroupBatch(name, [])) for name in names]
            woken.append(Routed("fan_out", rows, GroupBatch(rows, [])))
        return woken

    def _bounded(self, raws: list[RawRecord]) -> list[RawRecord]:
        if self._wall_ms is None:
            return raws
        limits, wall_ms = self._policy.limits, self._wall_ms()
        self._oldest_ms = wall_ms - limits.max_past_s * 1000 if limits.check_time else 0
        latest_ms = wall_ms + limits.max_future_s * 1000
        if max(map(_TIMESTAMP, raws)) <= latest_ms:
            return raws
        return [raw._replace(timestamp_ms=min(raw.timestamp_ms, latest_ms)) for raw in raws]

    def _run(
        self, parser: Parser, raws: list[RawRecord], gate: Bundles, out: list[OutRecord], waiting: Waiting
    ) -> int:
        """Decode records of one partition; from the first whose schema is not there, its topic waits."""
        try:
            return self._gate_inputs(parser, self._bounded(raws), gate, out)
        except NotYet as wait:
            waiting[raws[0].topic] = str(wait), list(wait.rest)
            return wait.decoded

    def _gate_inputs(self, parser: Parser, raws: list[RawRecord], gate: Bundles, out: list[OutRecord]) -> int:
        """Decode records of one partition; return how many were decoded since the last that was not."""
        home_of, advance = self._homes.of, self._clocks.advance
        stream_clock = self._policy.stream_clock
        decoded = 0
        for raw in raws:
            try:
                if raw[4] is not None and raw[5] is None and is_tombstone(raw):
                    continue
                user_key, item = parser(raw)
                if not user_key:
                    self._spread(raw, item, gate, out)
                    continue
                home, key_group = home_of(user_key)
                if home != raw[1]:
                    event = item.event if isinstance(item, BroadcastEvent) else item
                    raw = as_cloudevent(event, raw) if isinstance(event, Event) else raw
                    out += self._forward(raw, home, user_key.encode())
                    continue
            except Tombstone:
                self.skipped[raw.topic] += 1
                continue
            except Split as batch:
                out += batch.records
                continue
            except _ForTopic as found:
                user_key, item, home, key_group = "", found.item, raw[1], rows_key(raw[1])
            except NotYet as wait:
                wait.decoded, wait.rest = decoded, raws[raws.index(raw) :]
                raise
            except DecodeError as error:
                self._fail(raw, error, decoded, out)
                decoded = 0
                continue
            decoded += 1
            now_ms = advance(home, self._time(raw, item) if stream_clock else raw[3])
            bundle = gate.get(key_group)
            if bundle is None:
                bundle = gate[key_group] = []
            bundle.append(GateInput(now_ms, user_key, item, raw))
        return decoded

    def _spread(self, raw: RawRecord, item: Item, gate: Bundles, out: list[OutRecord]) -> None:
        """Give a record without a user to all key groups."""
        if isinstance(item, Order):
            key, now_ms = index_key(item.tenant), self._clocks.advance(raw.partition, self._time(raw, item))
            for name in self._homes.names[raw.partition]:
                gate.setdefault(name, []).append(GateInput(now_ms, key, item, raw))
            return
        if isinstance(item, Members):
            self._spread_members(raw, item, gate)
            return
        assert isinstance(item, ReceiptEvent), "all others have a user"
        self._spread_receipt(raw, item, gate, out)

    def _spread_members(self, raw: RawRecord, members: Members, gate: Bundles) -> None:
        """Give each key group its users of a list, also where it has none: a slice may replace another."""
        found = self._homes.split(members.tenant, members.users, raw.partition)
        now_ms = self._clocks.advance(raw.partition, self._time(raw, members))
        for name, users in zip(self._homes.names[raw.partition], found, strict=True):
            own = replace(members, users=users)
            gate.setdefault(name, []).append(GateInput(now_ms, index_key(members.tenant), own, raw))

    def _spread_receipt(
        self, raw: RawRecord, receipt: ReceiptEvent, gate: Bundles, out: list[OutRecord]
    ) -> None:
        """Send a receipt without a user to all partitions; there, give it to every key group."""
        targets = targets_of(receipt)
        owner = f"{receipt.tenant}/{targets[0]}"
        if not is_forwarded(raw):
            out += [_copy(raw, partition, owner.encode()) for partition in range(self._policy.partitions)]
            return
        now_ms = self._clocks.advance(raw.partition, self._time(raw, receipt))
        logs = self._homes.of(owner)
        for name in self._homes.names[raw.partition]:
            bundle = gate.setdefault(name, [])
            for number, target in enumerate(targets):
                report = AddressReport(receipt, target, number == 0 and logs == (raw.partition, name))
                bundle.append(GateInput(now_ms, record_key(receipt.tenant, target), report, raw))

    def _fail(self, raw: RawRecord, error: DecodeError, decoded: int, out: list[OutRecord]) -> None:
        self._errors.decoded(raw.topic, raw.partition, decoded)
        self._errors.failed(raw.topic, raw.partition)
        now_ms = self._clocks.now(raw.partition) or raw.timestamp_ms
        out.extend(undecodable(raw, error, now_ms, self._policy.partitions))

    def _time(self, raw: RawRecord, item: Item) -> int:
        """Return what moves a partition's clock: Kafka's time, or the time of events and nothing else."""
        if not self._policy.stream_clock:
            return raw.timestamp_ms
        event = item.event if isinstance(item, BroadcastEvent) else item
        return event.time_ms if isinstance(event, Event) else self._clocks.now(raw.partition)

    def _event(self, raw: RawRecord) -> tuple[str, Item]:
        if raw.headers and is_batch(raw):
            raise Split(split(raw))
        if raw.headers and (found := broadcast_record(raw)):
            if isinstance(found, FanOutReport):
                raise _ForTopic(found)
            is_for_all = isinstance(found, Order | Members)
            return "" if is_for_all else owner_key(found.tenant, found.event_id), found
        event = codec.decode_event(raw, self._policy.limits)
        if raw.headers:
            event = as_first_read(event, dict(raw.headers), self._policy.partitions)
        if event.time_ms < self._oldest_ms:
            self._check_age(event)
        if event.topic and not event.fanned_out:
            self._to_topic(event, raw)
        if not event.user:
            return _for_owner(event)
        return f"{event.tenant}/{event.user}", event

    def _receipt(self, raw: RawRecord) -> tuple[str, Item]:
        receipt = codec.decode_receipt(raw, self._marks)
        return f"{receipt.tenant}/{receipt.user}" if receipt.user else "", receipt

    def _declared(self, read: Reader) -> Parser:
        def parse(raw: RawRecord) -> tuple[str, Item]:
            event = read(raw)
            self._check_age(event)
            if event.topic:
                self._to_topic(event, raw)
            if not event.user:
                return _for_owner(event)
            return f"{event.tenant}/{event.user}", event

        return parse

    def _to_topic(self, event: Event, raw: RawRecord) -> NoReturn:
        """Lead an event to the fan-out, at the partition of its topic or as a copy."""
        key = f"{event.tenant}/{event.topic}"
        home, _ = self._homes.of(key)
        if home != raw.partition and not is_copy(raw):
            raise _Moved(self._forward(as_cloudevent(event, raw), home, key.encode()))
        raise _ForTopic(event)

    def _check_age(self, event: Event) -> None:
        """Refuse an event that is too old by the wall clock, unless it is replayed."""
        if event.time_ms < self._oldest_ms and event.replay is None:
            text = (
                f"time: more than {self._policy.limits.max_past_s} s ago; its producer wrote it late, or set"
                " the record's timestamp to the event's time: raise TOCSIN_MAX_PAST_S to accept it"
            )
            raise DecodeError(Reason.TIME_OUT_OF_RANGE, text)

    def _forward(self, raw: RawRecord, home: int, key: bytes) -> list[OutRecord]:
        """Send a record to its user's partition, once.

        What a declared topic held goes to `events`. A profile leaves a tombstone for compaction.

        Raises:
            DecodeError: it was forwarded before and is still not at home.
        """
        if any(name == ORIGIN_HEADER for name, _ in raw.headers):
            raise DecodeError(
                Reason.FORWARD_LOOP,
                "forwarded here and not at home: does TOCSIN_PARTITIONS equal the topics' own count?",
            )
        self.forwarded[raw.topic] += 1
        if topics.is_declared(raw.topic):
            return [OutRecord(topics.EVENTS, home, key, raw.value, (CONTENT_TYPE, *marks_of(raw)))]
        stays = raw.topic == topics.PROFILES and raw.key is not None and raw.value is not None
        return [_copy(raw, home, key), tombstone(raw, home)] if stays else [_copy(raw, home, key)]

    def _retry(self, raw: RawRecord) -> tuple[str, Item]:
        """Read a retry; under the stream clock its wait, which was set by the wall, counts from now."""
        retry = codec.decode_retry(raw)
        if self._policy.stream_clock:
            wait_ms = max(0, retry.due_ms - raw.timestamp_ms)
            due_ms = self._clocks.now(raw.partition) + wait_ms
            retry = replace(retry, due_ms=due_ms)
        return f"{retry.message.tenant}/{retry.message.user}", retry


def _for_owner(event: Event) -> tuple[str, Item]:
    """Address a broadcast, or what controls one, to the key group that owns it."""
    if event.broadcast is not None:
        return owner_key(event.tenant, event.id), BroadcastEvent(event)
    control = control_of(event)
    return owner_key(event.tenant, control.broadcast_id), BroadcastEvent(event, control)


def _refuse(_rest: Sequence[RawRecord], sentence: str) -> None:
    raise AssertionError(sentence)  # only topics with schemas put records back


def _copy(raw: RawRecord, partition: int, key: bytes) -> OutRecord:
    """Copy a record to a partition, marked with where and when it was first read."""
    return OutRecord(raw.topic, partition, key, raw.value, (*raw.headers, *marks_of(raw)))


def _subscription(raw: RawRecord) -> tuple[str, Item]:
    raise _ForTopic(decode_subscription(raw))


def _profile(raw: RawRecord) -> tuple[str, Item]:
    change = codec.decode_profile(raw)
    return f"{change.tenant}/{change.user}", change
