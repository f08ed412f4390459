"""Enters loads of catalogs and provider accounts into the audit log; the shard's own flow publishes them."""

import socket
from collections import deque
from collections.abc import Callable

from operators.decode_parts import Routed
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.audit import Action, AuditRecord, Fact
from tocsin.model.ids import digest
from tocsin.model.raw import OutRecord


class LoadAudit:
    """Collects audit records of one shard until its flow takes them; a restart loads everything anew.

    Args:
        shard: name of the shard.
        partition: a partition that the shard owns.
        now_ms: wall time.
    """

    def __init__(self, shard: str, partition: int, now_ms: Callable[[], int]) -> None:
        self._actor = f"{shard}@{socket.gethostname()}"
        self._partition = partition
        self._now_ms = now_ms
        self._waiting: deque[AuditRecord] = deque()

    def note(self, action: Action, version: str, detail: dict[str, Fact]) -> None:
        """Enter what happened to a version of a catalog or of the accounts; any thread may call it."""
        at_ms = self._now_ms()
        record = AuditRecord(
            audit_id=digest("audit", action, version, self._actor, str(at_ms)),
            at_ms=at_ms,
            action=action,
            actor=self._actor,
            subject=version,
            detail=detail,
        )
        self._waiting.append(record)

    def take(self) -> list[Routed]:
        """Hand out what is to be published."""
        records = []
        while self._waiting:
            value = encode(self._waiting.popleft())
            records.append(OutRecord(topics.AUDIT, self._partition, b"loads", value))
        return [Routed("outbox", "outbox", records)] if records else []
