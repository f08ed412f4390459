"""What a replay asks for."""

from collections.abc import Collection
from typing import Literal

import msgspec

from tocsin.model import topics

What = Literal["dead", "events", "messages"]
Policy = Literal["again", "force"]
_TOPICS: dict[What, tuple[str, ...]] = {"dead": (topics.DEAD,), "events": (topics.EVENTS, topics.BULK)}
WHAT: tuple[What, ...] = ("dead", "events", "messages")


def topics_of(what: What, there: Collection[str]) -> tuple[str, ...]:
    """List the topics that are read for a replay; of messages those of all channels that are there."""
    return _TOPICS.get(what) or tuple(sorted(name for name in there if topics.channel_of(name)))


class Selection(msgspec.Struct, frozen=True):
    """Which records are replayed, and how. An empty tuple asks for nothing; filters hold together.

    Attributes:
        what: `dead` letters, `events` or `messages`.
        policy: `again` keeps what was sent from being sent twice; `force` sends it once more.
        since_ms: Kafka's time of the first record; 0 for no bound.
        until_ms: the end of the time, which is not part of it; 0 for no bound.
        ids: ids of messages, notifications or events, or places `topic/partition/offset`.
        limit: at most so many records; 0 for no bound.
        outcomes: whether outcomes are read, to leave out what was sent or is on its way.
    """

    what: What
    policy: Policy = "again"
    since_ms: int = 0
    until_ms: int = 0
    tenants: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    notifications: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    limit: int = 0
    outcomes: bool = True

    @property
    def force(self) -> bool:
        """Return whether it is sent again knowingly."""
        return self.policy == "force"

    @property
    def by_outcome(self) -> bool:
        """Return whether only outcomes can tell which records are meant."""
        if self.providers or self.statuses or (self.what == "dead" and self.notifications):
            return True
        return self.what != "dead" and bool(
            self.reasons or (self.what == "events" and (self.notifications or self.channels))
        )
