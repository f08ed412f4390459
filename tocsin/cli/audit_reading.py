"""Reads what an audit judges from the topics, and from ClickHouse what they lack."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, Protocol

from clickhouse_connect.driver.client import Client

from dashboards import store
from sources.reader import TopicReader
from tocsin.app.audit import Audit, Unexplained
from tocsin.app.audit_facts import EventFact, MessageFact, OutcomeFact, StoredFact, fact_of, message_fact
from tocsin.app.audit_result import Fault, Reconciliation
from tocsin.app.audit_spill import parts_for
from tocsin.app.audit_windows import NEVER, Windows
from tocsin.app.settings import Settings
from tocsin.catalog.sources import declared_topics
from tocsin.errors import DecodeError
from tocsin.formats.batches import is_split
from tocsin.formats.body import is_tombstone
from tocsin.formats.codec import decode_message, decode_outcome
from tocsin.formats.forwarded import ORIGIN_HEADER
from tocsin.model import topics
from tocsin.model.broadcast import ORDER_HEADER
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord

_OF_TOCSIN: Final = frozenset({ORIGIN_HEADER, ORDER_HEADER})
Starts = dict[tuple[str, int], int]
Say = Callable[[str, int], None]
"""Called with what is read, and how many records were read since the last call."""
_SKEW_MS: Final = 300_000
"""Clocks of producers may differ by this: outcomes are read from so long before the range."""
_AT_ONCE: Final = 2_000  # ids a question to ClickHouse: a question may have 256 KiB
_SAID: Final = 5_000  # records between two calls of `Say`
_RECALLED: Final = """
SELECT outcome_id, status, tenant, reason, origin, notification_id, message_id, channel, attempt, at_ms
FROM outcomes
WHERE {condition}
ORDER BY at_ms DESC, attempt DESC
"""
# Outcomes older than the oldest event are those of a topic of the same name that is gone.
_CONDITIONS: Final = (
    "origin IN %(ids)s AND (received_ms = 0 OR received_ms >= %(since_ms)s)",
    "message_id IN %(ids)s",
    "notification_id IN %(ids)s",
)
_STORED: Final = """
SELECT outcome_id, multiIf(notification_id != '', notification_id, origin != '', origin,
    message_id != '', message_id, outcome_id)
FROM outcomes
WHERE at_ms BETWEEN %(first_ms)s AND %(last_ms)s
"""


class Plan(NamedTuple):
    """What an audit is to judge, and how.

    Attributes:
        windows: the range of events, and its windows.
        clickhouse: whether ClickHouse is asked.
        folder: where facts are spilled to; a temporary folder unless given.
    """

    windows: Windows
    clickhouse: bool = True
    folder: Path | None = None


def draw(
    settings: Settings,
    plan: Plan,
    say: Say = lambda what, count: None,
    on_fault: Callable[[Fault], None] = lambda fault: None,
) -> Reconciliation:
    """Read the range and reconcile it.

    Topics lose their oldest records at different times. If some outcomes are gone, ClickHouse is asked for
    those of events and messages that are left without one; unasked, these events and messages are not judged.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="tocsin-audit-", dir=plan.folder))
        reader = stack.enter_context(
            TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options)
        )
        declared = [topics.declared(topic) for topic in declared_topics(settings.catalog)]
        reading = Reading(reader, Path(folder), plan.windows, declared, say)
        reading.fill(topics.shard_group(settings.topic_prefix))
        if not plan.clickhouse:
            return reading.audit.reconcile(whole=reading.whole, on_fault=on_fault)
        client = stack.enter_context(store.connect(settings.clickhouse))
        if not reading.whole:
            say("asking ClickHouse for deleted outcomes", 0)
            recall(reading.audit, client, reading.oldest_ms)
        say("comparing with ClickHouse", 0)
        return reading.audit.reconcile(stored(client, reading.at), on_fault=on_fault)


class Topics(Protocol):
    """What an audit asks of the topics (`sources.reader.TopicReader`)."""

    def names(self) -> list[str]:
        """List the topics that there are, without their prefix."""
        ...

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the end of each partition of a topic."""
        ...

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the offsets that a group committed, by partition; without those it never committed."""
        ...

    def first_at(self, starts: Mapping[str, int]) -> dict[tuple[str, int], int]:
        """Return for each partition an offset that no record at or after a time comes before."""
        ...

    def read(self, *names: str, starts: Mapping[tuple[str, int], int] | None = None) -> Iterator[RawRecord]:
        """Read topics up to their present end, from these offsets on."""
        ...


class Reading:
    """One reading of the topics into an audit.

    Attributes:
        audit: has what was read.
        whole: whether the topic of outcomes still has all of the range.
        oldest_ms: Kafka's time of the oldest event.
        at: first and last time of the outcomes that ClickHouse must have.
    """

    def __init__(
        self, reader: Topics, folder: Path, windows: Windows, declared: Sequence[str], say: Say
    ) -> None:
        self._reader = reader
        self._windows = windows
        self._say = say
        self._inputs = (topics.EVENTS, topics.BULK, *declared)
        self._messages = tuple(name for name in reader.names() if topics.channel_of(name))
        self._starts = self._starts_of(windows)
        self.whole = self._is_whole()
        self.oldest_ms = NEVER
        self.at = (NEVER, -NEVER)
        self.records = self._count()
        self.audit = Audit(folder / "facts", parts_for(2 * self.records), windows)

    def _topics(self) -> tuple[str, ...]:
        return (*self._inputs, *self._messages, topics.OUTCOMES)

    def _starts_of(self, windows: Windows) -> Starts:
        """Say from which offsets the range may begin; none if it has no start."""
        if windows.since_ms <= 0:
            return {}
        return self._reader.first_at({topic: self._since(topic) for topic in self._topics()})

    def _since(self, topic: str) -> int:
        return self._windows.since_ms - (0 if topic in self._inputs else _SKEW_MS)

    def _is_whole(self) -> bool:
        """Tell whether no outcome of the range was deleted: the topic has its first, or older ones."""
        return all(
            low == 0 or self._starts.get((topics.OUTCOMES, partition), low) > low
            for partition, (low, _) in self._reader.bounds(topics.OUTCOMES).items()
        )

    def _count(self) -> int:
        return sum(
            max(0, high - self._starts.get((topic, partition), low))
            for topic in self._topics()
            for partition, (low, high) in self._reader.bounds(topic).items()
        )

    def fill(self, group: str) -> None:
        """Enter all that the topics hold of the range.

        Positions are read first and outcomes behind events and messages. So an event or message that was read
        is never called missing because its outcome came later, and an outcome behind the tracked position is
        in ClickHouse or lost. Messages that came while outcomes were read are read last: an outcome that
        admits one of them is no fault. What delivery and the tracker cannot decode is counted and passed
        over, as they do.
        """
        durable = {name: self._reader.committed(group, name) for name in self._inputs}
        tracked = self._reader.committed(group, topics.OUTCOMES)
        for record in self._read_with_progress("events", self._inputs, self._starts):
            self._event(record, durable)
        read_on = dict(self._starts)
        for record in self._read_with_progress("messages", self._messages, self._starts):
            read_on[record.topic, record.partition] = record.offset + 1
            self._message(record, late=False)
        for record in self._read_with_progress("outcomes", (topics.OUTCOMES,), self._starts):
            self._outcome(record, tracked=record.offset < tracked.get(record.partition, 0))
        for record in self._read_with_progress("messages that came meanwhile", self._messages, read_on):
            self._message(record, late=True)

    def _read_with_progress(
        self, what: str, names: Iterable[str], starts: Mapping[tuple[str, int], int]
    ) -> Iterator[RawRecord]:
        """Read topics, and say how far that is."""
        self._say(f"reading {what}", 0)
        count = 0
        for count, record in enumerate(self._reader.read(*names, starts=starts), 1):
            if not count % _SAID:
                self._say(f"reading {what}", _SAID)
            yield record
        self._say(f"reading {what}", count % _SAID)

    def _event(self, record: RawRecord, durable: Mapping[str, Mapping[int, int]]) -> None:
        place = f"{record.topic}/{record.partition}"
        window = self._windows.enter(place, record.offset, record.timestamp_ms)
        if window is None or not _is_first_read(record):
            return
        self.oldest_ms = min(self.oldest_ms, record.timestamp_ms)
        read = record.offset < durable[record.topic].get(record.partition, 0)
        self.audit.enter(EventFact(f"{place}/{record.offset}", read, record.timestamp_ms))

    def _message(self, record: RawRecord, *, late: bool) -> None:
        try:
            message = decode_message(record)
        except DecodeError:
            if not late:
                self.audit.undecodable()
            return
        self._enter(message_fact(message, _place(record), record.timestamp_ms, late=late))

    def _outcome(self, record: RawRecord, *, tracked: bool) -> None:
        try:
            outcome = decode_outcome(record)
        except DecodeError:
            self.audit.undecodable()
            return
        fact = fact_of(outcome, tracked=tracked, place=_place(record), ms=record.timestamp_ms)
        if self._enter(fact):
            first_ms, last_ms = self.at
            self.at = (min(first_ms, outcome.at_ms), max(last_ms, outcome.at_ms))

    def _enter(self, fact: OutcomeFact | MessageFact) -> bool:
        """Enter a fact if its event is of the range."""
        if self._windows.of(fact.origin, fact.ms) is None:
            return False
        self.audit.enter(fact)
        return True


def _place(record: RawRecord) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _is_first_read(record: RawRecord) -> bool:
    """Tell whether a record is an event: no copy, no batch taken apart, no list of users."""
    if topics.is_declared(record.topic):
        return not is_tombstone(record)
    if is_split(record):
        return False
    return not any(header in _OF_TOCSIN for header, _ in record.headers)


def recall(audit: Audit, client: Client, since_ms: int) -> None:
    """Enter what ClickHouse holds of what the topics leave unexplained; the oldest event is of `since_ms`."""
    for found in audit.unexplained():
        for condition, ids in _questions(found):
            bound: dict[str, Any] = {"ids": ids, "since_ms": since_ms}
            for row in client.query(_RECALLED.format(condition=condition), parameters=bound).named_results():
                audit.recall(Outcome(**row))


def _questions(found: Unexplained) -> Iterator[tuple[str, tuple[str, ...]]]:
    for condition, ids in zip(_CONDITIONS, map(sorted, found), strict=True):
        for at in range(0, len(ids), _AT_ONCE):
            yield condition, tuple(ids[at : at + _AT_ONCE])


def stored(client: Client, at: tuple[int, int]) -> Iterator[StoredFact]:
    """Read the outcomes that ClickHouse has of a time, block by block."""
    first_ms, last_ms = at
    if first_ms > last_ms:
        return
    bound = {"first_ms": first_ms, "last_ms": last_ms}
    with client.query_row_block_stream(_STORED, parameters=bound) as blocks:
        for block in blocks:
            yield from (StoredFact(outcome_id, key) for outcome_id, key in block)
