"""What an audit takes from each record: facts, small enough to be spilled to disk by the hundred million.

A fact has a key. Facts of one key must be judged together, and those of different keys need not be: that is
what bounds the memory of an audit. Outcomes and messages are judged by notification, events by origin.
"""

from typing import Final, TypeAlias

import msgspec

from tocsin.model.message import Message
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status


class OutcomeFact(msgspec.Struct, frozen=True, array_like=True, tag="o", gc=False):
    """What an audit keeps of an outcome.

    Attributes:
        into: the notification that it was merged into; empty for none.
        tracked: whether the tracker has committed its offset, so that ClickHouse must have it.
        recalled: whether only ClickHouse still has it.
        place: `topic/partition/offset` of its record; empty if it came from ClickHouse.
        ms: Kafka's time of its record.
    """

    outcome_id: str
    status: str
    origin: str
    notification_id: str
    message_id: str
    channel: str
    reason: str = ""
    into: str = ""
    tracked: bool = True
    recalled: bool = False
    place: str = ""
    ms: int = 0

    @property
    def key(self) -> str:
        """Return its notification; the event, message or outcome itself where there is none."""
        return self.notification_id or self.origin or self.message_id or self.outcome_id

    @property
    def subject(self) -> str:
        """Name the subject of the outcome: a message, a notification on a channel, or an event."""
        if self.message_id:
            return self.message_id
        return f"{self.notification_id}/{self.channel}" if self.notification_id else self.origin


class MessageFact(msgspec.Struct, frozen=True, array_like=True, tag="m", gc=False):
    """A message of a message topic; a `late` one was read after the outcomes, which may not name it yet."""

    message_id: str
    notification_id: str = ""
    origin: str = ""
    late: bool = False
    place: str = ""
    ms: int = 0

    @property
    def key(self) -> str:
        """Return its notification."""
        return self.notification_id or self.message_id


class StoredFact(msgspec.Struct, frozen=True, array_like=True, tag="s", gc=False):
    """An outcome that ClickHouse has; the key is that of the outcome."""

    outcome_id: str
    key: str


class EventFact(msgspec.Struct, frozen=True, array_like=True, tag="e", gc=False):
    """An event by its origin; `read` tells whether its shard has durably read it."""

    origin: str
    read: bool = True
    ms: int = 0

    @property
    def key(self) -> str:
        """Return the origin."""
        return self.origin


HELD: Final = "held"
HELD_EVENT: Final = "held_event"
FLYING: Final = "flying"
DECIDED: Final = "decided"
SEEN: Final = "seen"


class StateFact(msgspec.Struct, frozen=True, array_like=True, tag="t", gc=False):
    """What the outcomes of one notification say about its event.

    Attributes:
        state: `seen` (there is an outcome), `decided` (one that ends the wait of the event as a whole),
            `held`, `flying`, or `held_event` (the event as a whole is held, unless it was decided).
    """

    origin: str
    state: str

    @property
    def key(self) -> str:
        """Return the origin."""
        return self.origin


class MergeFact(msgspec.Struct, frozen=True, array_like=True, tag="i", gc=False):
    """A notification that items were merged into, or (`known`) one that has an outcome."""

    notification_id: str
    known: bool = False
    origin: str = ""
    place: str = ""
    ms: int = 0

    @property
    def key(self) -> str:
        """Return the notification."""
        return self.notification_id


Fact: TypeAlias = OutcomeFact | MessageFact | StoredFact | EventFact | StateFact | MergeFact


def fact_of(
    outcome: Outcome, *, tracked: bool = True, recalled: bool = False, place: str = "", ms: int = 0
) -> OutcomeFact:
    """Keep what an audit needs of an outcome.

    Args:
        outcome: as its topic or ClickHouse has it.
        tracked: whether the tracker has committed its offset, so that ClickHouse must have it.
        recalled: whether only ClickHouse still has it.
        place: `topic/partition/offset` of its record; empty if ClickHouse told it.
        ms: Kafka's time of that record.
    """
    into = str(outcome.detail["into"]) if outcome.status == Status.MERGED and "into" in outcome.detail else ""
    return OutcomeFact(
        outcome.outcome_id,
        outcome.status,
        outcome.origin,
        outcome.notification_id,
        outcome.message_id,
        outcome.channel,
        outcome.reason,
        into,
        tracked,
        recalled,
        place,
        ms,
    )


def message_fact(message: Message, place: str, ms: int, *, late: bool = False) -> MessageFact:
    """Keep what an audit needs of a message.

    Args:
        message: as its topic has it.
        place: `topic/partition/offset` of its record.
        ms: Kafka's time of that record.
        late: whether it was read after the outcomes, which may not name it yet.
    """
    return MessageFact(message.message_id, message.notification_id, str(message.origin), late, place, ms)
