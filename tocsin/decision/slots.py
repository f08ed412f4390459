"""Slots: the places that a notification takes in its limits. They come back if nothing of it is sent.

A channel takes one slot of its limits, however many messages it has; the notification takes one slot of its
own limits, however many channels. So a channel's slot comes back when the last of its messages has failed,
and that of the notification when the last channel has. A failure is remembered as long as the slot counts: a
copy of a record, as a crash may leave one, gives nothing back. Who fails at nothing has nothing to remember.

A slot says which counters counted it. So it comes back to those whatever the catalog is by then. An erasure
forgets the counters: a slot of before comes back to none of those that count since.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.counted import channel_names, own_names
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
    category: str


def unsent_message(message: Message) -> Unsent | None:
    """Describe a message that ends in the gate; None if it keeps its slots or has none."""
    if message.slots is None:
        return None
    slots = message.slots.at(message.decided_ms)
    about = (message.notification, message.notification_id, message.channel, message.message_id)
    return Unsent(*about, slots, message.category)


def unsent_hold(ref: HoldRef) -> Unsent | None:
    """Describe a held message or channel that ends; None if it keeps its slots or has none."""
    if ref.slots is None:
        return None
    about = (ref.notification, ref.notification_id, ref.channel, ref.message_id)
    return Unsent(*about, ref.slots, ref.category)


def taken(routes: Sequence[Route], own: int, before: Slots | None, later: int = 0) -> Mapping[str, Slots]:
    """Tell for each channel that is admitted or held which slots its messages take.

    Args:
        routes: the channels and contact points of one decision.
        own: the counters of the notification that count this decision, a bit each.
        before: of a channel that was held apart: the slots of its notification.
        later: how many more channels are later steps of the notification.
    """
    found = []
    for channel, _, verdict, _ in routes:
        if verdict is None:
            found.append((channel.name, channel.counted_on))
        elif isinstance(verdict, Hold) or before is not None:
            return _with_parts(routes, own, before, later)
    return _together(tuple(found), own, later) if before is None else _with_parts(routes, own, before, later)


@lru_cache(maxsize=1_024)
def _together(channels: tuple[tuple[str, int], ...], own: int, later: int) -> Mapping[str, Slots]:
    """Tell the slots of channels that are all admitted now; each is there once for each message."""
    number = len(set(channels)) + later
    return {one[0]: Slots(channels.count(one), number, 0, 0, own | one[1]) for one in channels}


def _with_parts(routes: Iterable[Route], own: int, before: Slots | None, later: int) -> Mapping[str, Slots]:
    targets: dict[str, int] = {}
    counters: dict[str, int] = {}
    for channel, _, verdict, _ in routes:
        if verdict is None:
            targets[channel.name] = targets.get(channel.name, 0) + 1
            counters[channel.name] = channel.counted_on
        elif isinstance(verdict, Hold):
            targets[channel.name] = counters[channel.name] = 0
    if before is None:
        channels, counted_ms = len(targets) + later, 0
    else:
        channels, counted_ms, own = before.channels, before.counted_ms, before.counters
    return {
        name: Slots(number, channels, 0, counted_ms, own if own < 0 else own | counters[name])
        for name, number in targets.items()
    }


def give_back(
    record: UserRecord, notification: CompiledNotification | None, unsent: Unsent, now_ms: int, most: int
) -> list[str]:
    """Remember that something was not sent, and take off the counters what that makes free.

    Args:
        record: of the user.
        notification: in the catalog of now; None if it is gone.
        unsent: what was not sent.
        now_ms: the time of the decision.
        most: failures remembered; beyond it the oldest is forgotten.

    Returns:
        The names of the counters that have room again.
    """
    slots, counts = unsent.slots, record.counts
    if slots.counted_ms <= record.erased_ms:
        return []
    of_channel, own = _counters(unsent, notification)
    until_ms = _until(counts, [*of_channel, *own], notification, unsent)
    here = failure(unsent.notification_id, unsent.channel, unsent.message_id, slots.targets, until_ms)
    known = same_notification(record.failed, here)
    if here.until_ms <= now_ms or any(one[:3] == here[:3] for one in known):
        return []
    record.failed = remember(record.failed, here, now_ms, most)
    failed = [*known, here]
    if not _is_complete(failed, here.channel):
        return []
    freed = [name for name in of_channel if limits.give_back(counts, name, slots.channel_ms)]
    if sum(_is_complete(failed, each) for each in {one.channel for one in failed}) == slots.channels:
        freed += [name for name in own if limits.give_back(counts, name, slots.counted_ms)]
    return freed


def _until(
    counts: Mapping[str, bytes],
    names: Iterable[str],
    notification: CompiledNotification | None,
    unsent: Unsent,
) -> int:
    """Return until when the slots count, and a copy of the failure must be known: 0 if nothing counts them.

    A notification that is decided now is counted behind this: there the catalog tells the windows.
    """
    counted_ms = max(unsent.slots.channel_ms, unsent.slots.counted_ms)
    ends_ms = [limits.counts_until(counts[name], counted_ms) for name in names if name in counts]
    channel = notification.channel(unsent.channel) if notification is not None else None
    counters = (*notification.counters, *(channel.counters if channel else ())) if notification else ()
    return max([*ends_ms, *(counted_ms + one.window_ms for one in counters)], default=0)


def _counters(
    unsent: Unsent, notification: CompiledNotification | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Name the counters that counted the channel, and those that counted the notification.

    Slots of releases before 0.2 do not say it: then those of the catalog of now are taken for it.
    """
    bits = unsent.slots.counters
    if bits >= 0:
        return channel_names(bits, unsent.channel), own_names(bits, unsent.notification, unsent.category)
    channel = notification.channel(unsent.channel) if notification is not None else None
    if notification is None or channel is None:
        return (), ()
    return [one.name for one in channel.counters], [one.name for one in notification.counters]


def _is_complete(failures: list[Failure], channel: bytes) -> bool:
    """Return whether every message of a channel is among the failed ones."""
    mine = [one.targets for one in failures if one.channel == channel]
    return len(mine) >= mine[-1]
