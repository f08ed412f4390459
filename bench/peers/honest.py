"""Decisions on the honest mix of `bench.mixes`: builds of Tocsin alone, as the peers have no such rules."""

from collections import Counter
from collections.abc import Iterable, Iterator

from bench.fleet import profiles
from bench.mixes import MIXES
from bench.peers.decide import EPOCH_MS, MESSAGES, PARTITIONS, SHARDS
from bench.peers.environments import Build
from bench.peers.kafka import Record
from bench.peers.laboratory import Laboratory
from bench.peers.product import Product
from bench.peers.watch import Rate, Watcher, rate_of

EVENTS, USERS = 500_000, 100_000


class HonestMix:
    """A third of the events is admitted to two channels.

    Attributes:
        found: for each build the records it wrote, and its outcomes.
    """

    def __init__(self, laboratory: Laboratory, scale: int) -> None:
        self._laboratory = laboratory
        self._events, self._users = EVENTS // scale, USERS // scale
        self.found: dict[str, Counter[str]] = {}

    def product(self, build: Build) -> Rate:
        """Run `decide` of a build with two shards."""
        laboratory = self._laboratory
        with Product(
            laboratory, build, partitions=PARTITIONS, catalog="day", epoch_ms=str(EPOCH_MS)
        ) as product:
            product.load("profiles", _records(profiles(self._users)))
            product.load("events", _records(MIXES["honest"].events(self._users, self._events)))
            outputs = [product.topic(name) for name in MESSAGES]
            with product.running("--flow", "decide", "--shards", str(SHARDS)) as children:
                beside = [product.topic("outcomes")]
                watcher = Watcher(laboratory.topics, outputs, children, beside=beside, moved=laboratory.moved)
                rate = rate_of(watcher.run(self._least()), self._events)
            if build.name not in self.found:
                self.found[build.name] = Counter(records=rate.records) + product.outcomes()
        return rate

    def _least(self) -> int:
        """Two channels for a third of the events, whatever else is admitted."""
        return 2 * (self._events // 3)


def _records(written: Iterable[tuple[str, bytes, bytes]]) -> Iterator[Record]:
    return (Record(key.decode(), value) for _, key, value in written)
