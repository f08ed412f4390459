"""Writes what is replayed. Pure: the same record and replay give the same bytes.

An event goes to its topic with its key and headers, and a mark. A message goes to `retries`: the gate decides
it again, by the preferences, quiet hours and expiry of now. Anything else is copied to the topic in which it
was read.
"""

from typing import NamedTuple

from msgspec.structs import replace

from sources.partitioner import partition_of
from sources.replays.facts import Facts
from tocsin.formats.codec import encode, profile_key
from tocsin.formats.forwarded import ORIGIN_HEADER, RECEIVED_HEADER
from tocsin.formats.replays import REPLAY_HEADER, replay_header
from tocsin.model import topics
from tocsin.model.event import Origin, Replay
from tocsin.model.ids import digest
from tocsin.model.message import Message, Retry
from tocsin.model.raw import OutRecord
from tocsin.model.statuses import Reason

_DROPPED = frozenset({REPLAY_HEADER, ORIGIN_HEADER, RECEIVED_HEADER})


class Rewriter(NamedTuple):
    """Writes the records of one replay.

    Attributes:
        replay_id: id of the replay.
        force: whether it is sent again knowingly.
        at_ms: when the replay began; latencies count from it.
        partitions: partitions of every keyed topic.
    """

    replay_id: str
    force: bool
    at_ms: int
    partitions: int

    def written(self, facts: Facts) -> OutRecord:
        """Write the record that replays another one."""
        raw, message = facts.raw, facts.message
        if message is not None:
            key = profile_key(message.tenant, message.user)
            value = encode(
                Retry(message=self._again(message, facts.first_message), reason=Reason.REPLAYED, due_ms=0)
            )
            place = Origin(raw.topic, raw.partition, raw.offset)
            return OutRecord(self.topic(facts), self._home(key), key, value, (self._mark(place),))
        headers = tuple(header for header in raw.headers if header[0] not in _DROPPED)
        headers = (*headers, self._mark(facts.root))
        is_place = not topics.is_declared(raw.topic) and 0 <= raw.partition < self.partitions
        partition = raw.partition if is_place else self._home(raw.key or b"")
        return OutRecord(self.topic(facts), partition, raw.key, raw.value, headers)

    def topic(self, facts: Facts) -> str:
        """Return the topic that a record is written to."""
        if facts.message is not None:
            return topics.RETRIES
        return topics.EVENTS if topics.is_declared(facts.raw.topic) else facts.raw.topic

    def _home(self, key: bytes) -> int:
        return partition_of(key, self.partitions)

    def _mark(self, first: Origin) -> tuple[str, bytes]:
        return replay_header(Replay(self.replay_id, self.force, first))

    def _again(self, message: Message, first: str) -> Message:
        """Make a message of its own, about the same notification and target; it takes no slots."""
        return replace(
            message,
            message_id=digest("replay", first, self.replay_id),
            attempt=1,
            generation=message.generation + self.force,
            received_ms=self.at_ms,
            slots=None,
            replay=self.replay_id,
            replay_of=first,
            unless_sent="" if self.force else first,
        )


def mark_of(record: OutRecord) -> tuple[str, bytes]:
    """Name what a record replays: its topic and its mark. No two records of a replay have the same."""
    return record.topic, dict(record.headers)[REPLAY_HEADER]
