"""Fan-out: the subscriptions of topics, and the events that are being handed to their subscribers.

Each partition has the subscriptions that lie on it, and fans an event out to those alone. All state is in
rows that can be scanned in order, so memory does not grow with a topic.

| row | value |
|---|---|
| `s` topic, user | number of the record that subscribed the user; the time of the first event for the user |
| `e` topic, number | an event that is not fanned out yet |
| `c` topic, number | its cursor: the last user that it reached |
| `o` origin | an event that was read on this partition, until all partitions have handed it out |
| `r` origin | the partitions that have, and how many users they reached |
| `k` hash | time and origin of an event, by which its duplicates are known |
| `n` | totals |

Records are numbered as they come. An event reaches the users whose subscription has a smaller number and is
still there when the cursor comes to it. Events of one topic are fanned out one after another. Tenants take
turns, and so do the topics of a tenant.
"""

from typing import Final, NamedTuple, Protocol

import msgspec

from tocsin.model.event import Asked, Event, Origin
from tocsin.model.ids import digest
from tocsin.model.subscription import FanOutReport, SubscriptionChange
from tocsin.store.timers import Timer

_SUBSCRIPTION, _EVENT, _CURSOR, _KNOWN, _TOTALS = "s", "e", "c", "k", "n"
_OWNED, _REPORTS = "o", "r"
_AFTER_CURSORS: Final = "d"
_NAME_END, _AFTER_NAME = "\0", "\1"  # names have no control characters
_AFTER_TENANT: Final = chr(ord("/") + 1)


class Rows(Protocol):
    """The rows of one partition (`tocsin.store.key_group.KeyGroup`)."""

    def get(self, user: str, /) -> bytes | None:
        """Read one row."""
        ...

    def put(self, user: str, record: bytes | None, /) -> None:
        """Write one row; None deletes it."""
        ...

    def scan(self, start: str, end: str, limit: int) -> list[tuple[str, bytes]]:
        """Read up to `limit` rows from `start` to before `end`, in order."""
        ...

    def hold(self, user: str, timer_id: str, due_ms: int, payload: bytes) -> None:
        """Set a timer; one of the same name is replaced."""
        ...

    def pop_due(self, now_ms: int) -> Timer | None:
        """Hand out and drop the earliest timer that is due."""
        ...


class FanOutPolicy(NamedTuple):
    """Bounds of the fan-out.

    Attributes:
        partitions: partitions of every keyed topic.
        window_ms: events of one source and id are one if their times differ by less.
        keep_ms: how long an event is remembered for that.
    """

    partitions: int
    window_ms: int
    keep_ms: int


class Totals(msgspec.Struct, array_like=True):
    """Counts of one partition.

    Attributes:
        number: of the last subscription or event.
        subscribers: subscriptions that it has.
        open: events that are not fanned out yet.
    """

    number: int = 0
    subscribers: int = 0
    open: int = 0


class Turn(NamedTuple):
    """One turn of an event.

    Attributes:
        event: the event that named the topic.
        users: whom it reaches in this turn.
        reached: how many it has reached so far.
        finished: whether no subscriber is left.
        now_ms: the time at which it was read.
    """

    event: Event
    users: list[str]
    reached: int
    finished: bool
    now_ms: int


class _Subscriber(msgspec.Struct, array_like=True):
    number: int
    since_ms: int = 0


class _Cursor(msgspec.Struct, array_like=True):
    now_ms: int
    last: str = ""
    reached: int = 0


class _Open(msgspec.Struct, array_like=True):
    """An event without its user; `data` as bytes, which are copied and never parsed."""

    tenant: str
    id: str
    source: str
    type: str
    time_ms: int
    data: bytes
    origin: Origin
    received_ms: int
    send_at_ms: int | None
    expires_ms: int | None
    bulk: bool
    topic: str
    asked: Asked | None = None


def _opened(event: Event) -> bytes:
    fields = {name: getattr(event, name) for name in _Open.__struct_fields__ if name != "data"}
    return _encode(_Open(data=bytes(event.data), **fields))


def _event(stored: bytes) -> Event:
    fields = msgspec.structs.asdict(_open(stored))
    return Event(user="", **{**fields, "data": msgspec.Raw(fields["data"])})


class _Reports(msgspec.Struct, array_like=True):
    parts: list[int]
    users: int = 0


class _Known(msgspec.Struct, array_like=True):
    time_ms: int
    origin: str


_encode = msgspec.msgpack.Encoder().encode
_subscriber = msgspec.msgpack.Decoder(_Subscriber).decode
_cursor = msgspec.msgpack.Decoder(_Cursor).decode
_reports = msgspec.msgpack.Decoder(_Reports).decode
_known = msgspec.msgpack.Decoder(_Known).decode
_totals = msgspec.msgpack.Decoder(Totals).decode
_open = msgspec.msgpack.Decoder(_Open).decode


class FanOut:
    """The fan-out of one partition; all that it remembers is in its rows.

    Args:
        rows: of the partition.
        policy: bounds.
    """

    def __init__(self, rows: Rows, policy: FanOutPolicy) -> None:
        self._rows = rows
        self._policy = policy
        stored = rows.get(_TOTALS)
        self.totals = Totals() if stored is None else _totals(stored)
        self._tenant = ""
        self._served: dict[str, str] = {}

    def subscribe(self, change: SubscriptionChange) -> None:
        """Subscribe or unsubscribe a user. Who subscribes again keeps the place in the order of records."""
        key = f"{_SUBSCRIPTION}{change.tenant}/{change.topic}{_NAME_END}{change.user}"
        stored = self._rows.get(key)
        if change.subscribed:
            number = self._next() if stored is None else _subscriber(stored).number
            self._rows.put(key, _encode(_Subscriber(number, change.since_ms)))
        elif stored is not None:
            self._rows.put(key, None)
        self._count(subscribers=change.subscribed - (stored is not None))

    def duplicate(self, event: Event, now_ms: int) -> str:
        """Return the origin of the event that this one repeats; empty if there is none, and remember it."""
        key = _KNOWN + digest("event", event.tenant, event.topic, event.source, event.id)
        return self._remember(key, event, now_ms)

    def own(self, event: Event) -> None:
        """Keep an event that was read here until every partition has reported."""
        self._rows.put(f"{_OWNED}{event.origin}", _opened(event))

    def report(self, report: FanOutReport) -> tuple[Event, int] | None:
        """Take the report of a partition; with the last one, return the event and the users it reached.

        A second copy of a report is left alone.
        """
        owned = self._rows.get(_OWNED + report.origin)
        stored = self._rows.get(_REPORTS + report.origin)
        found = _Reports([]) if stored is None else _reports(stored)
        if owned is None or report.part in found.parts:
            return None
        found.parts.append(report.part)
        found.users += report.users
        finished = len(found.parts) == self._policy.partitions
        self._rows.put(_REPORTS + report.origin, None if finished else _encode(found))
        if not finished:
            return None
        self._rows.put(_OWNED + report.origin, None)
        return _event(owned), found.users

    def begin(self, event: Event, now_ms: int) -> None:
        """Open an event; a second copy of one record is left alone."""
        if self._remember(_KNOWN + digest("copy", str(event.origin)), event, now_ms):
            return
        name = f"{event.tenant}/{event.topic}{_NAME_END}{self._next():016x}"
        self._rows.put(_EVENT + name, _opened(event))
        self._rows.put(_CURSOR + name, _encode(_Cursor(now_ms)))
        self._count(opened=1)

    def turn(self, limit: int) -> Turn:
        """Give the first open event of the next topic to subscribers; an event must be open.

        Args:
            limit: how many subscriptions to look at.
        """
        name, cursor = self._next_open()
        stored = self._rows.get(_EVENT + name)
        assert stored is not None, "an event and its cursor are written and deleted together"
        event = _event(stored)
        topic, _, number = name.partition(_NAME_END)
        found = self._subscribers(topic, cursor.last, limit)
        users = [user for user, each in found if each.number < int(number, 16) and _wants(each, event)]
        cursor.reached += len(users)
        if len(found) < limit:
            self._close(name)
        else:
            cursor.last = found[-1][0]
            self._rows.put(_CURSOR + name, _encode(cursor))
        return Turn(event, users, cursor.reached, len(found) < limit, cursor.now_ms)

    def expire(self, now_ms: int, most: int) -> None:
        """Forget events that no duplicate can repeat any more, `most` at once."""
        for _ in range(most):
            timer = self._rows.pop_due(now_ms)
            if timer is None:
                return
            self._rows.put(timer.user, None)

    def _subscribers(self, topic: str, last: str, limit: int) -> list[tuple[str, _Subscriber]]:
        first = f"{_SUBSCRIPTION}{topic}{_NAME_END}"
        start = f"{first}{last}{_NAME_END}" if last else first
        found = self._rows.scan(start, f"{_SUBSCRIPTION}{topic}{_AFTER_NAME}", limit)
        return [(key[len(first) :], _subscriber(value)) for key, value in found]

    def _next_open(self) -> tuple[str, _Cursor]:
        """Find the next tenant with an open event, then that tenant's next topic."""
        scan, after_tenant = self._rows.scan, f"{_CURSOR}{self._tenant}{_AFTER_TENANT}"
        found = scan(after_tenant, _AFTER_CURSORS, 1) or scan(_CURSOR, _AFTER_CURSORS, 1)
        ((key, _),) = found
        tenant = key[len(_CURSOR) : key.index("/")]
        served = self._served.get(tenant, f"{tenant}/")
        after, end = f"{_CURSOR}{served}{_AFTER_NAME}", f"{_CURSOR}{tenant}{_AFTER_TENANT}"
        ((key, value),) = scan(after, end, 1) or found
        self._tenant, name = tenant, key[len(_CURSOR) :]
        self._served[tenant] = name.partition(_NAME_END)[0]
        return name, _cursor(value)

    def _close(self, name: str) -> None:
        self._rows.put(_EVENT + name, None)
        self._rows.put(_CURSOR + name, None)
        self._count(opened=-1)

    def _remember(self, key: str, event: Event, now_ms: int) -> str:
        stored = self._rows.get(key)
        if stored is not None:
            known = _known(stored)
            if abs(known.time_ms - event.time_ms) < self._policy.window_ms:
                return known.origin
        self._rows.put(key, _encode(_Known(event.time_ms, str(event.origin))))
        self._rows.hold(key, _KNOWN, max(now_ms, event.time_ms) + self._policy.keep_ms, b"")
        return ""

    def _next(self) -> int:
        self.totals.number += 1
        return self.totals.number

    def _count(self, subscribers: int = 0, opened: int = 0) -> None:
        self.totals.subscribers += subscribers
        self.totals.open += opened
        self._rows.put(_TOTALS, _encode(self.totals))


def _wants(subscriber: _Subscriber, event: Event) -> bool:
    return subscriber.since_ms <= event.time_ms
