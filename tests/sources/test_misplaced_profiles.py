"""Profiles on a partition that is not their user's, on a real broker: erased stays erased, whatever is lost.

A shard reads what is on the broker and writes what it forwards back to it, until nothing more comes. A shard
that lost its state is a new one that reads from the beginning.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from sources.partitioner import partition_of
from sources.reader import TopicReader
from tests.golden.driver import Machine
from tests.golden.wire import Epoch, Record, Restart, Settings
from tests.sources.rig import PARTITIONS, World
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord

KEY = b"lab/ada"
HOME = partition_of(KEY, PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS
INPUTS = (topics.PROFILES, topics.EVENTS)


def profile(partition: int, value: bytes | None, key: bytes = KEY) -> OutRecord:
    return OutRecord(topics.PROFILES, partition, key, value)


def midday() -> str:
    """Name a time zone in which it is midday now: brokers write the time, and the tenant has quiet hours."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


def mail(name: str, version: int = 1) -> bytes:
    return msgspec.json.encode({"email": f"{name}@mail.example", "version": version, "timezone": midday()})


class Shard:
    """One shard over all partitions of a world; `compacted` reads the profiles as compaction leaves them."""

    def __init__(self, world: World, folder: Path, *, compacted: bool = False) -> None:
        # An hour: `held` is what an event is that waits for its profile, however slow the broker is.
        bounds = {"profile_wait_ms": 3_600_000}
        settings = Settings(catalog="rules", stream_clock=False, partitions=PARTITIONS, bounds=bounds)
        self._world = world
        self._compacted = compacted
        self._machine = Machine(folder, settings, wall_ms=_now_ms())
        self._read: set[tuple[str, int, int]] = set()
        self._written = 0

    def settle(self) -> "Shard":
        """Read and write until nothing more comes."""
        while records := [one for one in self._all() if one[:3] not in self._read]:
            for record in records:
                self._read.add(record[:3])
                self._machine.play(Record(*record))
            self._machine.play(Epoch(_now_ms()))
            new = self._machine.published[self._written :]
            self._written += len(new)
            self._world.send([OutRecord(*one) for one in new if one.topic in INPUTS])
        return self

    def crash(self) -> None:
        """Die after an epoch is stored and before it is published, and start again."""
        self._machine.play(Restart())

    def decided(self, number: int) -> set[str]:
        """Write an event, and return what it became for the user."""
        event = {"specversion": "1.0", "id": f"e{number}", "source": "/s", "type": "notice", "subject": "ada"}
        value = msgspec.json.encode(event | {"tenant": "lab", "data": {}})
        self._world.send([OutRecord(topics.EVENTS, HOME, KEY, value)])
        self.settle()
        found = [one.value for one in self._machine.published if one.topic == topics.OUTCOMES]
        outcomes = [msgspec.json.decode(value or b"", type=Outcome) for value in found]
        return {
            one.status for one in outcomes if one.event_id == f"e{number}" and one.channel in ("*", "email")
        }

    def _all(self) -> list[RawRecord]:
        with TopicReader(self._world.kafka, self._world.prefix) as reader:
            records = sorted(reader.read(*INPUTS), key=lambda one: INPUTS.index(one.topic))
        return _compacted(records) if self._compacted else records


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _compacted(records: Iterable[RawRecord]) -> list[RawRecord]:
    """Keep of each partition the last profile of each key, as compaction does."""
    return list(
        {
            (one.partition, one.key if one.topic == topics.PROFILES else one.offset): one for one in records
        }.values()
    )


@pytest.fixture
def misplaced(world: World, tmp_path: Path) -> World:
    """Make a world in which a profile was misplaced, forwarded, and erased at its user's partition."""
    world.send([profile(AWAY, mail("ada"))])
    shard = Shard(world, tmp_path / "first").settle()
    assert shard.decided(1) == {"admitted"}, "forwarded, the user is known"
    world.send([profile(HOME, None)])
    assert shard.decided(2) == {"held"}, "erased: the event waits for a profile"
    return world


@pytest.mark.parametrize("compacted", [False, True])
def test_an_erased_user_does_not_rise_when_state_is_lost(
    misplaced: World, tmp_path: Path, *, compacted: bool
) -> None:
    shard = Shard(misplaced, tmp_path / "second", compacted=compacted).settle()
    assert shard.decided(3) == {"held"}
    with TopicReader(misplaced.kafka, misplaced.prefix) as reader:
        left = _compacted(reader.read(topics.PROFILES))
    assert [one.value for one in left if one.value is not None] == [], "no address is left of who was erased"


def test_a_newer_profile_stands_when_state_is_lost(world: World, tmp_path: Path) -> None:
    world.send([profile(AWAY, mail("old"))])
    shard = Shard(world, tmp_path / "first").settle()
    newer = {"version": 2, "preferences": {"enabled": False}, "timezone": midday()}
    world.send([profile(HOME, msgspec.json.encode(newer))])
    shard.settle()
    assert Shard(world, tmp_path / "second").settle().decided(1) == {"suppressed"}, "opted out"


def test_a_crash_between_tombstone_and_profile_loses_neither(world: World, tmp_path: Path) -> None:
    shard = Shard(world, tmp_path / "first")
    world.send([profile(AWAY, mail("ada"), key=b'"lab/ada"')])
    shard.settle()
    shard.crash()
    assert shard.decided(1) == {"admitted"}
    world.send([profile(AWAY, None, key=b'"lab/ada"')])
    shard.settle()
    shard.crash()
    assert shard.decided(2) == {"held"}
