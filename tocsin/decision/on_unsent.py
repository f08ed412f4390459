"""Decides what follows when something counted is not sent: its slots come back, and what waits moves up."""

from collections.abc import Sequence

from tocsin.catalog.caps import Cap
from tocsin.decision import limit_queue, slots
from tocsin.decision.context import DecisionContext
from tocsin.decision.effects import Decision
from tocsin.decision.slots import Unsent
from tocsin.decision.user_state import HoldRef, UserRecord


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
    notification = context.catalog.notification(tenant, unsent.notification) if unsent else None
    channel = notification.channel(unsent.channel) if notification and unsent else None
    if unsent is None or notification is None or channel is None:
        return
    before = record.failed
    freed = slots.give_back(record, notification, channel, unsent, now_ms, context.policy.failed_max)
    if record.failed != before:
        decision.touched, decision.record = True, record
    zone = record.timezone or context.defaults_for(tenant).timezone

    def limits_of(ref: HoldRef) -> Sequence[Cap]:
        found = context.catalog.notification(tenant, ref.notification)
        return limit_queue.caps_of(found, ref.channel, ref.counter) if found else ()

    for counter in freed:
        limit_queue.resettle(decision, record, counter.name, limits_of, zone, now_ms)
