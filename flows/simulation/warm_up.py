"""How far before its range a simulation must begin to read, and what it cannot know of the time before."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from sources.history import Bounds as Offsets
from tocsin.catalog.catalog import Catalog
from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.digests import LONGEST_MS
from tocsin.decision.policy import GatePolicy
from tocsin.model import topics

_WEEK_MS: Final = 7 * 86_400_000
_DAY_MS: Final = 86_400_000


def longest_ms(catalogs: Iterable[Catalog], policy: GatePolicy) -> int:
    """Return the longest window of catalogs: of a limit, a dedup key, a digest, a hold or a later step."""
    found = [policy.dedup_window_ms + policy.late_ms, policy.engaged_ms]
    for catalog in catalogs:
        for tenant in catalog.tenants.values():
            for notification in tenant.notifications.values():
                found += _windows(notification)
    return max(found)


def _windows(notification: CompiledNotification) -> Iterator[int]:
    yield from (cap.window_ms for cap in notification.caps)
    yield notification.dedup_keep_ms
    yield notification.delay_ms
    yield notification.expires_ms
    yield from (step.after_ms for step in notification.steps)
    digest = notification.digest
    if digest is not None:
        yield max(digest.every_ms, digest.at_most_ms, _WEEK_MS if digest.at_min >= 0 else 0)
        yield 0 if digest.has_window else LONGEST_MS
    if notification.at is not None or notification.send_window is not None:
        yield _DAY_MS


def notes(
    bounds: Offsets, warm_up_ms: int, *, stream: bool, is_replayed: bool, stand_ins: int = 0
) -> list[str]:
    """Say what a simulation cannot know, in sentences."""
    found = [] if stream else [_reach(warm_up_ms)]
    if stand_ins:
        found.append(
            f"Compaction has removed the profiles that {stand_ins:,} users had at the beginning. For each the"
            " oldest one that is left stands in."
        )
    cut = sorted(topic for topic in bounds if topic in _INPUTS and _is_cut(bounds, topic))
    if cut:
        found.append(
            f"Retention has deleted the oldest records of {', '.join(cut)}. What they left behind (counters,"
            " holds, what was seen) is not known."
        )
    if topics.OUTCOMES not in bounds or not bounds[topics.OUTCOMES]:
        found.append("There are no recorded outcomes, so the order between topics is that of Kafka's times.")
    elif _is_cut(bounds, topics.OUTCOMES) and not is_replayed:
        found.append(
            "Retention has deleted the oldest outcomes; what they would be compared with is missing."
        )
    return found


_INPUTS = frozenset({topics.EVENTS, topics.BULK, topics.RECEIPTS, topics.RETRIES})


def _is_cut(bounds: Offsets, topic: str) -> bool:
    return any(first > 0 for first, _ in bounds[topic].values())


def _reach(warm_up_ms: int) -> str:
    return (
        f"Reading began {_spelled(warm_up_ms)} before the range. What was held, counted or seen earlier than"
        " that is not known; profiles and subscriptions are read from their first record."
    )


def _spelled(ms: int) -> str:
    return str(timedelta(milliseconds=ms)).removesuffix(", 0:00:00")
