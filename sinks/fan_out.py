"""One publisher for an epoch whose records go to different places."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from tocsin.model.raw import OutRecord, VersionNote


class Publisher(Protocol):
    """Publishes records once they are durable; see `tocsin.store.epochs`."""

    def publish(self, records: Sequence[Any]) -> None:
        """Start; must not block for long."""
        ...

    def confirm(self, timeout_s: float) -> None:
        """Return when all that was started is acknowledged, or raise `SinkError`."""
        ...


class FanOutPublisher:
    """Sends `OutRecord`s to Kafka and `VersionNote`s to the ledger; confirms both.

    Versions start first: a profile change should reach the ledger before any message decided after it.

    Args:
        kafka: takes `OutRecord`s.
        versions: takes `VersionNote`s.
    """

    def __init__(self, kafka: Publisher, versions: Publisher) -> None:
        self._kafka = kafka
        self._versions = versions

    def publish(self, records: Sequence[OutRecord | VersionNote]) -> None:
        """Start both."""
        notes = [record for record in records if type(record) is VersionNote]
        if notes:
            self._versions.publish(notes)
            records = [record for record in records if type(record) is not VersionNote]
        self._kafka.publish(records)

    def confirm(self, timeout_s: float) -> None:
        """Wait for both, for `timeout_s` together; raises `SinkError`."""
        deadline_s = time.monotonic() + timeout_s
        self._kafka.confirm(timeout_s)
        self._versions.confirm(max(0.0, deadline_s - time.monotonic()))
