"""The gate: what an event, a profile, a receipt, a returned message or a due timer means for one user.

Pure: the same record, input, catalog and `now_ms` give the same decision, byte for byte. Each input has a
module: `on_event`, `on_profile`, `on_receipt`, `on_returned`, `on_timer`.

A gate changes the record that it is given; the caller writes it back as the decision says.
"""

from collections.abc import Sequence

from tocsin.catalog.loader import Catalog
from tocsin.decision.context import DecisionContext
from tocsin.decision.effects import Decision
from tocsin.decision.faulty import hold_on
from tocsin.decision.on_event import on_event
from tocsin.decision.on_profile import on_profile, on_profile_change
from tocsin.decision.on_receipt import on_address_report, on_receipt
from tocsin.decision.on_returned import on_retry
from tocsin.decision.on_timer import TIMERS
from tocsin.decision.policy import GatePolicy
from tocsin.decision.rules import ORDER, Entry
from tocsin.decision.suppressions import AddressReport
from tocsin.decision.timers import DueTimer, TimerKind
from tocsin.decision.user_state import UserRecord
from tocsin.formats.profiles import ProfileChange
from tocsin.model.event import Event
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord


class Gate:
    """All decisions under one catalog. Build a new one when the catalog changes: it keeps nothing else.

    Args:
        catalog: what is sent for which events.
        policy: windows and bounds that are the same for all tenants.
        order: the rules; the shipped ones unless given.
    """

    def __init__(self, catalog: Catalog, policy: GatePolicy, order: tuple[Entry, ...] = ORDER) -> None:
        self.context = DecisionContext(catalog, policy, order)

    @property
    def catalog(self) -> Catalog:
        """Return the catalog in force."""
        return self.context.catalog

    @property
    def policy(self) -> GatePolicy:
        """Return the bounds in force."""
        return self.context.policy

    def on_event(self, record: UserRecord | None, event: Event, now_ms: int, raw: RawRecord) -> Decision:
        """Decide an event (`tocsin.decision.on_event`)."""
        return on_event(self.context, record, event, now_ms, raw)

    def on_profile_change(
        self, record: UserRecord | None, change: ProfileChange, now_ms: int, raw: RawRecord
    ) -> Decision:
        """Apply a record of `profiles` (`tocsin.decision.on_profile`)."""
        return on_profile_change(self.context, record, change, now_ms, raw)

    def on_profile(
        self,
        record: UserRecord | None,
        tenant: str,
        user: str,
        profile: Profile | None,
        now_ms: int,
        read_ms: int = 0,
    ) -> Decision:
        """Take a profile over; None erases the user (`tocsin.decision.on_profile`)."""
        return on_profile(self.context, record, tenant, user, profile, now_ms, read_ms)

    def on_receipt(
        self, record: UserRecord | None, receipt: ReceiptEvent, now_ms: int, raw: RawRecord
    ) -> Decision:
        """Decide a receipt of one user (`tocsin.decision.on_receipt`)."""
        return on_receipt(self.context, record, receipt, now_ms, raw)

    def on_address_report(
        self, record: UserRecord | None, report: AddressReport, now_ms: int, raw: RawRecord
    ) -> Decision:
        """Decide a receipt that names an address and no user (`tocsin.decision.on_receipt`)."""
        return on_address_report(self.context, record, report, now_ms, raw)

    def on_retry(self, record: UserRecord | None, retry: Retry, now_ms: int) -> Decision:
        """Decide a returned message (`tocsin.decision.on_returned`)."""
        return on_retry(self.context, record, retry, now_ms)

    def on_timer(
        self,
        record: UserRecord | None,
        tenant: str,
        user: str,
        timer_id: str,
        payload: bytes,
        now_ms: int,
        kept: Sequence[bytes] = (),
    ) -> Decision:
        """Decide what was held again, or a digest.

        Args:
            record: the user's, or None.
            tenant: whose user.
            user: the user's id.
            timer_id: of the timer.
            payload: of the decision that set the timer.
            now_ms: when the timer is due.
            kept: what decisions kept beside the timer, in order.
        """
        due = DueTimer(record, tenant, user, timer_id, payload, now_ms, kept)
        if tenant in self.context.faulty and record is not None and timer_id in record.holds:
            return hold_on(record, due)
        return TIMERS[TimerKind(timer_id[0])](self.context, due)
