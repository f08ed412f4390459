"""Dead letters, events and messages to replay, and a broker that holds them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from sources.replays.planning import Plan, index_of, plan, spans_of
from sources.replays.replay import Replaying, Scan
from sources.replays.selection import Selection
from sources.replays.spans import SpanReader
from sources.replays.state import ReplayState, StateFolder
from sources.replays.superseded import Superseded
from sources.replays.writer import ReplayWriter
from tests.providers.messages import message
from tests.sources.mock_kafka import MockCluster
from tocsin.formats.codec import dead_letter, encode
from tocsin.model import topics
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

PREFIX = "tocsin."
PARTITIONS = 4
NOW_MS = 1_800_000_000_000


def event(number: int, user: str = "ann", topic: str = "events", **fields: Any) -> RawRecord:
    document = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/s",
        "type": "t",
        "subject": user,
        **fields,
    }
    return RawRecord(
        topic,
        number % 2,
        number,
        NOW_MS,
        f"default/{user}".encode(),
        json.dumps(document).encode(),
        (),
    )


def letter(raw: RawRecord, reason: Reason = Reason.UNKNOWN_USER, stage: str = "gate") -> RawRecord:
    return read_back(dead_letter(raw, stage, reason, "a field: wrong; mend it"), raw.offset)


def read_back(record: OutRecord, offset: int) -> RawRecord:
    """Read a record as Kafka would hand it out."""
    return RawRecord(record.topic, record.partition, offset, NOW_MS, record.key, record.value, record.headers)


def message_record(number: int, topic: str = "messages.email.now", **fields: Any) -> RawRecord:
    one = sent_message(number, **fields)
    return RawRecord(topic, number % 2, number, NOW_MS, b"acme/ann", encode(one), ())


def sent_message(number: int, **fields: Any) -> Message:
    return message(number=number, **{"notification": "landed", **fields})


def outcome(status: str, **fields: Any) -> RawRecord:
    known = {"outcome_id": "o", "tenant": "acme", "at_ms": NOW_MS}
    return RawRecord(
        "outcomes", 0, 0, NOW_MS, None, encode(Outcome(status=status, **{**known, **fields})), ()
    )


class Broker:
    """A mock cluster with the topics that replays read and write."""

    def __init__(self, cluster: MockCluster) -> None:
        self.bootstrap = cluster.bootstrap
        # It makes a topic for a producer that asks: twenty times as fast as being told to.
        asking = Producer({"bootstrap.servers": self.bootstrap})
        for name in (
            topics.DEAD,
            topics.EVENTS,
            topics.RETRIES,
            topics.PROFILES,
            topics.OUTCOMES,
            topics.AUDIT,
        ):
            found = asking.list_topics(PREFIX + name, timeout=10).topics[PREFIX + name]
            assert len(found.partitions) == PARTITIONS

    def write(self, *records: RawRecord) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for one in records:
            headers: list[tuple[str, str | bytes | None]] = list(one.headers)
            producer.produce(PREFIX + one.topic, one.value, one.key, partition=one.partition, headers=headers)
        assert producer.flush(20) == 0

    def read(self, *names: str) -> list[RawRecord]:
        with self.reader() as reader:
            spans = [span for name in names for span in reader.whole(name)]
            return [raw for batch in reader.read(spans) for raw in batch]

    def reader(self) -> SpanReader:
        return SpanReader(self.bootstrap, PREFIX)

    def state(self, selection: Selection, **fields: Any) -> ReplayState:
        with self.reader() as reader:
            spans, outcomes = spans_of(reader, selection, [])
        known: dict[str, Any] = {"id": "r1", "created_ms": NOW_MS, "kafka": self.bootstrap, "prefix": PREFIX}
        known |= {"partitions": PARTITIONS, "rate": 0, "spans": spans, "outcome_spans": outcomes}
        return ReplayState(selection=selection, **known, **fields)

    def plan(self, state: ReplayState) -> Plan:
        with self.reader() as reader, self.reader() as beside:
            return plan(reader, beside, state, index_of(reader, state))

    @contextmanager
    def replaying(self, state: ReplayState, folder: Path, stop_after: int = 1 << 60) -> Iterator[Replaying]:
        """Open a replay whose state file may be older than what it has written."""
        with self.reader() as reader, self.reader() as beside:
            scan = Scan(reader, state.selection, index_of(reader, state), Superseded(beside))
            writer = ReplayWriter(self.bootstrap, PREFIX)
            asked = iter(range(1 << 60))
            yield Replaying(
                scan, beside, writer, StateFolder(folder), state, lambda: next(asked) >= stop_after
            )
            writer.confirm()


def marks(records: list[RawRecord]) -> list[str]:
    """Tell what records replay, in order."""
    return sorted(dict(one.headers)["tocsin-replay"].decode().split(" ")[2] for one in records)


def copy_of(state: ReplayState) -> ReplayState:
    return msgspec.convert(msgspec.to_builtins(state), ReplayState)
