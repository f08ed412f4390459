"""Decode: batches of raw records become bundles for key groups, channels and the tracker.

Nothing stops the flow: what cannot be decoded becomes a dead letter with its reason and an outcome of its
own; what lies on a partition that is not its user's is forwarded once, marked, and counted once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from operators.decode_parts import Bundles, Clocks, DecodePolicy, ErrorLimit, Routed, record_time
from operators.forwarding import Forwarder
from operators.gate_parts import GateInput, GroupBatch
from operators.homes import Homes
from operators.parsing import ForTopic, Parser, Parsers, Reader
from operators.spreading import Spreader
from operators.undecodable import undecodable
from tocsin.decision.broadcasts import BroadcastEvent
from tocsin.errors import DecodeError
from tocsin.formats.batches import Split
from tocsin.formats.body import NotYet, Tombstone
from tocsin.formats.forwarded import as_cloudevent, is_tombstone
from tocsin.formats.marks import Marks
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.store.keys import rows_key

_TOPIC_PARTITION = itemgetter(0, 1)
_TIMESTAMP = itemgetter(3)

PutBack = Callable[[Sequence[RawRecord], str], None]
Undecided = dict[str, tuple[str, list[RawRecord]]]
"""Topics whose next record cannot be decoded yet: why, and their records from that one on."""


class _Steps(dict[str, str]):
    """Names the step of each topic that is read: its channel, or `track`."""

    def __missing__(self, topic: str) -> str:
        step = self[topic] = topics.channel_of(topic) or "track"
        return step


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
        self._clocks = clocks
        self._errors = errors
        self._put_back = put_back or _refuse
        self._homes = Homes(policy.partitions, policy.key_groups)
        self._forwarder = Forwarder(self._homes)
        self._spreader = Spreader(policy, clocks, self._homes)
        self._parsers = Parsers(policy, clocks, self._forwarder, marks, declared or {})
        self.read: Counter[str] = Counter()
        self.forwarded = self._forwarder.forwarded
        self.skipped: Counter[str] = Counter()
        # Steps that keep no state by user take all their records of a batch in one bundle.
        self._steps = _Steps()

    def __call__(self, records: list[RawRecord]) -> list[Routed]:
        """Decode and group a batch."""
        gate: Bundles = {}
        bundles: dict[str, list[RawRecord]] = {}
        out: list[OutRecord] = []
        undecided: Undecided = {}
        for (topic, partition), run in groupby(records, _TOPIC_PARTITION):
            raws = list(run)
            self.read[topic] += len(raws)
            parser = self._parsers.by_topic.get(topic)
            if parser is None:
                bundles.setdefault(self._steps[topic], []).extend(raws)
            elif topic in undecided:
                undecided[topic][1].extend(raws)
            else:
                self._errors.decoded(topic, partition, self._run(parser, raws, gate, out, undecided))
        for sentence, rest in undecided.values():
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
        """Lower timestamps that are too far ahead of the wall clock, and set the age that events may have."""
        if self._wall_ms is None:
            return raws
        limits, wall_ms = self._policy.limits, self._wall_ms()
        self._parsers.oldest_ms = wall_ms - limits.max_past_s * 1000 if limits.check_time else 0
        latest_ms = wall_ms + limits.max_future_s * 1000
        if max(map(_TIMESTAMP, raws)) <= latest_ms:
            return raws
        return [raw._replace(timestamp_ms=min(raw.timestamp_ms, latest_ms)) for raw in raws]

    def _run(
        self, parser: Parser, raws: list[RawRecord], gate: Bundles, out: list[OutRecord], undecided: Undecided
    ) -> int:
        """Decode records of one partition; from the first whose schema is not there, its topic waits."""
        try:
            return self._gate_inputs(parser, self._bounded(raws), gate, out)
        except NotYet as wait:
            undecided[raws[0].topic] = str(wait), list(wait.rest)
            return wait.decoded

    def _gate_inputs(self, parser: Parser, raws: list[RawRecord], gate: Bundles, out: list[OutRecord]) -> int:
        """Decode records of one partition; return how many were decoded since the last that was not."""
        home_of, advance = self._homes.of, self._clocks.advance
        stream_clock, partition = self._policy.stream_clock, raws[0].partition
        decoded = 0
        for raw in raws:
            try:
                if raw.value is None and raw.key is not None and is_tombstone(raw):
                    continue
                user_key, item = parser(raw)
                if not user_key:
                    self._spreader.spread(raw, item, gate, out)
                    continue
                home, key_group = home_of(user_key)
                if home != partition:
                    event = item.event if isinstance(item, BroadcastEvent) else item
                    raw = as_cloudevent(event, raw) if isinstance(event, Event) else raw
                    out += self._forwarder.forward(raw, home, user_key.encode())
                    continue
            except Tombstone:
                self.skipped[raw.topic] += 1
                continue
            except Split as batch:
                out += batch.records
                continue
            except ForTopic as found:
                user_key, item, home, key_group = "", found.item, partition, rows_key(partition)
            except NotYet as wait:
                wait.decoded, wait.rest = decoded, raws[raws.index(raw) :]
                raise
            except DecodeError as error:
                self._fail(raw, error, decoded, out)
                decoded = 0
                continue
            decoded += 1
            at_ms = (
                record_time(raw, item, self._clocks, stream_clock=True) if stream_clock else raw.timestamp_ms
            )
            now_ms = advance(home, at_ms)
            bundle = gate.get(key_group)
            if bundle is None:
                bundle = gate[key_group] = []
            bundle.append(GateInput(now_ms, user_key, item, raw))
        return decoded

    def _fail(self, raw: RawRecord, error: DecodeError, decoded: int, out: list[OutRecord]) -> None:
        """Dead-letter a record; the error limit learns of it and of those decoded before."""
        self._errors.decoded(raw.topic, raw.partition, decoded)
        self._errors.failed(raw.topic, raw.partition)
        now_ms = self._clocks.now(raw.partition) or raw.timestamp_ms
        out.extend(undecodable(raw, error, now_ms, self._policy.partitions))


def _refuse(_rest: Sequence[RawRecord], sentence: str) -> None:
    raise AssertionError(sentence)  # only topics with schemas put records back
