"""Tells a story from the outcomes of one notification; reads nothing else.

Stories say nothing that the outcomes do not: a rule is said to have passed only where the order of the rules
and the outcome imply it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dashboards import sentences
from dashboards.rule_order import Cause, rules_before, rules_of
from dashboards.story_parts import Attempt, DeadRecord, Link, Receipt, Step, Story, Wait
from dashboards.waits import Failing, due_of, open_rows, waits_for
from tocsin.model.outcome import Scalar
from tocsin.model.statuses import FINAL, Reason, Status

Row = Mapping[str, Any]
RECEIPTS: Final = frozenset(
    {
        Status.DELIVERED,
        Status.BOUNCED,
        Status.COMPLAINED,
        Status.OPENED,
        Status.CLICKED,
        Status.UNSUBSCRIBED,
        Status.READ,
        Status.RESUBSCRIBED,
        Status.UNBLOCKED,
    }
)
_SKEW_MS: Final = 60_000
"""By which the clocks of Kafka and of a process may differ."""
_TRIES: Final = frozenset({Status.SENT, Status.RETRYING})
_ENGAGED: Final = (Status.READ, Status.CLICKED, Status.OPENED, Status.DELIVERED)


def tell(
    rows: Iterable[Row],
    others: Mapping[str, Sequence[Row]] | None = None,
    failing: Mapping[str, list[Failing]] | None = None,
    zone: str = "",
    letters: Sequence[Row] = (),
) -> Story:
    """Tell the story of the outcomes of one notification, or of one event or user without any.

    Args:
        rows: one or more outcomes, by the names of the columns; copies of one outcome are told once.
        others: outcomes of what the details name (a digest, an original, a replacement), by that name; those
            of items that were merged into this digest under the key `items`.
        failing: provider accounts that fail now, by channel.
        zone: the time zone to tell times in; empty for the one that the outcomes name, or UTC.
        letters: rows of the table `dead_letters` that may be about it.
    """
    found = _in_order(rows)
    known, clock = others or {}, zone or zone_of(found)
    first, named = found[0], _named(found)
    waits = tuple(_wait(row, failing or {}, clock) for row in open_rows(found))
    steps = (_event_step(named, clock), *(_step(row, found, known, clock) for row in found))
    links = [link for step in steps for link in step.links] + _items(known.get("items", ()), clock)
    return Story(
        subject=named["notification_id"] or named["origin"] or named["user"],
        heading=sentences.heading(named, found, waits, clock),
        state=state_of(found, waiting=bool(waits)),
        tenant=first["tenant"],
        zone=clock,
        first_ms=_came_ms(named) or first["at_ms"],
        last_ms=found[-1]["at_ms"],
        steps=steps if named["origin"] else steps[1:],
        attempts=tuple(_attempt(row, clock) for row in found if sentences.is_attempt(row)),
        receipts=tuple(_receipt(row, clock) for row in found if row["status"] in RECEIPTS),
        waits=waits,
        links=tuple({(one.relation, one.subject): one for one in links}.values()),
        dead=_dead(found, letters),
        **{name: named[name] for name in _FACTS},
    )


_FACTS: Final = (
    "user", "notification", "category", "priority", "variant", "event_id", "event_source", "event_type",
    "origin",
)  # fmt: skip
_TEXTS: Final = (*_FACTS, "notification_id")


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """Sort by time, drop copies. At one time, decisions come before attempts, and those before receipts."""
    by_id = {row["outcome_id"]: row for row in rows}
    return sorted(by_id.values(), key=lambda row: (row["at_ms"], _rank(row), row["attempt"], row["channel"]))


def _rank(row: Row) -> int:
    if row["status"] in RECEIPTS:
        return 3
    if row["status"] in _TRIES:
        return 2
    return 0 if row["status"] == Status.HELD and not row["notification_id"] else 1


def _named(rows: Sequence[Row]) -> dict[str, Any]:
    """Gather the names of the event and the notification: an outcome without one gets it from another."""
    named = {name: next((row[name] for row in rows if row[name]), "") for name in _TEXTS}
    for name in ("received_ms", "event_time_ms"):
        named[name] = next((row[name] for row in rows if row[name]), 0)
    named["first_ms"] = rows[0]["at_ms"]
    return named


def zone_of(rows: Iterable[Row]) -> str:
    """Return the time zone that the details name last; UTC if none does."""
    found = [str(detail_of(row)["zone"]) for row in rows if "zone" in detail_of(row)]
    return found[-1] if found else "UTC"


def detail_of(row: Row) -> dict[str, Scalar]:
    """Return the numbers of an outcome."""
    found: dict[str, Scalar] = json.loads(row["detail"] or "{}")
    return found


def state_of(rows: Sequence[Row], *, waiting: bool) -> str:
    """Name the state that a person asks for: still waiting, the furthest receipt, or the final status."""
    there = {row["status"] for row in rows}
    if waiting:
        return "waiting"
    if Status.SENT in there:
        return str(next((one for one in _ENGAGED if one in there), Status.SENT))
    finals = [row["status"] for row in rows if row["status"] in FINAL]
    order = (Status.DEAD, Status.EXPIRED, Status.CANCELLED, Status.MERGED, Status.FINISHED)
    return str(next((one for one in order if one in finals), finals[-1] if finals else rows[-1]["status"]))


def cause_of(row: Row, before: Sequence[Row]) -> Cause | None:
    """Tell at which stage a decision was made, from the outcomes before it; None if that cannot be told."""
    if row["status"] == Status.HELD and row["reason"] == Reason.DIGEST:
        return None  # a digest opens while the rules are asked about its first item
    own = [one for one in before if one["notification_id"]]
    if row["message_id"] and any(one["message_id"] == row["message_id"] for one in own):
        return Cause.RETURNED
    held = [one for one in own if one["status"] == Status.HELD and not one["message_id"]]
    if row["channel"] != "*" and any(one["channel"] == row["channel"] for one in held):
        return Cause.PART
    if any(one["reason"] == Reason.DIGEST for one in held):
        return Cause.DIGEST
    return Cause.TIMER if any(one["channel"] == "*" for one in held) else Cause.EVENT


def passed(row: Row, before: Sequence[Row]) -> tuple[str, ...]:
    """Name the rules that passed, as far as the order of the rules and the outcome tell."""
    cause = cause_of(row, before)
    if cause is None or not row["notification"]:
        return ()
    if row["status"] == Status.ADMITTED:
        return tuple(rules_of(cause))
    return tuple(rules_before(row["rule"], cause)) if row["rule"] else ()


def _came_ms(named: Mapping[str, Any]) -> int:
    """Return when the event came in; of a stream that is played when it happened, as its outcomes have it.

    No decision is made before its event came in. One that seems to be is in the time of the stream.
    """
    received_ms: int = named["received_ms"]
    played = received_ms > named["first_ms"] + _SKEW_MS
    return (
        int(named["event_time_ms"] or named["first_ms"]) if played else received_ms or named["event_time_ms"]
    )


def _event_step(named: Mapping[str, Any], clock: str) -> Step:
    at_ms = _came_ms(named)
    at = sentences.moment(at_ms, clock) if at_ms else ""
    return Step(
        at_ms=at_ms,
        at=at,
        kind="event",
        status="",
        sentence=sentences.event(named, at, clock),
    )


def _step(row: Row, rows: Sequence[Row], others: Mapping[str, Sequence[Row]], clock: str) -> Step:
    before = rows[: rows.index(row)]
    detail = detail_of(row)
    return Step(
        at_ms=row["at_ms"],
        at=sentences.moment(row["at_ms"], clock),
        kind="receipt"
        if row["status"] in RECEIPTS
        else "attempt"
        if sentences.is_attempt(row)
        else "decision",
        status=row["status"],
        sentence=sentences.step(row, detail, clock),
        reason=row["reason"],
        rule=row["rule"],
        channel=row["channel"],
        target=row["target"],
        message_id=row["message_id"],
        provider=row["provider"],
        catalog_version=row["catalog_version"],
        passed=passed(row, before),
        numbers=detail,
        links=tuple(_links(row, detail, others, clock)),
        outcome_id=row["outcome_id"],
        replay=row["replay"],
        replay_of=row["replay_of"],
    )


def linked(row: Row) -> list[tuple[str, str]]:
    """Name the relation and the subject of each other story that an outcome leads to."""
    detail = detail_of(row)
    into = "collapsed_into" if row["reason"] == Reason.COLLAPSED else "digest"
    by = "replaced_by" if row["reason"] == Reason.RESCHEDULED else "cancelled_by"
    relations = {"into": into, "by": by, "original": "original", "instead": "instead"}
    found = [(relation, str(detail[key])) for key, relation in relations.items() if key in detail]
    return [*found, ("replay_of", row["replay_of"])] if row["replay_of"] else found


def _links(
    row: Row, detail: Mapping[str, Scalar], others: Mapping[str, Sequence[Row]], clock: str
) -> list[Link]:
    told = {"replay": row["replay"], **detail}
    return [
        Link(
            relation=relation,
            subject=subject,
            sentence=sentences.link(relation, subject, _in_order(others.get(subject, ())), told, clock),
        )
        for relation, subject in linked(row)
    ]


def _items(rows: Sequence[Row], clock: str) -> list[Link]:
    """Name the items of a digest, or what gave way to this notification by its collapse key."""
    return [
        Link(
            relation="item",
            subject=row["notification_id"],
            sentence=sentences.item(row, detail_of(row), clock),
        )
        for row in _in_order(rows)
    ]


def _attempt(row: Row, clock: str) -> Attempt:
    return Attempt(
        number=row["attempt"],
        at_ms=row["at_ms"],
        at=sentences.moment(row["at_ms"], clock),
        channel=row["channel"],
        target=row["target"],
        message_id=row["message_id"],
        account=row["provider"],
        status=row["status"],
        reason=row["reason"],
        code=row["code"],
        took_ms=row["provider_ms"],
        provider_message_id=row["provider_message_id"],
        sentence=sentences.attempt(row),
    )


def _receipt(row: Row, clock: str) -> Receipt:
    return Receipt(
        kind=row["status"],
        at_ms=row["at_ms"],
        at=sentences.moment(row["at_ms"], clock),
        channel=row["channel"],
        message_id=row["message_id"],
        provider=row["provider"],
        reason=row["reason"],
        code=row["code"],
        sentence=sentences.receipt(row),
    )


def _wait(row: Row, failing: Mapping[str, list[Failing]], clock: str) -> Wait:
    until_ms = due_of(row)
    return Wait(
        channel=row["channel"],
        message_id=row["message_id"],
        reason=row["reason"],
        until_ms=until_ms,
        until=sentences.moment(until_ms, clock) if until_ms else "",
        sentence=waits_for(row, failing, clock),
    )


def _dead(rows: Sequence[Row], letters: Sequence[Row]) -> DeadRecord | None:
    """Say where the bytes of what is dead are; None if nothing is."""
    dead = [row for row in rows if row["status"] == Status.DEAD]
    if not dead:
        return None
    row = dead[-1]
    letter = max(
        (one for one in letters if _is_of(one, row)), key=lambda one: _nearness(one, row), default=None
    )
    place = sentences.dead_place(row, letter)
    return DeadRecord(
        origin=row["origin"],
        reason=row["reason"],
        error=(letter["error"] if letter else "") or str(detail_of(row).get("error", "")),
        place=place.place,
        stage=letter["stage"] if letter else "",
        size=letter["bytes"] if letter else 0,
        sentence=place.sentence,
        replay=place.replay,
    )


def _is_of(letter: Row, row: Row) -> bool:
    """Tell whether a dead letter is that of an outcome: of its event, or of its user at the same time."""
    same = (letter["user"], letter["last_ms"]) == (row["user"], row["at_ms"])
    return bool(letter["origin"] == row["origin"] or (row["user"] and same))


def _nearness(letter: Row, row: Row) -> tuple[bool, bool]:
    """Rank dead letters: a user may have several at one time, an event one beside those of its messages."""
    of_event = letter["origin"] == row["origin"]
    return of_event != bool(row["message_id"]), letter["reason"] == row["reason"]
