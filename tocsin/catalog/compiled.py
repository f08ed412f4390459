"""Compiled notifications: what decisions read of a catalog, ready."""

from collections.abc import Mapping

import msgspec

from tocsin.catalog.attachments import AttachmentSpec
from tocsin.catalog.caps import Cap, Counter
from tocsin.catalog.defaults import DefaultOff
from tocsin.catalog.digests import CompiledDigest
from tocsin.catalog.expressions import Expression
from tocsin.catalog.schedule import CompiledAt
from tocsin.catalog.schedules import CompiledSchedule
from tocsin.catalog.spec import TenantSpec
from tocsin.catalog.variants import CompiledVariant
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome


class CompiledChannel(msgspec.Struct, frozen=True, gc=False):
    """One channel of a notification, with the keys of its switches, its caps, and its part of an id.

    `window` are the minutes of the day from which and until which it may be used; None for any time.
    `off_by_default` is what the tenant's defaults switch off on it. `failover_ms` is how long the receipt of
    a message may take until another account sends it, too; 0 for any time. `accounts` may do so,
    one after the other; 0 if the tenant names none. `counted_on` are its counters, a bit each.
    """

    name: str
    when: Expression | None
    off_channel: str
    off_category: str
    off_notification: str
    off_by_default: tuple[DefaultOff, ...]
    caps: tuple[Cap, ...]
    counters: tuple[Counter, ...]
    spelled: str
    window: tuple[int, int] | None = None
    failover_ms: int = 0
    accounts: int = 0
    counted_on: int = 0


class CompiledStep(msgspec.Struct, frozen=True, gc=False):
    """One channel that goes out later, unless a receipt of level `unless` or higher comes before."""

    after_ms: int
    unless: Level
    channel: CompiledChannel


class CompiledNotification(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One notification of one tenant. Equal only to itself, so that it is a cheap key.

    Attributes:
        dedup_scope: names the notifications that share their keys; `dedup_keep_ms` is their longest window.
        needs: which of `data`, `event`, `user` and `now` its expressions read.
        caps: limits that decide before routing, in the order of `OVERFLOWS`; none for a critical one.
        counters: what an admission is counted on; of a critical one not `user`.
        counted_on: its counters, a bit each (`tocsin.catalog.counted`).
        is_limited: whether any counter of it or of its channels counts its admissions.
        snooze_drops: a snooze suppresses it; otherwise it is held until the snooze ends.
        off_by_default: what the tenant's defaults switch off of it as a whole.
        inactive: whether its tenant is: then nothing of it is sent.
        spelled_head: the start of every notification id of it; `spelled_tail` stands before the origin.
        message: what all its messages have in common; `outcome`: what all its outcomes have.
        steps: channels that go out later, in the order of their times.
        sequence: the time between two channels, and the level that ends it; None to send them all at once.
        stop_when_seen: whether what waits is dropped once the user has seen it on one channel.
        tracked: whether receipts decide anything about it.
        digest: what it collects, and until when; None if each is sent by itself.
        digest_template: the template of its digests.
        variants: arms of an experiment; none unless the catalog has some.
        has_conditional_channels: whether any of its channels has a condition.
        attachments: of its e-mails.
    """

    name: str
    category: str
    priority: str
    critical: bool
    required: bool
    when: Expression | None
    channels: tuple[CompiledChannel, ...]
    dedup_key: Expression | None
    dedup_window_ms: int
    dedup_scope: str
    dedup_keep_ms: int
    collapse_key: Expression | None
    needs: frozenset[str]
    caps: tuple[Cap, ...]
    counters: tuple[Counter, ...]
    is_limited: bool
    delay_ms: int
    at: CompiledAt | None
    cancel_key: Expression | None
    snooze_drops: bool
    expires_ms: int
    send_window: tuple[int, int] | None
    off_notification: str
    off_category: str
    off_by_default: tuple[DefaultOff, ...]
    inactive: bool
    spelled_head: str
    spelled_tail: str
    message: Message
    outcome: Outcome
    steps: tuple[CompiledStep, ...] = ()
    sequence: tuple[int, Level] | None = None
    stop_when_seen: bool = False
    tracked: bool = False
    digest: CompiledDigest | None = None
    digest_template: str = ""
    variants: tuple[CompiledVariant, ...] = ()
    has_conditional_channels: bool = False
    attachments: tuple[AttachmentSpec, ...] = ()
    counted_on: int = 0

    @property
    def all_channels(self) -> tuple[CompiledChannel, ...]:
        """Return the channels that it uses, at first or later."""
        return (*self.channels, *(step.channel for step in self.steps))

    def channel(self, name: str) -> CompiledChannel | None:
        """Return one of its channels; None if it does not use it."""
        return next((channel for channel in self.all_channels if channel.name == name), None)


class CompiledTenant(msgspec.Struct, frozen=True):
    """A tenant's settings and its notifications, ready to be matched.

    `version` names the catalog that it was compiled from.
    """

    name: str
    version: str
    spec: TenantSpec
    notifications: dict[str, CompiledNotification]
    exact: dict[str, tuple[str, ...]]
    prefixes: tuple[tuple[str, str], ...]
    schedules: Mapping[str, CompiledSchedule] = {}

    @property
    def channels(self) -> frozenset[str]:
        """Return the channels that its notifications use, at first or later."""
        return frozenset(
            channel.name for each in self.notifications.values() for channel in each.all_channels
        )

    def matching(self, event_type: str) -> tuple[CompiledNotification, ...]:
        """Return the notifications that ask for a type, in order; none of an inactive tenant."""
        if self.spec.status == "inactive":
            return ()
        names = {name for prefix, name in self.prefixes if event_type.startswith(prefix)}
        names.update(self.exact.get(event_type, ()))
        return tuple(found for name, found in self.notifications.items() if name in names)
