"""Which notifications an event means: expressions evaluated, all of them before anything is decided.

So an event whose expression fails is dead as a whole, with nothing of it sent, and can be replayed.
"""

from typing import NamedTuple

from tocsin.catalog.compile import ChannelPlan, Plan
from tocsin.catalog.expressions import Scope


class Chosen(NamedTuple):
    """A notification that an event means, with the channels and keys its expressions gave."""

    plan: Plan
    channels: tuple[ChannelPlan, ...]
    dedup_key: str = ""
    collapse_key: str = ""


def fixed(plan: Plan) -> Chosen | None:
    """Choose a notification without expressions once for all events; None if it has any."""
    conditions = [plan.when, plan.dedup_key, plan.collapse_key, *(channel.when for channel in plan.channels)]
    return Chosen(plan, plan.channels) if all(one is None for one in conditions) else None


def choose(plan: Plan, scope: Scope) -> Chosen | None:
    """Evaluate a notification's expressions; None if its condition does not hold.

    Raises:
        ExpressionError: one of them failed on this event.
    """
    if plan.when is not None and not plan.when.test(scope):
        return None
    return Chosen(
        plan,
        tuple(channel for channel in plan.channels if channel.when is None or channel.when.test(scope)),
        plan.dedup_key.text(scope) if plan.dedup_key else "",
        plan.collapse_key.text(scope) if plan.collapse_key else "",
    )
