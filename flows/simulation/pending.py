"""Inputs of one partition that were read and not played yet, by key group and topic, in their order.

Each input has keys by which the recorded outcome that it led to is known: an event its user and origin, a
receipt and a returned message the ids of the outcomes that they may lead to. Profiles lead to none.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from flows.simulation.decided import Decided
from operators.gate_parts import GateInput
from tocsin.decision.broadcasts import BroadcastEvent
from tocsin.decision.receipts import RECEIPTS, receipt_outcome
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.ids import outcome_id
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.statuses import Status

PLACES = {name: place for place, name in enumerate(topics.GATE_INPUTS)}
"""Inputs of one moment are played in this order, as a process reads them."""
_QUIET = frozenset(topics.GATE_INPUTS) - {topics.EVENTS, topics.BULK}
_ENDS_OF_RETURNED = (Status.SUPPRESSED, Status.CANCELLED, Status.EXPIRED, Status.MERGED)


class Entry(NamedTuple):
    """An input with the keys of its first outcome.

    `read_ms` is Kafka's time, made monotone over the key group's part of the topic.
    """

    keys: tuple[str, ...]
    read_ms: int
    given: GateInput


def is_evented(topic: str) -> bool:
    """Tell whether every record of a topic leads to an outcome."""
    return topic not in _QUIET


def keys_of(given: GateInput) -> tuple[str, ...]:
    """Return the keys of the outcomes by which an input is known; none where it may lead to none."""
    item = given.item
    event = item.event if isinstance(item, BroadcastEvent) else item
    if isinstance(event, Event):
        origin = event.origin
        return (f"{event.tenant}/{event.user}|{origin.topic}/{origin.partition}/{origin.offset}",)
    if isinstance(item, ReceiptEvent):
        return _keys_of_receipt(item, given)
    if isinstance(item, Retry):
        message = item.message
        held = f"{message.message_id}/{message.decided_ms}/0"
        ends = [outcome_id(message.message_id, status, message.attempt) for status in _ENDS_OF_RETURNED]
        return outcome_id(held, Status.HELD, message.attempt), *ends
    return ()


def _keys_of_receipt(receipt: ReceiptEvent, given: GateInput) -> tuple[str, ...]:
    kind = RECEIPTS.get(receipt.kind)
    if kind is None or kind.status is None:
        return ()
    return (receipt_outcome(receipt, kind, given.raw, (), given.now_ms, "").outcome_id,)


def keys_in(decided: Decided) -> tuple[str, str]:
    """Return the keys that a recorded outcome has."""
    return f"{decided.tenant}/{decided.user}|{decided.origin}", decided.outcome_id


class Pending:
    """Queues of inputs.

    Attributes:
        size: inputs by topic.
        newest_ms: Kafka's time of the newest record read, by topic.
    """

    def __init__(self) -> None:
        self.size: Counter[str] = Counter()
        self.newest_ms: Counter[str] = Counter()
        self._unnamed: Counter[str] = Counter()
        self._queues: dict[str, dict[str, Queue]] = {}
        self._returns: dict[str, list[str]] = {}
        self._places: dict[str, Queue] = {}
        self._again: dict[str, list[Queue]] = {}

    def add(self, topic: str, key_group: str, inputs: Sequence[GateInput]) -> None:
        """Queue inputs behind those of their key group and topic."""
        queue = self._queues.setdefault(key_group, {}).get(topic)
        if queue is None:
            queue = self._queues[key_group][topic] = Queue(key_group, topic)
        places, read_ms = self._places, queue.newest_ms
        for given in inputs:
            read_ms = max(read_ms, given.raw.timestamp_ms)
            entry = Entry(keys_of(given), read_ms, given)
            queue.entries.append(entry)
            for key in entry.keys:
                if key in places:
                    self._again.setdefault(key, []).append(queue)
                else:
                    places[key] = queue
            if not queue.is_evented or not entry.keys:
                self._note_unnamed(entry, queue)
        queue.newest_ms = read_ms
        self.newest_ms[topic] = max(self.newest_ms[topic], read_ms)
        self.size[topic] += len(inputs)

    def _note_unnamed(self, entry: Entry, queue: "Queue") -> None:
        self._unnamed[queue.key_group] += 1
        if len(entry.keys) > 1:
            self._returns.setdefault(entry.keys[-1], []).append(entry.keys[0])

    def has_unnamed(self, key_group: str) -> bool:
        """Tell whether a key group has queued inputs that may lead to no outcome."""
        return self._unnamed[key_group] > 0

    def place(self, key: str) -> "Queue | None":
        """Return the queue of the first input with a key, if it is queued."""
        return self._places.get(key)

    def is_last(self, entry: Entry) -> bool:
        """Tell whether a message that came back does not come back again, copies of the record apart."""
        later = self._returns.get(entry.keys[-1], ())
        return all(held == entry.keys[0] for held in later)

    def queues_of(self, key_group: str) -> list["Queue"]:
        """List the queues of a key group that are not empty, those of one moment in order."""
        queues = self._queues.get(key_group, {}).values()
        return sorted((queue for queue in queues if queue.entries), key=lambda queue: queue.rank)

    def pop(self, queue: "Queue") -> Entry:
        """Take the next input of a queue."""
        entry = queue.entries.popleft()
        self.size[queue.topic] -= 1
        for key in entry.keys:
            if key in self._again:
                self._forget(key)
            else:
                del self._places[key]
        if not queue.is_evented or not entry.keys:
            self._unnamed[queue.key_group] -= 1
            if len(entry.keys) > 1:
                self._come_back(entry)
        return entry

    def _come_back(self, entry: Entry) -> None:
        later = self._returns[entry.keys[-1]]
        later.remove(entry.keys[0])
        if not later:
            del self._returns[entry.keys[-1]]

    def _forget(self, key: str) -> None:
        """Let a key name the next input that has it."""
        later = self._again[key]
        self._places[key] = later.pop(0)
        if not later:
            del self._again[key]

    def older(self, topic: str, until_ms: int) -> Iterator[tuple["Queue", Entry]]:
        """Take the inputs of one topic that Kafka had by a time, group by group."""
        for queues in list(self._queues.values()):
            queue = queues.get(topic)
            while queue is not None and queue.entries and queue.entries[0].read_ms <= until_ms:
                yield queue, self.pop(queue)

    def by_time(self, until_ms: int) -> list[tuple[str, Entry]]:
        """Take the inputs of all topics that Kafka had by a time, in its order."""
        taken = [each for topic in list(self.size) for each in self.older(topic, until_ms)]
        taken.sort(key=lambda each: (each[1].read_ms, each[0].rank, each[1].given.raw.offset))
        return [(queue.key_group, entry) for queue, entry in taken]


class Queue:
    """The inputs of one key group from one topic."""

    __slots__ = ("entries", "is_evented", "key_group", "newest_ms", "rank", "topic")

    def __init__(self, key_group: str, topic: str) -> None:
        self.key_group = key_group
        self.topic = topic
        self.entries: deque[Entry] = deque()
        self.newest_ms = 0
        self.is_evented = is_evented(topic)
        self.rank = PLACES.get(topic, len(PLACES))

    @property
    def head(self) -> Entry | None:
        """Return the next input, None if there is none."""
        return self.entries[0] if self.entries else None


def at(entry: Entry, now_ms: int, *, stream: bool) -> GateInput:
    """Give an input the time at which it is decided.

    Under the stream clock a returned message waits from that time.
    """
    given = entry.given
    item = given.item
    if stream and isinstance(item, Retry):
        return GateInput(now_ms, given.user_key, replace(item, due_ms=item.due_ms + now_ms), given.raw)
    return given if given.now_ms == now_ms else GateInput(now_ms, given.user_key, item, given.raw)
