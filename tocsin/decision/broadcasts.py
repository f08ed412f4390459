"""Broadcasts: what the key group that owns one decides about it as a whole.

An event with a segment is for many users. It goes to the key group of its own id, the owner. The owner checks
it, orders every key group to decide its own users (`tocsin.decision.broadcast_parts`), and gathers their
reports. So the broadcast has exactly one final outcome, after all parts have ended.
"""

from typing import Final, NamedTuple

import msgspec

from tocsin.catalog.catalog import Catalog
from tocsin.decision import dedup
from tocsin.decision.decider import dead_letter, finish
from tocsin.decision.effects import Decision, settled
from tocsin.decision.faulty import without_catalog
from tocsin.decision.policy import GatePolicy
from tocsin.decision.subjects import WholeEvent
from tocsin.decision.user_state import UserRecord, Waiting
from tocsin.decision.verdict import Detail, Suppress
from tocsin.formats.broadcasts import Action, Control
from tocsin.model.broadcast import Act, Counts, Ending, Order, Report
from tocsin.model.broadcast_list import LIST
from tocsin.model.event import Broadcast, Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status

EVERYONE: Final = "*"


class BroadcastEvent(NamedTuple):
    """An event for the owner of a broadcast: the broadcast itself, or what controls it."""

    event: Event
    control: Control | None = None


class Ruling(NamedTuple):
    """What an input of the owner leads to: effects on its record, and orders to all key groups."""

    decision: Decision
    orders: tuple[Order, ...] = ()


class Owned(msgspec.Struct, gc=False):
    """A broadcast that is under way, as its owner keeps it. Those of several sources may share an id.

    Attributes:
        start: the order that started it.
        asked: how often it was started, paused, resumed or cancelled.
        parts: the key groups whose part has ended.
        counts: of these parts together.
        ending: how it ends: cancelled or expired if any part is.
        end_ms: when the last of these parts ended.
        uploading: whether it waits for its list of users.
    """

    start: Order
    asked: int = 0
    parts: list[str] = []
    counts: Counts = msgspec.field(default_factory=Counts)
    ending: Ending = "finished"
    end_ms: int = 0
    uploading: bool = False


_ACTS: Final[dict[Action, Act]] = {
    Action.START: "resume",
    Action.PAUSE: "pause",
    Action.RESUME: "resume",
    Action.CANCEL: "cancel",
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Owned).decode


def on_event(
    record: UserRecord | None, item: BroadcastEvent, now_ms: int, raw: RawRecord, catalog: Catalog,
    policy: GatePolicy,
) -> Ruling:  # fmt: skip
    """Start a broadcast, or do to it what an event asks for."""
    found = record or UserRecord()
    whole = WholeEvent(item.event, now_ms, catalog.version)
    if item.control is not None:
        return _control(found, whole, item.control)
    return _start(found, whole, raw, catalog, policy)


def on_report(record: UserRecord | None, report: Report, version: str, policy: GatePolicy) -> Ruling:
    """Note that a part has ended; the last one ends the broadcast. A copy of a report changes nothing."""
    decision = Decision(record)
    owned = next((one for one in _running(record) if one.start.broadcast == report.broadcast), None)
    if record is None or owned is None or report.key_group in owned.parts:
        return Ruling(decision)
    owned.parts.append(report.key_group)
    owned.counts.add(report.counts)
    owned.end_ms = max(owned.end_ms, report.at_ms)
    if report.ending != "finished" and owned.ending != "cancelled":
        owned.ending = report.ending
    decision.touched = True
    if len(owned.parts) < policy.partitions * policy.key_groups:
        _keep(record, owned)
    else:
        _end(decision, record, owned, version)
    return Ruling(settled(decision, record))


def _start(
    record: UserRecord, whole: WholeEvent, raw: RawRecord, catalog: Catalog, policy: GatePolicy
) -> Ruling:
    event, decision, now_ms = whole.event, Decision(record, True), whole.now_ms
    key, broadcast = dedup.key_of(event.source, event.id), event.broadcast
    assert broadcast is not None, "an event without a segment or control has a user"
    first = dedup.original(record.seen, key, event.time_ms, policy.dedup_window_ms, now_ms)
    if first:
        if first != str(event.origin):
            finish(decision, whole, Suppress(Reason.DUPLICATE, {"original": first}))
        return Ruling(settled(decision, record))
    order = _ordered(decision, whole, raw, broadcast, catalog)
    if order is not None:
        keep_ms = policy.dedup_window_ms + policy.late_ms
        record.seen = dedup.remember(
            record.seen, key, event.time_ms, keep_ms, now_ms, event.origin, policy.dedup_max
        )
        owned = Owned(order, uploading=broadcast.segment == LIST)
        _keep(record, owned)
        _say(decision, owned, whole)
    return Ruling(settled(decision, record), () if order is None else (order,))


def _ordered(
    decision: Decision, whole: WholeEvent, raw: RawRecord, broadcast: Broadcast, catalog: Catalog
) -> Order | None:
    """Build the order that starts a broadcast; None if it is not sound, and has its final outcome."""
    event = whole.event
    spec, candidates = catalog.tenant(event.tenant), catalog.answering(event)
    if spec is None or candidates is None:
        reason, error = without_catalog(catalog, event.tenant)
        dead_letter(decision, whole, raw, event, reason, error)
        return None
    if broadcast.segment not in {EVERYONE, LIST, *spec.segments}:
        error = "tocsinsegment: not in the catalog; add it to `segments` of the tenant, or send `*`"
        dead_letter(decision, whole, raw, event, Reason.BAD_FIELD, error)
        return None
    if not candidates.notifications:
        finish(decision, whole, Suppress(candidates.none, candidates.detail))
        return None
    return Order(
        act="start",
        tenant=event.tenant,
        broadcast=whole.notification_id,
        event_id=event.id,
        event=event,
        expression=spec.segments.get(broadcast.segment, ""),
        start_ms=max(whole.now_ms, event.send_at_ms or 0),
        rate=broadcast.rate or spec.broadcast_rate,
    )


def _control(record: UserRecord, whole: WholeEvent, control: Control) -> Ruling:
    """Order a change of what is under way with an id. The event has a final outcome of its own."""
    decision, running = Decision(record), _running(record)
    if not running:
        finish(decision, whole, Suppress(Reason.NO_MATCH, {"broadcast": control.broadcast_id}))
        return Ruling(settled(decision, record))
    detail: Detail = {"broadcast": control.broadcast_id, "action": control.action.value}
    decision.outcomes.append(whole.outcome(Status.FINISHED, Reason.NONE, detail))
    decision.touched = True
    return Ruling(decision, tuple(_changed(decision, record, whole, one, control.action) for one in running))


def _changed(
    decision: Decision, record: UserRecord, whole: WholeEvent, owned: Owned, action: Action
) -> Order:
    """Log a change of one broadcast, and return the order of it."""
    owned.asked += 1
    if action is Action.START:
        owned.uploading = False
    if action is not Action.CANCEL:
        _say(decision, owned, whole, is_paused=action is Action.PAUSE)
    _keep(record, owned)
    start = owned.start
    return Order(act=_ACTS[action], tenant=start.tenant, broadcast=start.broadcast, event_id=start.event_id)


def _say(decision: Decision, owned: Owned, at: WholeEvent, *, is_paused: bool = False) -> None:
    """Log that the broadcast runs or waits."""
    reason = Reason.UPLOADING if owned.uploading else Reason.BROADCAST
    reason = Reason.PAUSED if is_paused else reason
    start = owned.start
    assert start.event is not None and start.event.broadcast is not None, "a start has its event"  # noqa: PT018
    detail: Detail = {"segment": start.event.broadcast.segment, "rate": start.rate, "due_ms": start.start_ms}
    whole = WholeEvent(start.event, at.now_ms, at.version, owned.asked)
    decision.outcomes.append(whole.outcome(Status.HELD, reason, detail))


def _end(decision: Decision, record: UserRecord, owned: Owned, version: str) -> None:
    """Write the final outcome; the record still knows the event, so that a copy is a duplicate."""
    event = owned.start.event
    assert event is not None, "a start has its event"
    record.waiting = _without(record, owned)
    detail = {**owned.counts.as_detail(), "parts": len(owned.parts)}
    whole = WholeEvent(event, owned.end_ms, version, owned.asked)
    decision.outcomes.append(whole.outcome(Status(owned.ending), Reason.NONE, detail))


def _running(record: UserRecord | None) -> list[Owned]:
    return [_decode(one.event) for one in record.waiting] if record is not None else []


def _keep(record: UserRecord, owned: Owned) -> None:
    record.waiting = (*_without(record, owned), Waiting(0, _encode(owned)))


def _without(record: UserRecord, owned: Owned) -> tuple[Waiting, ...]:
    """Return what the record keeps of other broadcasts."""
    mine = owned.start.broadcast
    return tuple(one for one in record.waiting if _decode(one.event).start.broadcast != mine)
