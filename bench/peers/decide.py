"""Decisions: the same events through Kafka Streams, Quix, the prototype, and builds of Tocsin."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.peers import workload
from bench.peers.environments import Build, kafka_streams_peer, quix_python
from bench.peers.kafka import Record
from bench.peers.laboratory import Laboratory
from bench.peers.product import Product
from bench.peers.watch import Rate, Watcher, rate_of

EVENTS, USERS = 1_000_000, 100_000
_EVENTS, _PROFILES = "peers.events", "peers.profiles"
PEER_PARTITIONS = 2  # as many as there are threads and processes: the best for the peers
PARTITIONS = 16
SHARDS = 2
EPOCH_MS = 200
MESSAGES = ("messages.push.now", "messages.email.now", "messages.inapp.now")


class Size(NamedTuple):
    """How much is decided."""

    events: int
    users: int


class Decisions:
    """The workload in files and in the peers' topics, and one method a contender.

    Attributes:
        expected: the right decisions, by channel or reason.
        found: for each contender the records it wrote, and for builds also their outcomes.
    """

    def __init__(self, laboratory: Laboratory, size: Size) -> None:
        self._laboratory, self._size = laboratory, size
        self._file = laboratory.folder / "events.bin"
        # Behind the present by more than the events' own span, and well inside of every retention.
        start_ms = round(time.time() * 1000) - size.events * 1000 // workload.EVENTS_PER_S - 60_000
        self.expected = workload.expected(size.users, self._kept(start_ms))
        self.found: dict[str, Counter[str]] = {}
        self._fill_peers()

    def _kept(self, start_ms: int) -> Iterator[workload.Written]:
        """Make the events and keep them in the file as they pass."""
        with self._file.open("wb") as file:
            for each in workload.events(self._size.events, self._size.users, start_ms):
                file.write(b"%s %d %s\n" % (each.user.encode(), each.at_ms, each.value))
                yield each

    def _events(self) -> Iterator[Record]:
        with self._file.open("rb") as file:
            for line in file:
                user, at_ms, value = line.rstrip(b"\n").split(b" ", 2)
                yield Record(user.decode(), value, int(at_ms))

    def _fill_peers(self) -> None:
        topics = self._laboratory.topics
        topics.create([_EVENTS, _PROFILES], PEER_PARTITIONS)
        known = list(workload.profiles(self._size.users))
        topics.fill(_PROFILES, (Record(user, json.dumps(each).encode()) for user, each in known))
        topics.fill(_EVENTS, self._events())
        lines = (json.dumps(profile) for _, profile in known)
        self._profiles_file().write_text("\n".join(lines) + "\n")

    def _profiles_file(self) -> Path:
        return self._laboratory.folder / "profiles.ndjson"

    def kafka_streams(self) -> Rate:
        """Run the Kafka Streams peer with two threads."""
        folder = self._laboratory.new_folder("kafka-streams")
        command = kafka_streams_peer(folder)
        more = [str(SHARDS), str(self._profiles_file()), str(folder / "state")]
        return self._peer("kafka_streams", [[*command, self._bootstrap, _EVENTS, "decided", *more]])

    def quix(self) -> Rate:
        """Run two processes of the Quix peer."""
        group = self._laboratory.new_folder("quix").name
        command = [quix_python(), "-m", "bench.peers.quix_peer", self._bootstrap, _EVENTS, "decided"]
        more = [str(self._size.users), group]
        folders = [str(self._laboratory.new_folder("quix")) for _ in range(SHARDS)]
        return self._peer("quix", [[*command, *more, folder] for folder in folders])

    def prototype(self) -> Rate:
        """Run two shards of the prototype of our engine."""
        command = [sys.executable, "-m", "bench.peers.outbox_prototype", self._bootstrap]
        folders = [str(self._laboratory.new_folder("prototype")) for _ in range(SHARDS)]
        fixed, epoch_s = [*command, _PROFILES, _EVENTS, "decided"], EPOCH_MS / 1000
        commands = [
            [*fixed, *map(str, (shard, SHARDS, PEER_PARTITIONS, folder, epoch_s))]
            for shard, folder in enumerate(folders)
        ]
        return self._peer("prototype", commands)

    @property
    def _bootstrap(self) -> str:
        return self._laboratory.topics.bootstrap

    def _peer(self, name: str, commands: Sequence[Sequence[str]]) -> Rate:
        topics = self._laboratory.topics
        topics.create(["decided"], PEER_PARTITIONS)
        with self._laboratory.running(name, *commands) as children:
            watcher = Watcher(topics, ["decided"], children, moved=self._laboratory.moved)
            rate = rate_of(watcher.run(workload.records(self.expected)), self._size.events)
        self.found[name] = Counter(records=rate.records)
        topics.remove(["decided"])
        return rate

    def product(self, build: Build) -> Rate:
        """Run `decide` of a build with two shards on the same events."""
        laboratory = self._laboratory
        with Product(laboratory, build, partitions=PARTITIONS, epoch_ms=str(EPOCH_MS)) as product:
            product.load_profiles(self._size.users)
            product.load_events(self._events())
            outputs = [product.topic(name) for name in MESSAGES]
            with product.running("--flow", "decide", "--shards", str(SHARDS)) as children:
                beside = [product.topic("outcomes")]
                watcher = Watcher(laboratory.topics, outputs, children, beside=beside, moved=laboratory.moved)
                rate = rate_of(watcher.run(workload.records(self.expected)), self._size.events)
            if build.name not in self.found:
                self.found[build.name] = Counter(records=rate.records) + product.outcomes()
        return rate
