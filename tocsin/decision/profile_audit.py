"""Audit records of profiles: which preferences changed, and who was erased; they name no address."""

from typing import NamedTuple

from tocsin.decision.user_state import UserRecord
from tocsin.model.audit import Action, AuditRecord, Fact
from tocsin.model.ids import digest

_ACTOR = "profiles"


class Choices(NamedTuple):
    """What a user has chosen, as far as it can be told in words."""

    off: frozenset[str]
    snoozed_until_ms: int
    quiet_hours: tuple[int, int]


def choices_of(record: UserRecord) -> Choices:
    """Take the choices of a user's record."""
    hours = record.quiet_start_min, record.quiet_end_min
    return Choices(frozenset(record.switched_off), record.snoozed_until_ms, hours)


def changed(before: Choices, record: UserRecord, tenant: str, user: str, now_ms: int) -> AuditRecord | None:
    """Tell which choices a profile changed; None if it changed none."""
    after = choices_of(record)
    detail: dict[str, Fact] = {}
    if off := sorted(after.off - before.off):
        detail["turned_off"] = off
    if on := sorted(before.off - after.off):
        detail["turned_on"] = on
    if after.snoozed_until_ms != before.snoozed_until_ms:
        detail["snoozed_until_ms"] = after.snoozed_until_ms
    if after.quiet_hours != before.quiet_hours:
        detail["quiet_start_min"], detail["quiet_end_min"] = after.quiet_hours
    if not detail:
        return None
    detail["version"] = record.version
    return AuditRecord(
        audit_id=digest("audit", tenant, user, str(record.version)),
        at_ms=now_ms,
        action=Action.PREFERENCES_CHANGED,
        actor=_ACTOR,
        tenant=tenant,
        user=user,
        detail=detail,
    )


def erased(tenant: str, user: str, now_ms: int) -> AuditRecord:
    """Tell that a user was erased; the track flow erases the user from ClickHouse by it."""
    return AuditRecord(
        audit_id=digest("erased", tenant, user, str(now_ms)),
        at_ms=now_ms,
        action=Action.USER_ERASED,
        actor=_ACTOR,
        tenant=tenant,
        user=user,
    )
