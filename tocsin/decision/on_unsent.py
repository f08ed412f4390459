"""Decides what follows when something counted is not sent: its slots come back, and what waits moves up."""

from collections.abc import Iterable, Sequence

from tocsin.catalog.caps import Cap
from tocsin.decision import limit_queue, slots
from tocsin.decision.context import DecisionContext
from tocsin.decision.effects import Decision
from tocsin.decision.endings import Ending, end_held
from tocsin.decision.slots import Unsent, unsent_hold
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.decision.verdict import FinalVerdict


def on_unsent(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    tenant: str,
    unsent: Unsent | None,
    now_ms: int,
) -> None:
    """Give the slots of a message or held channel back; the record of a decision that does is touched.

    Args:
        context: the catalog in force.
        decision: takes the moved timers.
        record: of the user.
        tenant: of the user.
        unsent: what is not sent; None changes nothing.
        now_ms: the time of the decision.
    """
    if unsent is None:
        return
    before, notification = record.failed, context.catalog.notification(tenant, unsent.notification)
    freed = slots.give_back(record, notification, unsent, now_ms, context.policy.failed_max)
    if record.failed != before:
        decision.touched, decision.record = True, record
    zone = record.timezone or context.defaults_for(tenant).timezone
    move_up(context, decision, record, tenant, freed, zone, now_ms)


def move_up(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    tenant: str,
    freed: Iterable[str],
    zone: str,
    now_ms: int,
) -> None:
    """Let what waits for limits that have room again move up.

    Args:
        context: the catalog in force.
        decision: takes the moved timers.
        record: of the user.
        tenant: of the user.
        freed: the names of the counters.
        zone: of the user's calendar.
        now_ms: the time of the decision.
    """

    def limits_of(ref: HoldRef) -> Sequence[Cap]:
        found = context.catalog.notification(tenant, ref.notification)
        return limit_queue.caps_of(found, ref.channel, ref.counter) if found else ()

    for counter in freed:
        limit_queue.resettle(decision, record, counter, limits_of, zone, now_ms)


def end_unsent(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    timer_id: str,
    verdict: FinalVerdict,
    ending: Ending,
    rule: str = "",
) -> None:
    """End something held before its time, and give back the slots that it has taken (`end_held`)."""
    ref = end_held(decision, record, timer_id, verdict, ending, rule=rule)
    on_unsent(context, decision, record, ending.tenant, unsent_hold(ref), ending.now_ms)
