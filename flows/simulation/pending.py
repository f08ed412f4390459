"""Inputs of one partition that were read and not played yet, by key group and topic, in their order.

Each input has keys by which the recorded outcome that it led to is known: an event its user and origin, a
receipt and a returned message the ids of the outcomes that they may lead to. Profiles lead to none.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from flows.simulation.decided import Decided
from operators.gate import GateInput
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
    return topic in {topics.EVENTS, topics.BULK} or topics.is_declared(topic)


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
        self._newest_ms: Counter[tuple[str, str]] = Counter()
        self._queues: dict[str, dict[str, deque[Entry]]] = {}
        self._returns: dict[str, list[str]] = {}
        self._places: dict[str, list[tuple[str, str]]] = {}

    def add(self, topic: str, key_group: str, given: GateInput) -> None:
        """Queue an input behind those of its key group and topic."""
        own_ms, place = given.raw.timestamp_ms, (key_group, topic)
        read_ms = self._newest_ms[place] = max(self._newest_ms[place], own_ms)
        self.newest_ms[topic] = max(self.newest_ms[topic], own_ms)
        entry = Entry(keys_of(given), read_ms, given)
        self._queues.setdefault(key_group, {}).setdefault(topic, deque()).append(entry)
        for key in entry.keys:
            self._places.setdefault(key, []).append(place)
        if len(entry.keys) > 1:
            self._returns.setdefault(entry.keys[-1], []).append(entry.keys[0])
        self.size[topic] += 1

    def place(self, key: str) -> tuple[str, str] | None:
        """Return the key group and topic of the first input with a key, if it is queued."""
        found = self._places.get(key)
        return found[0] if found else None

    def is_last(self, entry: Entry) -> bool:
        """Tell whether a message that came back does not come back again, copies of the record apart."""
        later = self._returns.get(entry.keys[-1], ())
        return all(held == entry.keys[0] for held in later)

    def head(self, key_group: str, topic: str) -> Entry | None:
        """Show the next input of a key group and topic."""
        queue = self._queues.get(key_group, {}).get(topic)
        return queue[0] if queue else None

    def topics_of(self, key_group: str) -> list[str]:
        """List the topics with queued inputs of a key group, those of one moment in order."""
        queues = self._queues.get(key_group, {})
        return sorted((topic for topic, queue in queues.items() if queue), key=_place)

    def pop(self, key_group: str, topic: str) -> Entry:
        """Take the next input of a key group and topic."""
        entry = self._queues[key_group][topic].popleft()
        self.size[topic] -= 1
        for key in entry.keys:
            self._forget(key, (key_group, topic))
        if len(entry.keys) > 1:
            self._returns[entry.keys[-1]].remove(entry.keys[0])
        return entry

    def _forget(self, key: str, place: tuple[str, str]) -> None:
        places = self._places[key]
        if len(places) == 1:
            del self._places[key]
        else:
            places.remove(place)

    def older(self, topic: str, until_ms: int) -> Iterator[tuple[str, Entry]]:
        """Take the inputs of one topic that Kafka had by a time, group by group."""
        for key_group, queues in list(self._queues.items()):
            while (queue := queues.get(topic)) and queue[0].read_ms <= until_ms:
                yield key_group, self.pop(key_group, topic)

    def by_time(self, until_ms: int) -> list[tuple[str, Entry]]:
        """Take the inputs of all topics that Kafka had by a time, in its order."""
        taken = [
            (group, topic, entry) for topic in list(self.size) for group, entry in self.older(topic, until_ms)
        ]
        taken.sort(key=lambda each: (each[2].read_ms, _place(each[1]), each[2].given.raw.offset))
        return [(group, entry) for group, _, entry in taken]


def _place(topic: str) -> int:
    return PLACES.get(topic, len(PLACES))


def at(entry: Entry, now_ms: int, *, stream: bool) -> GateInput:
    """Give an input the time at which it is decided.

    Under the stream clock a returned message waits from that time.
    """
    given = entry.given
    item = given.item
    if stream and isinstance(item, Retry):
        return GateInput(now_ms, given.user_key, replace(item, due_ms=item.due_ms + now_ms), given.raw)
    return GateInput(now_ms, given.user_key, item, given.raw)
