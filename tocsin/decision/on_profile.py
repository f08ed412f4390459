"""Decides a record of `profiles`: takes the profile over, decides what waited for it, or erases the user."""

from tocsin.decision import corrections, opt_outs, profile_audit, profiles, receipts, waiting
from tocsin.decision.cancelling import WaitingCancels
from tocsin.decision.context import DecisionContext
from tocsin.decision.decider import finish
from tocsin.decision.effects import CancelTimer, DeadLetter, Decision
from tocsin.decision.on_event import decide_waiting
from tocsin.decision.retiming import follow_clock, follow_hours
from tocsin.decision.subjects import HeldSubject, WholeEvent
from tocsin.decision.user_state import PROFILE_TIMER, UserRecord
from tocsin.decision.verdict import Suppress
from tocsin.formats.forwarded import first_read_ms, is_forwarded
from tocsin.formats.gateway_profiles import revision_of
from tocsin.formats.profile_corrections import NO_TEXT, text_of
from tocsin.formats.profiles import ProfileChange
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

_OVERTAKEN = (
    "version: {}, and version {} was applied before; write the newest profile anew if it does not follow,"
    " because compaction keeps the last record of a user"
)


def on_profile_change(
    context: DecisionContext, record: UserRecord | None, change: ProfileChange, now_ms: int, raw: RawRecord
) -> Decision:
    """Apply what is sound of a record of `profiles`; what is not is dead-lettered with its cure.

    A profile of a tenant that is not in the catalog is refused and not stored. Its erasure is applied. A
    forwarded copy that is older than what was applied is refused: a shard without state forwards again. So is
    a profile of a lower version than one that was applied.
    """
    tenant, read_ms = change.tenant, first_read_ms(raw)
    if record is not None and is_forwarded(raw) and profiles.is_outdated(record, change.profile, read_ms):
        error = "forwarded here, older than the profile or erasure in force; write the newest profile anew"
        return Decision(record, dead_letters=[DeadLetter(raw, Reason.OUTDATED, error)])
    if change.profile is not None and record is not None and profiles.is_overtaken(record, change.profile):
        error = _OVERTAKEN.format(change.profile.version, record.written_version)
        return Decision(record, dead_letters=[DeadLetter(raw, Reason.OUTDATED, error)])
    if change.profile is not None and tenant not in context.defaults and tenant not in context.faulty:
        error = "tenant: not in the catalog; add tenants/<tenant>.yaml or correct the key, then replay"
        return Decision(record, dead_letters=[DeadLetter(raw, Reason.BAD_FIELD, error)])
    had_text = record is not None and record.has_text
    decision = on_profile(
        context, record, tenant, change.user, change.profile, now_ms, read_ms, is_owners=not revision_of(raw)
    )
    _keep_text(context, decision, change, raw, had_text=had_text)
    if change.faults:
        error = f"{' | '.join(change.faults)} (the rest of the profile is applied)"
        decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, error))
    return decision


def on_profile(
    context: DecisionContext,
    record: UserRecord | None,
    tenant: str,
    user: str,
    profile: Profile | None,
    now_ms: int,
    read_ms: int = 0,
    *,
    is_owners: bool = True,
) -> Decision:
    """Take a profile over, and decide what waited for it; None erases the user and all that is held.

    Args:
        context: the catalog in force.
        record: the user's, or None.
        tenant: whose user.
        user: the user's id.
        profile: what the user's profile is now.
        now_ms: the time of the decision.
        read_ms: Kafka's time of the profile; 0 if no older one can come.
        is_owners: whether the owner of the profile wrote it, and not the gateway for a person.
    """
    if profile is None:
        return _erase(context, record, tenant, user, now_ms, read_ms)
    known = record is not None and not record.is_nobody()
    found = record if record is not None else UserRecord()
    decision, choices = Decision(found), profile_audit.choices_of(found)
    changed = _take_over(
        context, decision, found, tenant, user, profile, now_ms, read_ms, is_owners=is_owners
    )
    # Nothing was ever sent to somebody who is not known, so no message can be stale.
    if changed and known:
        decision.profile_version = found.version
        decision.audit = profile_audit.changed(choices, found, tenant, user, now_ms)
    _decide_waited(context, decision, found, tenant, user, now_ms)
    return decision


def _take_over(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    tenant: str,
    user: str,
    profile: Profile,
    now_ms: int,
    read_ms: int,
    *,
    is_owners: bool,
) -> bool:
    """Take a profile into the record, with what follows for blocks, opt-outs and holds.

    Returns:
        Whether it changes where the user is reached or what the user wants. Where only its version or its
        attributes are new, the record is touched, and no message is stale.
    """
    before, noted = record.contact_points, (record.written_version, record.attributes)
    snoozed_ms, hours = record.snoozed_until_ms, _hours(record)
    changed = profiles.adopt(record, user, profile)
    decision.touched = changed or noted != (record.written_version, record.attributes)
    if changed:
        record.profile_ms = max(read_ms, record.profile_ms)
        receipts.name_again(record, before, now_ms, context.policy.blocked_max)
        _follow(context, decision, record, tenant, (snoozed_ms, *hours), now_ms)
    if record.opt_outs and opt_outs.end(record, profile.version, changed=changed and is_owners):
        decision.touched = True
    if profile.suppressed and corrections.block_listed(record, profile.suppressed, now_ms, context.policy):
        changed = decision.touched = True
    return changed


def _follow(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    tenant: str,
    before: tuple[int, str, int, int],
    now_ms: int,
) -> None:
    """Move what is held where the snooze ends earlier than `before`, or the hours or the zone are others.

    A snooze that ends later moves nothing: what it holds is held on when it is due.
    """
    if not record.holds:
        return
    snoozed_ms, *hours = before
    moved = (*hours,) != _hours(record)
    if moved or record.snoozed_until_ms < snoozed_ms:
        follow_hours(context, decision, record, tenant, now_ms)
    if moved:
        follow_clock(context, decision, record, tenant, before[1], now_ms)


def _hours(record: UserRecord) -> tuple[str, int, int]:
    return record.timezone, record.quiet_start_min, record.quiet_end_min


def _keep_text(
    context: DecisionContext, decision: Decision, change: ProfileChange, raw: RawRecord, *, had_text: bool
) -> None:
    """Keep the text of a profile where receipts correct profiles; drop it where they do not any more."""
    wanted = change.profile is not None and change.tenant in context.correcting
    if not wanted and not had_text:
        return
    decision.profile_text = text_of(raw) if wanted else NO_TEXT
    if wanted != had_text and decision.record is not None:
        decision.record.has_text, decision.touched = wanted, True


def _decide_waited(
    context: DecisionContext, decision: Decision, record: UserRecord, tenant: str, user: str, now_ms: int
) -> None:
    """Decide in order what waited for a profile; a cancel event among it cancels what came before it, too."""
    if not record.waiting:
        return
    decision.touched = True
    decision.cancelled_timers.append(CancelTimer(PROFILE_TIMER, record.waiting[0].deadline_ms))
    waited = [waiting.read(one.event, tenant, user) for one in record.waiting]
    record.waiting = ()
    cancels = WaitingCancels(waited)
    for place, one in enumerate(waited):
        if cancels.has(place):
            whole = WholeEvent(one.event, now_ms, context.version_of(one.event.tenant))
            cancels.decide(context, decision, record, whole, place, one.held.hold_count)
        else:
            decide_waiting(context, decision, record, one, now_ms, cancels.of(place))


def _erase(
    context: DecisionContext, record: UserRecord | None, tenant: str, user: str, now_ms: int, read_ms: int
) -> Decision:
    """Forget a user: all that is held gets its final outcome, and queued messages will return to it.

    Only the time of the erasure stays for a while, against forwarded copies of the profile.
    """
    nobody = record is None or record.is_nobody()
    left = UserRecord(profile_ms=read_ms, erased_ms=now_ms) if read_ms else record if nobody else None
    decision = Decision(left, bool(read_ms))
    decision.audit = profile_audit.erased(tenant, user, now_ms)
    if record is None or nobody:
        return decision
    decision.touched = True
    decision.profile_version = -now_ms
    erased, version = Suppress(Reason.ERASED), context.version_of(tenant)
    if record.waiting:
        decision.cancelled_timers.append(CancelTimer(PROFILE_TIMER, record.waiting[0].deadline_ms))
    for one in record.waiting:
        event = waiting.read(one.event, tenant, user).event
        finish(decision, WholeEvent(event, now_ms, version), erased)
    for timer_id, ref in record.holds.items():
        decision.cancelled_timers.append(CancelTimer(timer_id, ref.due_ms))
        finish(decision, HeldSubject(ref, tenant, user, now_ms, version), erased)
    return decision
