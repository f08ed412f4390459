"""What an event asks for beyond its type: which channels of a notification are left, or that none is."""

from collections.abc import Sequence

from tocsin.catalog.compile import CompiledChannel, CompiledNotification
from tocsin.decision.verdict import Suppress
from tocsin.model.event import Asked
from tocsin.model.statuses import Reason


def narrowed(channels: Sequence[CompiledChannel], asked: Sequence[str]) -> Sequence[CompiledChannel]:
    """Return those of the channels that an event asks for; all of them if it asks for none."""
    return [one for one in channels if one.name in asked] if asked else channels


def refusal(asked: Asked, notification: CompiledNotification) -> Suppress | None:
    """Suppress a notification that uses none of the channels that its event asks for."""
    if not asked.channels or any(one.name in asked.channels for one in notification.all_channels):
        return None
    return Suppress(Reason.NO_ASKED_CHANNEL, {"asked": ", ".join(asked.channels)})
