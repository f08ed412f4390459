"""Parses records: whose each one is, and what it says.

A parser returns `tenant/user` and the decoded item. The user key is empty for what all key groups get. What
goes elsewhere raises: an event that names a topic and a report of its fan-out `ForTopic`, a batch `Split`,
what belongs to another partition `Moved`.
"""

from collections.abc import Callable, Mapping
from typing import NoReturn

from msgspec.structs import replace

from operators.decode_parts import Clocks, DecodePolicy
from operators.first_read import as_first_read
from operators.forwarding import Forwarder
from operators.gate_parts import Item, TopicItem
from tocsin.decision.broadcasts import BroadcastEvent
from tocsin.errors import DecodeError
from tocsin.formats import codec
from tocsin.formats.batches import Split, is_batch, split
from tocsin.formats.broadcasts import broadcast_record, control_of
from tocsin.formats.forwarded import as_cloudevent
from tocsin.formats.marks import Marks
from tocsin.formats.subscriptions import decode_subscription, is_copy
from tocsin.model import topics
from tocsin.model.broadcast import Order, owner_key
from tocsin.model.broadcast_list import Members
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason
from tocsin.model.subscription import FanOutReport

Parser = Callable[[RawRecord], tuple[str, Item]]
Reader = Callable[[RawRecord], Event]


class Moved(Split):
    """The record belongs to another partition; `records` hold what goes there."""


class ForTopic(Exception):
    """Leads a subscription, an event that names a topic, or a report of its fan-out past the gate."""

    def __init__(self, item: Event | TopicItem) -> None:
        self.item = item


class Parsers:
    """The parser of each topic whose records the gate or the fan-out decide.

    Args:
        policy: how records are read.
        clocks: the time of each partition, for retries under the stream clock.
        forwarder: writes what belongs to another partition.
        marks: reads the marks in receipts.
        declared: readers of declared topics, by Tocsin's names of them.

    Attributes:
        by_topic: the parsers; a topic without one is passed on as it is.
        oldest_ms: events older than this are refused; 0 for no bound. The decoder sets it for each run.
    """

    def __init__(
        self,
        policy: DecodePolicy,
        clocks: Clocks,
        forwarder: Forwarder,
        marks: Marks | None,
        declared: Mapping[str, Reader],
    ) -> None:
        self._policy = policy
        self._clocks = clocks
        self._forwarder = forwarder
        self._marks = marks
        self.oldest_ms = 0
        self.by_topic: dict[str, Parser] = {
            topics.EVENTS: self._event,
            topics.BULK: self._event,
            topics.PROFILES: _profile,
            topics.RECEIPTS: self._receipt,
            topics.RETRIES: self._retry,
            topics.SUBSCRIPTIONS: _subscription,
            **{name: self._declared(reader) for name, reader in declared.items()},
        }

    def _event(self, raw: RawRecord) -> tuple[str, Item]:
        if raw.headers and is_batch(raw):
            raise Split(split(raw))
        if raw.headers and (found := broadcast_record(raw)):
            if isinstance(found, FanOutReport):
                raise ForTopic(found)
            is_for_all = isinstance(found, Order | Members)
            return "" if is_for_all else owner_key(found.tenant, found.event_id), found
        event = codec.decode_event(raw, self._policy.limits)
        if raw.headers:
            event = as_first_read(event, dict(raw.headers), self._policy.partitions)
        if event.time_ms < self.oldest_ms:
            self._check_age(event)
        if event.topic and not event.fanned_out:
            self._to_topic(event, raw)
        if not event.user:
            return _for_owner(event)
        return f"{event.tenant}/{event.user}", event

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

    def _receipt(self, raw: RawRecord) -> tuple[str, Item]:
        receipt = codec.decode_receipt(raw, self._marks)
        return f"{receipt.tenant}/{receipt.user}" if receipt.user else "", receipt

    def _retry(self, raw: RawRecord) -> tuple[str, Item]:
        """Read a retry; under the stream clock its wait, which was set by the wall, counts from now."""
        retry = codec.decode_retry(raw)
        if self._policy.stream_clock:
            wait_ms = max(0, retry.due_ms - raw.timestamp_ms)
            due_ms = self._clocks.now(raw.partition) + wait_ms
            retry = replace(retry, due_ms=due_ms)
        return f"{retry.message.tenant}/{retry.message.user}", retry

    def _to_topic(self, event: Event, raw: RawRecord) -> NoReturn:
        """Lead an event to the fan-out, at the partition of its topic or as a copy."""
        key = f"{event.tenant}/{event.topic}"
        home = self._forwarder.home_of(key)
        if home != raw.partition and not is_copy(raw):
            raise Moved(self._forwarder.forward(as_cloudevent(event, raw), home, key.encode()))
        raise ForTopic(event)

    def _check_age(self, event: Event) -> None:
        """Refuse an event that is too old by the wall clock, unless it is replayed."""
        if event.time_ms < self.oldest_ms and event.replay is None:
            text = (
                f"time: more than {self._policy.limits.max_past_s} s ago; its producer wrote it late, or set"
                " the record's timestamp to the event's time: raise TOCSIN_MAX_PAST_S to accept it"
            )
            raise DecodeError(Reason.TIME_OUT_OF_RANGE, text)


def _for_owner(event: Event) -> tuple[str, Item]:
    """Address a broadcast, or what controls one, to the key group that owns it."""
    if event.broadcast is not None:
        return owner_key(event.tenant, event.id), BroadcastEvent(event)
    control = control_of(event)
    return owner_key(event.tenant, control.broadcast_id), BroadcastEvent(event, control)


def _subscription(raw: RawRecord) -> tuple[str, Item]:
    raise ForTopic(decode_subscription(raw))


def _profile(raw: RawRecord) -> tuple[str, Item]:
    change = codec.decode_profile(raw)
    return f"{change.tenant}/{change.user}", change
