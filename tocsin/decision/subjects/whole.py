"""An event as a whole, where no notification is decided."""

from functools import lru_cache

import msgspec
from msgspec.structs import replace

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision.subjects.subject import replayed
from tocsin.decision.user_state import ContactPoint
from tocsin.decision.verdict import Detail
from tocsin.model.event import Event
from tocsin.model.ids import notification_id, outcome_id
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import TEXTS, Reason, Status


class WholeEvent(msgspec.Struct, gc=False):
    """An event as a whole, where no notification is decided; its outcome is keyed by its origin.

    A broadcast and its users share an origin: there, an id of its own is the key. `attempt` keeps several
    outcomes of one status apart.
    """

    event: Event
    now_ms: int
    version: str
    attempt: int = 0

    @property
    def notification_id(self) -> str:
        """Return the id of a broadcast, or of a user's part in it; empty for other events."""
        event = self.event
        if event.broadcast is None:
            return ""
        return notification_id(event.tenant, event.source, event.id, event.user, "", str(event.origin))

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write an outcome about the event."""
        event, said, place = self.event, TEXTS[status], self.event.origin
        origin = f"{place.topic}/{place.partition}/{place.offset}"
        nid = "" if event.broadcast is None else self.notification_id
        written = replace(
            _whole(event.tenant, self.version, said, TEXTS[reason]),
            outcome_id=outcome_id(nid or origin, said, self.attempt),
            user=event.user,
            notification_id=nid,
            attempt=self.attempt,
            event_id=event.id,
            event_source=event.source,
            event_type=event.type,
            event_time_ms=event.time_ms,
            origin=origin,
            detail=detail or {},
            at_ms=self.now_ms,
            received_ms=event.received_ms,
        )
        return written if event.replay is None else replayed(written, event.replay)


@lru_cache(maxsize=1_024)
def _whole(tenant: str, version: str, status: str, reason: str) -> Outcome:
    """Write what outcomes about events as a whole have in common."""
    return Outcome(
        outcome_id="", status=status, tenant=tenant, reason=reason, catalog_version=version, at_ms=0
    )
