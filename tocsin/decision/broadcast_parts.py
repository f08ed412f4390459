"""The part of one key group in a broadcast: a walk over its users, in turns, with a cursor in the store.

Between turns a part is a timer: its payload is the cursor with the counts, and its due time is the next turn.
So a crash neither loses nor repeats a user. The turns of all broadcasts of a tenant share the tenant's rate.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from zlib import crc32

import msgspec

from tocsin.catalog.expressions import Expression, Scope
from tocsin.decision import dedup
from tocsin.decision.broadcast_lists import KEPT_MS, list_key
from tocsin.decision.effects import Decision
from tocsin.decision.policy import GatePolicy
from tocsin.decision.recipient import Recipient
from tocsin.decision.scope import user_scope
from tocsin.decision.subjects import WholeEvent
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import Detail
from tocsin.model.broadcast import Counts, Ending, Order
from tocsin.model.broadcast_list import LIST, list_id
from tocsin.model.event import Event
from tocsin.model.ids import digest
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason, Status
from tocsin.model.zones import zone

TIMER: Final = "b"
"""First letter of the id of a part's timer; the id goes on with the broadcast's. It belongs to no user."""
NEVER_MS: Final = 1 << 60
"""The due time of a part that is paused."""
_TURN_USERS: Final = 32
"""Users of one turn at most. A turn of so many takes a millisecond."""
_TURN_MS: Final = 250
"""A part that is slow has a turn so often; its turns are small."""
_LAG_MS: Final = 1_000
"""Under the wall clock, turns that are later than this are not made up for: they would delay events."""
LATE_MS: Final = 300_000
"""A local time that passed no longer ago than this is not over."""
_USER: Final = frozenset({"user"})


class Part(msgspec.Struct, array_like=True, gc=False):
    """The payload of a part's timer: the last user that was looked at, and what became of all so far.

    In a list the cursor is the place behind that user in the list's first row. `ending` is set while a list
    is dropped that the part does not need any more.
    """

    cursor: str = ""
    counts: Counts = msgspec.field(default_factory=Counts)
    ending: Ending | Literal[""] = ""


encode_part = msgspec.msgpack.Encoder().encode
decode_part = msgspec.msgpack.Decoder(Part).decode


def index_key(tenant: str) -> str:
    """Return the key of the record that lists a tenant's parts in a key group."""
    return f"{tenant}/\x03"


def body_key(tenant: str, broadcast: str) -> str:
    """Return the key of the record that keeps the order of a part."""
    return f"{tenant}/\x03{broadcast}"


def first_key(tenant: str) -> str:
    """Return a key that is before all users of a tenant, and behind the records that are no users."""
    return f"{tenant}/\x1f"


def last_key(tenant: str) -> str:
    """Return a key that is behind all users of a tenant: `0` follows `/`."""
    return f"{tenant}0"


class Pace(NamedTuple):
    """How many users a turn looks at, and how long after it the next one is due."""

    users: int
    every_ms: int


def pace(rate: int, running: int, policy: GatePolicy) -> Pace:
    """Spread a tenant's users a second over all key groups and the broadcasts that run.

    >>> pace(2000, 1, GatePolicy(partitions=16, key_groups=4))
    Pace(users=8, every_ms=256)
    """
    per_s = max(rate, 1) / (policy.partitions * policy.key_groups * max(running, 1))
    users = min(_TURN_USERS, max(1, round(per_s * _TURN_MS / 1000)))
    return Pace(users, max(1, round(users * 1000 / per_s)))


def first_turn(order: Order, key_group: str, now_ms: int, policy: GatePolicy) -> int:
    """Return when the first turn is due. Key groups do not all begin at once."""
    every_ms = pace(order.rate, 1, policy).every_ms
    return max(now_ms, order.start_ms) + crc32(key_group.encode()) % every_ms


def next_turn(due_ms: int, until_ms: int, every_ms: int, policy: GatePolicy) -> int:
    """Return when the turn after the one at `due_ms` is due; timers fire up to `until_ms` now.

    Under the stream clock turns follow one another exactly, so that the same events give the same decisions.
    Under the wall clock there is one turn at a time: events are not to wait for a walk that is late.
    """
    planned_ms = due_ms + every_ms
    if policy.stream_clock:
        return planned_ms
    return until_ms + every_ms if planned_ms < until_ms - _LAG_MS else max(planned_ms, until_ms + 1)


def list_of(order: Order) -> str:
    """Return the key of the list that a broadcast goes to; empty for a segment or everyone."""
    event = order.event
    if event is None or event.broadcast is None or event.broadcast.segment != LIST:
        return ""
    return list_key(order.tenant, list_id(order.tenant, event.source, event.id))


def waits_until(order: Order, *, is_paused: bool) -> int:
    """Return when a part ends that stays paused, or whose list is never completed."""
    event = order.event
    expiry_ms = event.expires_ms + 1 if event is not None and event.expires_ms else NEVER_MS
    return expiry_ms if is_paused else min(expiry_ms, order.start_ms + KEPT_MS)


def is_in_segment(expression: str, user: str, recipient: Recipient) -> bool:
    """Tell whether a user belongs to a segment; raises `ExpressionError`."""
    return not expression or _compiled(expression).test(Scope({"user": user_scope(user, recipient)}))


@lru_cache(256)
def _compiled(expression: str) -> Expression:
    return Expression(expression, _USER)


def event_for(order: Order, user: str, recipient: Recipient, now_ms: int) -> Event | None:
    """Return the event of a broadcast for one user; None if it comes too late for the user's local time.

    A local time is the time of the event, too: what counts from there counts from the user's own moment.
    """
    event = order.event
    assert event is not None, "a start has its event"
    assert event.broadcast is not None, "a start has its event"
    if not event.broadcast.local_ms:
        return msgspec.structs.replace(event, user=user, received_ms=now_ms)
    send_at_ms = local_moment_ms(event.broadcast.local_ms, recipient.timezone)
    if event.broadcast.skip_late and send_at_ms < now_ms - LATE_MS:
        return None
    at_ms = {"time_ms": send_at_ms, "send_at_ms": send_at_ms}
    return msgspec.structs.replace(event, user=user, received_ms=now_ms, **at_ms)


@lru_cache(4_096)
def local_moment_ms(local_ms: int, zone_name: str) -> int:
    """Return the moment at which the clock of a zone shows a time.

    Of a time that comes twice it is the first. A time that the clock leaps over is the moment of the leap.
    """
    local = datetime.fromtimestamp(local_ms / 1000, UTC).replace(tzinfo=zone(zone_name) or UTC)
    found = local.astimezone(UTC)
    if found.astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None):
        return int(found.timestamp() * 1000)
    # In a gap, `fold=0` counts by the offset before it: the leap is as much earlier as the clock shows more.
    after = local.replace(fold=1).astimezone(UTC)
    return _leap_ms(int(after.timestamp() * 1000), int(found.timestamp() * 1000), zone_name)


def _leap_ms(low_ms: int, high_ms: int, zone_name: str) -> int:
    """Find the moment between two at which the offset of a zone changes, to the minute."""
    tz = zone(zone_name)

    def offset_at(at_ms: int) -> object:
        return datetime.fromtimestamp(at_ms / 1000, tz).utcoffset()

    before = offset_at(low_ms)
    while high_ms - low_ms > 60_000:
        middle_ms = (low_ms + high_ms) // 2 // 60_000 * 60_000
        low_ms, high_ms = (middle_ms, high_ms) if offset_at(middle_ms) == before else (low_ms, middle_ms)
    return high_ms


def note(order: Order, now_ms: int, policy: GatePolicy) -> UserRecord:
    """Return a record that says that a part has ended, until no copy of its order can come any more."""
    assert order.event is not None, "a start has its event"
    keep_ms, key = policy.dedup_window_ms + policy.late_ms, dedup.key_of(TIMER, order.broadcast)
    return UserRecord(seen=dedup.remember(b"", key, now_ms, keep_ms, now_ms, order.event.origin, 1))


def count(counts: Counts, decision: Decision) -> None:
    """Count a user for whom the event was decided; one whom a list names twice is decided once."""
    counts.reached += bool(decision.touched or decision.outcomes)
    counts.admitted += bool(decision.messages)
    counts.held += bool(decision.set_timers)


def ended(order: Order, part: Part, key_group: str, ending: str, now_ms: int, version: str) -> Outcome:
    """Write the final outcome of a part."""
    event = order.event
    assert event is not None, "a start has its event"
    part_id = digest("part", order.broadcast, key_group)
    detail: Detail = {"broadcast": order.broadcast, "key_group": key_group, **part.counts.as_detail()}
    whole = WholeEvent(event, now_ms, version).outcome(Status(ending), Reason.NONE, detail)
    own_id = digest("outcome of a part", part_id, ending)
    return msgspec.structs.replace(whole, outcome_id=own_id, notification_id=part_id)
