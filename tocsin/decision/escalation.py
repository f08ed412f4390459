"""Escalation: which channels of a notification go out at once, and which ones later as steps."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from tocsin.catalog.compile import CompiledChannel, CompiledNotification, CompiledStep
from tocsin.decision import asking, engagement
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import UserRecord
from tocsin.model.engagement import Level

# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_NONE = Level.NONE
Plan: TypeAlias = tuple[Sequence[CompiledChannel], Sequence[CompiledStep]]
"""The channels that go out at once, and the later steps in the order of their times."""


def plan(
    notification: CompiledNotification, channels: Sequence[CompiledChannel], asked: Sequence[str] = ()
) -> Plan:
    """Plan a notification whose conditions gave these channels.

    An event may ask for some channels only. Where none of the first ones is left, the next step goes out at
    once.

    >>> from types import SimpleNamespace
    >>> sequence = SimpleNamespace(sequence=(300_000, Level.OPENED))
    >>> first, later = plan(sequence, ["push", "sms", "email"])
    >>> first, [(step.after_ms, step.channel) for step in later]
    (['push'], [(300000, 'sms'), (600000, 'email')])
    """
    if notification.sequence is None:
        steps = notification.steps if channels else ()
        return _narrowed(channels, steps, asked) if asked else (channels, steps)
    channels = asking.narrowed(channels, asked)
    every_ms, until = notification.sequence
    later = [
        CompiledStep(place * every_ms, until, channel) for place, channel in enumerate(channels) if place
    ]
    return channels[:1], later


def _narrowed(
    channels: Sequence[CompiledChannel], steps: Sequence[CompiledStep], asked: Sequence[str]
) -> Plan:
    """Leave out the channels that were not asked for; times count from what goes out first."""
    first = asking.narrowed(channels, asked)
    later = [step for step in steps if step.channel.name in asked]
    if first or not later:
        return first, later
    start_ms = later[0].after_ms
    first, rest = skip(later)
    return first, [msgspec.structs.replace(step, after_ms=step.after_ms - start_ms) for step in rest]


def skip(later: Sequence[CompiledStep]) -> Plan:
    """Let the next steps go out at once, where the channels before them reach nobody."""
    at_ms = later[0].after_ms
    now = [step.channel for step in later if step.after_ms == at_ms]
    return now, later[len(now) :]


def track(
    record: UserRecord,
    notification: CompiledNotification,
    notification_id: str,
    last_ms: int,
    policy: GatePolicy,
) -> None:
    """Remember from now on what receipts say of a notification.

    Args:
        record: the user's.
        notification: in the catalog of now.
        notification_id: the notification's.
        last_ms: when its last step is due, or now.
        policy: how long and how many are remembered.
    """
    record.engaged = engagement.note(
        record.engaged,
        notification_id,
        _NONE,
        stops=notification.stop_when_seen,
        until_ms=last_ms + policy.engaged_ms,
        most=policy.engaged_max,
    )


def forget_if_over(record: UserRecord, notification_id: str) -> None:
    """Forget a notification of which nothing waits, unless a message of it may still queue."""
    known = engagement.find(record.engaged, notification_id)
    if known is None or known.stops:
        return
    if not any(ref.notification_id == notification_id for ref in record.holds.values()):
        record.engaged = engagement.forget(record.engaged, notification_id)
