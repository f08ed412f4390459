"""Something held that is not decided any more."""

import msgspec

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision.user_state import ContactPoint, HoldRef
from tocsin.decision.verdict import Detail
from tocsin.model.ids import message_id, outcome_id
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import TEXTS, Reason, Status


class HeldSubject(msgspec.Struct, gc=False):
    """Something held that is not decided any more: the final outcome is written from its reference."""

    ref: HoldRef
    tenant: str
    user: str
    now_ms: int
    version: str

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write the final outcome."""
        ref = self.ref
        subject = ref.message_id or ref.notification_id
        if ref.channel != "*" and not ref.message_id:
            subject = message_id(ref.notification_id, ref.channel, "")
        return Outcome(
            outcome_id=outcome_id(subject, TEXTS[status], ref.attempt),
            status=TEXTS[status],
            tenant=self.tenant,
            user=self.user,
            notification_id=ref.notification_id,
            message_id=ref.message_id,
            event_id=ref.event_id,
            origin=ref.origin,
            notification=ref.notification,
            category=ref.category,
            channel=ref.channel,
            target=ref.target,
            reason=TEXTS[reason],
            rule=rule,
            detail=detail or {},
            catalog_version=self.version,
            attempt=ref.attempt,
            at_ms=self.now_ms,
            variant=ref.variant,
            replay=ref.replay,
            replay_of=ref.replay_of,
        )
