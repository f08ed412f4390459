"""The life of an epoch: open, closing, durable, confirmed.

Bytewax stores all snapshots of an epoch in one transaction, and calls the source again only when that is on
disk. So the source's calls carry everything:

1. `closing()` in its `snapshot()`: what the epoch before started must be done. The gap opens.
2. Key groups and outbox are snapshotted. Bytewax commits. The gap lasts.
3. `durable()` in its first `next_batch()` after: the gap closes; the outbox is published, the deltas are
   applied in a thread, both while the next epoch runs.

The number of an epoch is that of the last applied one, plus one. It stands still while nothing changes, and
when an epoch closed without the news that it was durable: then the next closing carries both, as one.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from tocsin.errors import StateError
from tocsin.store.base import Base
from tocsin.store.deltas import Changes
from tocsin.store.outbox import Outbox


class Publisher(Protocol):
    """Publishes records once they are durable."""

    def publish(self, records: Sequence[Any]) -> None:
        """Start publishing; must not block for long."""
        ...

    def confirm(self, timeout_s: float) -> None:
        """Return when all that was started is acknowledged, or raise `SinkError`."""
        ...


class Member(Protocol):
    """A key group, as its epoch log sees it."""

    key: str

    def take(self) -> Changes:
        """Hand over what was snapshotted."""
        ...

    def settle(self) -> None:
        """Forget what was handed over: the base has it."""
        ...


class EpochLog:
    """Drives the epochs of one shard.

    Guarantees that nothing is published or applied before its epoch is durable, and that no row can replace
    one whose content is not both published and applied. A failure of either is raised by the next
    `closing()`, and by each one after it.

    Args:
        base: where deltas go.
        outbox: where records come from.
        publisher: where records go.
        patience_s: how long applying or publishing may take before it counts as failed.
    """

    def __init__(self, base: Base, outbox: Outbox, publisher: Publisher, *, patience_s: float) -> None:
        self.in_gap = False
        self.number = base.meta.applied + 1
        self._base = base
        self._outbox = outbox
        self._publisher = publisher
        self._patience_s = patience_s
        self._published = base.meta.published
        self._members: dict[str, Member] = {}
        self._in_flight: list[Member] = []
        self._applying: Future[None] | None = None
        self._publishing = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state-apply")

    def enlist(self, member: Member) -> None:
        """Remember a key group that has something to hand over when the epoch is durable."""
        self._members[member.key] = member

    def expect_gap(self) -> None:
        """Raise unless an epoch is closing."""
        if not self.in_gap:
            msg = "a snapshot outside the end of an epoch: the flow must have exactly one source partition"
            raise StateError(msg)

    def closing(self) -> int:
        """Close the epoch, after the one before is published and applied; return its number."""
        self.confirm()
        self.in_gap = True
        return self.number

    def durable(self) -> None:
        """Learn that the epoch closed last is stored; without one, do nothing."""
        if not self.in_gap:
            return
        self.in_gap = False
        records = self._outbox.take()
        deltas = self._take()
        if not (records or deltas or self._published > self._base.meta.published):
            return
        if records:
            self._publishing = self.number
            self._publisher.publish(records)
        # After publishing, so that the thread does not compete for the interpreter with what others wait for.
        self._applying = self._thread.submit(self._base.apply, self.number, self._published, deltas)
        self.number += 1

    def confirm(self) -> None:
        """Wait until all that was started is done, or raise why it is not."""
        if self._applying is not None:
            self._await(self._applying)
            self._applying = None
            for member in self._in_flight:
                member.settle()
            self._in_flight = []
        if self._publishing:
            self._publisher.confirm(self._patience_s)
            self._published, self._publishing = self._publishing, 0

    def close(self) -> None:
        """Let the thread end. What it could not apply is applied at the next start."""
        self._thread.shutdown(wait=True)

    def _take(self) -> list[tuple[str, Changes]]:
        self._in_flight = list(self._members.values())
        self._members = {}
        taken = [(member.key, member.take()) for member in self._in_flight]
        return [(key, delta) for key, delta in taken if not delta.empty]

    def _await(self, applying: Future[None]) -> None:
        try:
            applying.result(self._patience_s)
        except TimeoutError as error:
            msg = f"the disk took more than {self._patience_s:g} s for one epoch: look at its health and load"
            raise StateError(msg) from error
