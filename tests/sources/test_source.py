"""The source in a running flow: epochs, crashes, the orderly end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sources.consumer import KafkaConsumer
from sources.source import FULL_PAUSE, PAUSE, ShardSource, ShardSourcePartition, as_it_is, wake_all
from sources.state import SourceState, read_stored
from tests.sources.copy_flow import KEY_GROUPS
from tests.sources.rig import PARTITIONS, World, read, settle, wait_for
from tests.waiting import PATIENCE_S
from tocsin.errors import StateError
from tocsin.model import topics
from tocsin.model.raw import RawRecord

NAMES = (topics.EVENTS, topics.OUTCOMES, topics.DEAD)


@pytest.fixture
def world(kafka: str, topic_prefix: str) -> World:
    return World(kafka, topic_prefix, NAMES)


class Published:
    """What the flow has published so far."""

    def __init__(self, world: World, topic: str = topics.OUTCOMES) -> None:
        self._consumer = world.consumer(topics=(topic,), group="witness")
        self._consumer.start(None)
        self.records: list[RawRecord] = []

    def wait_for(self, distinct: int) -> None:
        wait_for(lambda: len(self.refresh()) >= distinct, 60)

    def refresh(self) -> dict[bytes, set[bytes]]:
        """Return per event the different copies of it."""
        self.records += self._consumer.take()
        copies: dict[bytes, set[bytes]] = defaultdict(set)
        for record in self.records:
            event, _, stamp = (record.value or b"").partition(b" ")
            copies[event].add(stamp)
        return copies

    def close(self) -> None:
        self._consumer.close()


class Copier:
    """The flow of `copy_flow` as a process."""

    def __init__(self, world: World, folder: Path) -> None:
        self._command = [
            sys.executable, "-m", "tests.sources.copy_flow", world.kafka, world.prefix, str(folder),
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.woken = Published(world, topics.DEAD)

    def start(self) -> None:
        """Start, and wait until the flow has begun: it shows which key groups it woke.

        What a process that was killed has shown may come once more from the next one, under the old pid.
        """
        self.process = subprocess.Popen(self._command, cwd=Path(__file__).parents[2])
        wait_for(self._begun)

    def _begun(self) -> bool:
        assert self.process is not None
        self.woken.refresh()
        return b"%d" % self.process.pid in {record.key for record in self.woken.records}

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def copier(world: World, tmp_path: Path) -> Iterator[Copier]:
    copier = Copier(world, tmp_path / "shard")
    yield copier
    if copier.process is not None and copier.process.poll() is None:
        copier.process.kill()
        copier.process.wait()
    copier.woken.close()


def test_kills_lose_nothing_and_change_nothing(world: World, copier: Copier) -> None:
    published, events = Published(world), 0
    for round_ in range(5):
        copier.start()
        for _ in range(5):
            world.write(topics.EVENTS, 60, partition=events // 60 % PARTITIONS, start=events)
            events += 60
        published.wait_for(max(1, events - 200))
        copier.end(signal.SIGKILL if round_ else signal.SIGTERM)
    copier.start()
    published.wait_for(events)
    assert copier.end(signal.SIGTERM) == 0

    copies = published.refresh()
    published.close()
    assert set(copies) == {f"events-{n}".encode() for n in range(events)}
    assert {event: stamps for event, stamps in copies.items() if len(stamps) > 1} == {}


def test_an_orderly_end_shows_everything_and_decides_nothing_twice(world: World, copier: Copier) -> None:
    published = Published(world)
    world.write(topics.EVENTS, 200)
    copier.start()
    published.wait_for(1)
    assert copier.end(signal.SIGTERM) == 0
    copier.start()
    published.wait_for(200)
    assert copier.end(signal.SIGTERM) == 0
    assert [len(stamps) for stamps in published.refresh().values()] == [1] * 200
    published.close()


def test_every_key_group_is_woken_at_each_start(copier: Copier) -> None:
    for _ in range(2):
        copier.start()
        copier.end(signal.SIGTERM)
    groups = " ".join(f"{p}.{group}" for p in range(PARTITIONS) for group in range(KEY_GROUPS))
    assert {record.value for record in copier.woken.records} == {groups.encode()}


class Diary:
    """Epochs that write down what the source tells them."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._epoch = 0

    def resume(self, epoch: int | None) -> None:
        self.told.append(f"resume {epoch}")

    def closing(self) -> int:
        self._epoch += 1
        self.told.append(f"closing {self._epoch}")
        return self._epoch

    def durable(self) -> None:
        self.told.append("durable")


class TestProtocol:
    """What the source tells, in which order."""

    def part(
        self, consumer: KafkaConsumer, diary: Diary, stop: threading.Event | None = None
    ) -> ShardSourcePartition:
        source = ShardSource(consumer, diary, stop=stop or threading.Event(), wake=wake_all((0,), 2))
        return source.build_part("step", "hub", None)

    def test_durable_is_told_in_the_first_batch_after_a_snapshot(self, world: World) -> None:
        diary = Diary()
        part = self.part(world.consumer(), diary)
        part.next_batch()
        part.next_batch()
        part.snapshot()
        part.next_batch()
        part.next_batch()
        part.snapshot()
        part.close()
        assert diary.told == ["resume None", "closing 1", "durable", "closing 2"]

    def test_the_first_item_wakes_all_key_groups(self, world: World) -> None:
        part = self.part(world.consumer(), Diary())
        assert part.next_batch() == [wake_all((0,), 2)]
        assert wake_all((0,), 2).key_groups == ("0.0", "0.1")
        part.close()

    def test_it_asks_again_at_once_after_a_batch_and_after_a_pause_without_one(self, world: World) -> None:
        world.write(topics.EVENTS, 3)
        part = self.part(world.consumer(), Diary())
        part.next_batch()
        assert part.next_awake() is None, "after the wake item"
        waits = set()
        until_s = time.monotonic() + 30
        while not part.next_batch():
            assert time.monotonic() < until_s
            awake = part.next_awake()
            assert awake is not None
            waits.add(awake - datetime.now(UTC) <= PAUSE)
        assert part.next_awake() is None
        assert waits == {True}
        part.close()

    def test_it_sleeps_longer_while_the_flow_has_no_room_for_what_it_has(self, world: World) -> None:
        room = 0
        consumer = world.consumer(allowance=lambda _topic: room)
        world.write(topics.EVENTS, 1)
        part = self.part(consumer, Diary())
        part.next_batch()
        wait_for(lambda: part.next_batch() == [] and consumer.held_back)
        before = datetime.now(UTC)
        assert part.next_batch() == []
        awake, after = part.next_awake(), datetime.now(UTC)
        assert awake is not None
        assert awake - after <= FULL_PAUSE <= awake - before, "more than a moment may lie between them"
        room = 10
        assert len(part.next_batch()) == 1
        part.close()

    def test_the_stop_flag_ends_the_flow_after_settling_the_epoch(self, world: World) -> None:
        diary, stop = Diary(), threading.Event()
        part = self.part(world.consumer(), diary, stop)
        part.next_batch()
        part.snapshot()
        stop.set()
        with pytest.raises(StopIteration):
            part.next_batch()
        assert diary.told[-1] == "durable"
        part.close()

    def test_stable_time_is_that_of_the_epoch_that_became_durable(self, world: World) -> None:
        consumer = world.consumer()
        part = self.part(consumer, Diary())
        part.next_batch()
        consumer.clocks.advance(0, 5)
        part.snapshot()
        consumer.clocks.advance(0, 8)
        assert consumer.clocks.stable(0) == 0
        part.next_batch()
        assert consumer.clocks.stable(0) == 5
        part.close()

    def test_a_restart_gets_the_stored_epoch_clocks_and_offsets(self, world: World) -> None:
        world.write(topics.EVENTS, 3)
        consumer = world.consumer()
        part = self.part(consumer, Diary())
        read(consumer, 3)
        consumer.clocks.advance(2, 77)
        stored = part.snapshot()
        part.close()

        diary, again = Diary(), world.consumer()
        source = ShardSource(again, diary, stop=threading.Event())
        resumed = source.build_part("step", "hub", stored)
        assert diary.told == ["resume 1"]
        assert again.clocks.stable(2) == again.clocks.now(2) == 77
        assert settle(again) == []
        assert read_stored(resumed.snapshot()).offsets[topics.EVENTS][0] == 3
        resumed.close()

    def test_a_foreign_partition_in_the_store_is_refused(self, world: World) -> None:
        source = ShardSource(world.consumer(), Diary(), stop=threading.Event())
        assert source.list_parts() == ["hub"]
        with pytest.raises(StateError, match="another flow"):
            source.build_part("step", "0", None)

    def test_a_foreign_format_is_refused_before_anything_is_read(self, world: World) -> None:
        diary = Diary()
        source = ShardSource(world.consumer(), diary, stop=threading.Event())
        with pytest.raises(StateError, match="format 99"):
            source.build_part("step", "hub", (99, *SourceState(1, {}, {}, {}, ())))
        assert diary.told == []


def test_items_can_pass_as_they_are() -> None:
    assert as_it_is([]) == [[]]


def test_idle_costs_little(world: World) -> None:
    """A consumer without input polls, but does not spin."""
    consumer = world.consumer()
    consumer.start(None)
    settle(consumer, 0.3)
    cpu, start = os.times(), time.monotonic()
    settle(consumer, 1.0)
    spent = sum(os.times()[:2]) - sum(cpu[:2])
    consumer.close()
    assert spent < 0.6 * (time.monotonic() - start)
