"""Decode: batches of raw records become bundles for lanes, channels and the tracker.

Nothing stops the flow: what cannot be decoded becomes a dead letter with its reason and an outcome of its
own; what lies on a partition that is not its user's is forwarded once, marked, and counted once.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from operators.gate import GateInput, Item, LaneBatch
from sources.partitioner import key_group_of, partition_of
from tocsin.errors import DecodeError
from tocsin.formats import codec
from tocsin.formats.forwarded import ORIGIN_HEADER, RECEIVED_HEADER
from tocsin.formats.rfc3339 import LATEST_MS
from tocsin.model import ids, topics
from tocsin.model.event import Event, Origin
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason, Status

_EVENT_TOPICS = frozenset({topics.EVENTS, topics.BULK})


class Clocks(Protocol):
    """The monotone time of each partition."""

    def advance(self, partition: int, ms: int) -> int:
        """Move a partition's time forward to `ms`, never back; returns it."""
        ...

    def now(self, partition: int) -> int:
        """Time of a partition."""
        ...


class Badness(Protocol):
    """Watches the share of undecodable records."""

    def note(self, topic: str, partition: int, *, ok: bool) -> None:
        """Count one record."""
        ...


class DecodePolicy(msgspec.Struct, frozen=True):
    """How records are read.

    Attributes:
        partitions: partitions of every keyed topic.
        lanes: lanes a partition.
        stream_clock: time moves by the events' own time instead of Kafka's timestamps.
        limits: sizes and times an event must keep to.
    """

    partitions: int
    lanes: int
    limits: codec.EventLimits
    stream_clock: bool = False


class Routed(NamedTuple):
    """A bundle and the step it is for: `gate`, a channel's name, `track` or `outbox`."""

    step: str
    key: str
    bundle: LaneBatch | list[RawRecord] | list[OutRecord]


class Decoder:
    """Turns one batch of raw records into bundles; order is kept per user and topic.

    Args:
        policy: how records are read.
        clocks: the time of each partition, which decoding moves.
        badness: watches the share of undecodable records.
        wall_ms: the wall clock, if it bounds how far ahead a record's Kafka timestamp may be. One producer
            with a wrong clock must not move its partition's time, which never runs back, by years.

    Attributes:
        read: records decoded so far, by topic.
    """

    def __init__(
        self,
        policy: DecodePolicy,
        clocks: Clocks,
        badness: Badness,
        wall_ms: Callable[[], int] = lambda: LATEST_MS,
    ) -> None:
        self._policy = policy
        self._wall_ms = wall_ms
        self._clocks = clocks
        self._badness = badness
        self._lane_names = [[f"{p}.{n}" for n in range(policy.lanes)] for p in range(policy.partitions)]
        self._parsers: dict[str, Callable[[RawRecord], tuple[str, Item]]] = {
            topics.EVENTS: self._event,
            topics.BULK: self._event,
            topics.PROFILES: _profile,
            topics.RECEIPTS: _receipt,
            topics.RETRIES: self._retry,
        }
        self.read: Counter[str] = Counter()
        self._channels = {name: name.split(".")[1] for name in topics.MESSAGES}

    def __call__(self, records: list[RawRecord]) -> list[Routed]:
        """Decode and group a batch."""
        gate: dict[str, list[GateInput]] = {}
        lanes: dict[tuple[str, str], list[RawRecord]] = {}
        out: list[OutRecord] = []
        latest_ms = self._wall_ms() + self._policy.limits.max_future_s * 1000
        for raw in records:
            self.read[raw.topic] += 1
            if raw.topic in self._parsers:
                bounded = raw if raw.timestamp_ms <= latest_ms else raw._replace(timestamp_ms=latest_ms)
                self._gate_input(bounded, gate, out)
            else:
                lanes.setdefault(self._lane(raw), []).append(raw)
        routed = [Routed("gate", lane, LaneBatch(lane, inputs)) for lane, inputs in gate.items()]
        routed += [Routed(step, lane, bundle) for (step, lane), bundle in lanes.items()]
        if out:
            routed.append(Routed("outbox", "outbox", out))
        return routed

    def wake(self, partitions: Iterator[int]) -> list[Routed]:
        """Wake every lane of these partitions, so that those with timers are built."""
        names = [name for partition in partitions for name in self._lane_names[partition]]
        return [Routed("gate", name, LaneBatch(name, [])) for name in names]

    def _lane(self, raw: RawRecord) -> tuple[str, str]:
        if raw.topic == topics.OUTCOMES:
            return "track", "track"
        lane = key_group_of(raw.key or b"", self._policy.lanes)
        return self._channels[raw.topic], self._lane_names[raw.partition][lane]

    def _gate_input(self, raw: RawRecord, gate: dict[str, list[GateInput]], out: list[OutRecord]) -> None:
        try:
            user_key, item = self._parsers[raw.topic](raw)
            key = user_key.encode()
            home = partition_of(key, self._policy.partitions)
            if home != raw.partition:
                out.append(_forward(raw, home, key))
                return
        except DecodeError as error:
            self._badness.note(raw.topic, raw.partition, ok=False)
            out.extend(self._dead(raw, error))
            return
        self._badness.note(raw.topic, raw.partition, ok=True)
        lane = self._lane_names[home][key_group_of(key, self._policy.lanes)]
        now_ms = self._clocks.advance(home, self._time(raw, item))
        gate.setdefault(lane, []).append(GateInput(now_ms, user_key, item, raw))

    def _time(self, raw: RawRecord, item: Item) -> int:
        if not self._policy.stream_clock:
            return raw.timestamp_ms
        return item.time_ms if isinstance(item, Event) else self._clocks.now(raw.partition)

    def _event(self, raw: RawRecord) -> tuple[str, Item]:
        event = codec.decode_event(raw, self._policy.limits)
        if raw.headers:
            event = _as_first_read(event, dict(raw.headers), self._policy.partitions)
        return f"{event.tenant}/{event.user}", event

    def _retry(self, raw: RawRecord) -> tuple[str, Item]:
        """Read a retry; under the stream clock its wait, which was set by the wall, counts from now."""
        retry = codec.decode_retry(raw)
        if self._policy.stream_clock:
            wait_ms = max(0, retry.due_ms - raw.timestamp_ms)
            due_ms = self._clocks.now(raw.partition) + wait_ms
            retry = msgspec.structs.replace(retry, due_ms=due_ms)
        return f"{retry.message.tenant}/{retry.message.user}", retry

    def _dead(self, raw: RawRecord, error: DecodeError) -> list[OutRecord]:
        now_ms = self._clocks.now(raw.partition) or raw.timestamp_ms
        origin = _origin_of(raw)
        outcome = Outcome(
            outcome_id=ids.outcome_id(origin, Status.DEAD),
            status=Status.DEAD,
            tenant="default",
            origin=origin,
            reason=error.reason,
            at_ms=now_ms,
            received_ms=raw.timestamp_ms,
            detail={"error": str(error)},
        )
        return [
            codec.dead_letter(raw, "decode", error.reason, str(error)),
            OutRecord(topics.OUTCOMES, raw.partition, raw.key, msgspec.json.encode(outcome)),
        ]


def _origin_of(raw: RawRecord) -> str:
    marked = dict(raw.headers).get(ORIGIN_HEADER)
    return marked.decode("ascii", "replace") if marked else f"{raw.topic}/{raw.partition}/{raw.offset}"


def _as_first_read(event: Event, headers: dict[str, bytes], partitions: int) -> Event:
    """Give a forwarded event the origin and Kafka time it was first read with."""
    marked = headers.get(ORIGIN_HEADER)
    if marked is None:
        return event
    try:
        topic, partition, offset = marked.decode().rsplit("/", 2)
        origin = Origin(topic, int(partition), int(offset))
        received_ms = int(headers.get(RECEIVED_HEADER, b"0"))
    except ValueError:
        raise _foreign_mark() from None
    is_place = 0 <= origin.partition < partitions and 0 <= origin.offset < 1 << 63
    if topic not in _EVENT_TOPICS or not is_place or not 0 <= received_ms <= LATEST_MS:
        raise _foreign_mark()
    return msgspec.structs.replace(event, origin=origin, received_ms=received_ms or event.received_ms)


def _foreign_mark() -> DecodeError:
    text = f"header {ORIGIN_HEADER}: must be topic/partition/offset; only Tocsin writes it: leave it out"
    return DecodeError(Reason.BAD_FIELD, text)


def _forward(raw: RawRecord, home: int, key: bytes) -> OutRecord:
    """Send a record to its user's partition, once.

    Raises:
        DecodeError: it was forwarded before and is still not at home.
    """
    if any(name == ORIGIN_HEADER for name, _ in raw.headers):
        raise DecodeError(
            Reason.FORWARD_LOOP,
            "forwarded here and not at home: does TOCSIN_PARTITIONS equal the topics' own count?",
        )
    origin = f"{raw.topic}/{raw.partition}/{raw.offset}".encode()
    marks = ((ORIGIN_HEADER, origin), (RECEIVED_HEADER, str(raw.timestamp_ms).encode()))
    return OutRecord(raw.topic, home, key, raw.value, (*raw.headers, *marks))


def _profile(raw: RawRecord) -> tuple[str, Item]:
    change = codec.decode_profile(raw)
    return f"{change.tenant}/{change.user}", change


def _receipt(raw: RawRecord) -> tuple[str, Item]:
    receipt = codec.decode_receipt(raw)
    return f"{receipt.tenant}/{receipt.user}", receipt
