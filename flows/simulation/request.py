"""Asks for a simulation: where history is, which range of it counts, and by which catalogs."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from flows.simulation.machine import Bounds
from sources.history import Bounds as Offsets
from sources.history import FolderHistory, History, KafkaHistory
from tocsin.app.settings import Settings
from tocsin.catalog.loader import Catalog, load
from tocsin.model import topics

ENDLESS_MS = 1 << 60
_LATE_MS = 86_400_000


class Place(NamedTuple):
    """Where history is: a folder, or Kafka."""

    folder: Path | None = None
    kafka: str = ""
    prefix: str = ""
    options: Mapping[str, str] = {}

    def open(self, names: Iterable[str], offsets: Offsets | None = None) -> History:
        """Open the history of some topics.

        Args:
            names: of the topics.
            offsets: where their partitions begin and end; asked for unless given.
        """
        if self.folder is not None:
            return FolderHistory(self.folder)
        return KafkaHistory(self.kafka, self.prefix, self.options, names, offsets)


class Request(NamedTuple):
    """What to simulate.

    Attributes:
        place: where history is.
        bounds: as of the recorded process.
        catalog: folder of the new catalog; `present` of the one in force.
        since_ms: first moment that counts.
        until_ms: the moment after the last one.
        warm_up_ms: how far before that reading begins.
        tenant: the tenant; empty for all.
        is_replayed: compare with history as the present catalog decides it, instead of what happened.
        secret: opens the marks in receipts; empty where it is not known.
        settings: name the schema registry, for declared topics that need one.
    """

    place: Place
    bounds: Bounds
    catalog: Path
    present: Path
    since_ms: int
    until_ms: int = ENDLESS_MS
    warm_up_ms: int = 0
    tenant: str = ""
    is_replayed: bool = False
    secret: bytes = b""
    settings: Settings | None = None

    @property
    def start_ms(self) -> int:
        """Return the Kafka time to read from; under the stream clock that is the beginning."""
        return 0 if self.bounds.stream_clock else max(0, self.since_ms - self.warm_up_ms)

    @property
    def stop_ms(self) -> int:
        """Return the Kafka time behind which nothing is of the range any more."""
        return ENDLESS_MS if self.bounds.stream_clock else self.until_ms + _LATE_MS

    def names(self, catalog: Catalog) -> tuple[str, ...]:
        """List the topics that are read."""
        declared = [topics.declared(topic) for topic in catalog.sources]
        return (*topics.GATE_INPUTS, *declared, topics.OUTCOMES)


class Catalogs(NamedTuple):
    """Both catalogs, loaded."""

    new: Catalog
    present: Catalog

    @classmethod
    def of(cls, request: Request) -> "Catalogs":
        """Load the catalogs of a request.

        Raises:
            CatalogError: one of them has mistakes.
        """
        return cls(load(request.catalog), load(request.present))


def moment(at_ms: int) -> str:
    """Write a moment of a range; empty where there is no bound."""
    if not 0 < at_ms < ENDLESS_MS:
        return ""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
