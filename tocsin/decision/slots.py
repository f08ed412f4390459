"""Slots: the places that a notification takes in its limits. They come back if nothing of it is sent.

A channel takes one slot of its limits, however many messages it has; the notification takes one slot of its
own limits, however many channels. So a channel's slot comes back when the last of its messages has failed,
and that of the notification when the last channel has. A failure is remembered as long as the slot counts: a
copy of a record, as a crash may leave one, gives nothing back. Who fails at nothing has nothing to remember.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from tocsin.catalog.caps import Counter
from tocsin.catalog.compile import CompiledChannel, CompiledNotification
from tocsin.decision import limits
from tocsin.decision.failures import Failure, failure, remember, same_notification
from tocsin.decision.routing import Route
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.decision.verdict import Hold
from tocsin.model.message import Message, Slots


class Unsent(NamedTuple):
    """A message, or a channel that was held, of which is certain that it is not sent."""

    notification: str
    notification_id: str
    channel: str
    message_id: str
    slots: Slots


def unsent_message(message: Message) -> Unsent | None:
    """Describe a message that ends in the gate; None if it keeps its slots or has none."""
    if message.slots is None:
        return None
    slots = message.slots.at(message.decided_ms)
    return Unsent(message.notification, message.notification_id, message.channel, message.message_id, slots)


def unsent_hold(ref: HoldRef) -> Unsent | None:
    """Describe a held message or channel that ends; None if it keeps its slots or has none."""
    if ref.slots is None:
        return None
    return Unsent(ref.notification, ref.notification_id, ref.channel, ref.message_id, ref.slots)


def taken(routes: Sequence[Route], before: Slots | None, later: int = 0) -> Mapping[str, Slots]:
    """Tell for each channel that is admitted or held which slots its messages take.

    Args:
        routes: the channels and contact points of one decision.
        before: of a channel that was held apart: the slots of its notification.
        later: how many more channels are later steps of the notification.
    """
    names = []
    for channel, _, verdict, _ in routes:
        if verdict is None:
            names.append(channel.name)
        elif isinstance(verdict, Hold) or before is not None:
            return _with_parts(routes, before, later)
    return _together(tuple(names), later) if before is None else _with_parts(routes, before, later)


@lru_cache(maxsize=1_024)
def _together(names: tuple[str, ...], later: int) -> Mapping[str, Slots]:
    """Tell the slots of channels that are all admitted now; `names` has a channel once for each message."""
    channels = len(set(names)) + later
    return {name: Slots(names.count(name), channels) for name in names}


def _with_parts(routes: Iterable[Route], before: Slots | None, later: int) -> Mapping[str, Slots]:
    targets: dict[str, int] = {}
    for channel, _, verdict, _ in routes:
        if verdict is None:
            targets[channel.name] = targets.get(channel.name, 0) + 1
        elif isinstance(verdict, Hold):
            targets[channel.name] = 0
    channels, counted_ms = (before.channels, before.counted_ms) if before else (len(targets) + later, 0)
    return {name: Slots(number, channels, 0, counted_ms) for name, number in targets.items()}


def give_back(
    record: UserRecord,
    notification: CompiledNotification,
    channel: CompiledChannel,
    unsent: Unsent,
    now_ms: int,
    most: int,
) -> list[Counter]:
    """Remember that something was not sent, and take off the counters what that makes free.

    Args:
        record: of the user.
        notification: in the catalog of now.
        channel: in the catalog of now.
        unsent: what was not sent.
        now_ms: the time of the decision.
        most: failures remembered; beyond it the oldest is forgotten.

    Returns:
        The counters that have room again.
    """
    counters, slots = (*channel.counters, *notification.counters), unsent.slots
    until_ms = max(slots.channel_ms, slots.counted_ms) + max((one.window_ms for one in counters), default=0)
    here = failure(unsent.notification_id, unsent.channel, unsent.message_id, slots.targets, until_ms)
    known = same_notification(record.failed, here)
    if here.until_ms <= now_ms or any(one[:3] == here[:3] for one in known):
        return []
    record.failed = remember(record.failed, here, now_ms, most)
    failed, counts = [*known, here], record.counts
    if not _is_complete(failed, here.channel):
        return []
    freed = [one for one in channel.counters if limits.give_back(counts, one, slots.channel_ms)]
    if sum(_is_complete(failed, each) for each in {one.channel for one in failed}) == slots.channels:
        freed += [one for one in notification.counters if limits.give_back(counts, one, slots.counted_ms)]
    return freed


def _is_complete(failures: list[Failure], channel: bytes) -> bool:
    """Return whether every message of a channel is among the failed ones."""
    mine = [one.targets for one in failures if one.channel == channel]
    return len(mine) >= mine[-1]
