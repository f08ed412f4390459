"""Decides a receipt: it is logged, blocks or lifts, opts out, and makes what waits needless."""

from tocsin.decision import corrections, failover, receipts
from tocsin.decision.context import DecisionContext
from tocsin.decision.effects import DeadLetter, Decision
from tocsin.decision.endings import Ending
from tocsin.decision.needless import note_level
from tocsin.decision.on_unsent import end_unsent, on_unsent
from tocsin.decision.opt_outs import opt_in, opt_out
from tocsin.decision.slots import Unsent
from tocsin.decision.suppressions import AddressReport
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import Cancel
from tocsin.formats.profile_corrections import Correction
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason


def on_receipt(
    context: DecisionContext, record: UserRecord | None, receipt: ReceiptEvent, now_ms: int, raw: RawRecord
) -> Decision:
    """Log a receipt; it may block contact points, lift blocks, opt out, and make what waits needless."""
    decision = Decision(record)
    kind = receipts.RECEIPTS.get(receipt.kind)
    if kind is None:
        decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, receipts.UNKNOWN_KIND))
        return decision
    if kind.frees:
        return _on_failed(context, decision, record, receipt, now_ms, raw)
    targets = receipts.targets_of(record, receipt)
    if receipts.opts_in(receipt, kind):
        decision.touched = record is not None and opt_in(record, receipt.category)
    elif kind.lifts or receipts.blocks(receipt, kind):
        record = _block(context, decision, record, receipt, kind, targets, now_ms)
        if not targets:
            decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, receipts.NO_TARGET))
    elif kind.opts_out:
        record = _opt_out(context, decision, record, receipt)
    version = context.version_of(receipt.tenant)
    outcome = receipts.receipt_outcome(receipt, kind, raw, targets, now_ms, version)
    decision.outcomes.append(outcome)
    level = receipts.level_of(receipt, kind)
    if level and receipt.notification_id and record is not None and not record.is_nobody():
        note_level(context, decision, record, receipt, level, now_ms)
        if receipt.message_id:
            failover.on_receipt(context, decision, record, receipt, level, now_ms)
    for timer_id in receipts.cancelled(record, receipt, kind) if record else ():
        assert record is not None, "only a record has timers"
        _cancel(context, decision, record, receipt, timer_id, now_ms)
    return decision


def _on_failed(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord | None,
    receipt: ReceiptEvent,
    now_ms: int,
    raw: RawRecord,
) -> Decision:
    """Give the slots of a message back that was not sent; delivery has logged it."""
    if receipt.slots is None:
        decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, receipts.NO_SLOTS))
    elif record is not None:
        about = (receipt.notification, receipt.notification_id, receipt.channel, receipt.message_id)
        unsent = Unsent(*about, receipt.slots, receipt.category)
        on_unsent(context, decision, record, receipt.tenant, unsent, now_ms)
    return decision


def _block(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord | None,
    receipt: ReceiptEvent,
    kind: receipts.ReceiptKind,
    targets: tuple[str, ...],
    now_ms: int,
) -> UserRecord | None:
    """Block the contact points of a receipt or lift their blocks; return the record of then."""
    found = record or UserRecord()
    before = {target: found.blocked.get(target, 0) > 0 for target in targets}
    decision.touched = _set_blocks(context, found, receipt, kind, targets, now_ms)
    if not decision.touched:
        return record
    decision.record = found
    changed = [target for target in targets if before[target] != (found.blocked.get(target, 0) > 0)]
    if found.version and changed and not kind.lifts:
        # What still queues must not go to the contact point: the ledger takes it for stale.
        decision.profile_version = found.version = found.version + 1
    if changed and found.has_text and receipt.tenant in context.correcting:
        if kind.lifts:
            decision.correction = corrections.lifted(found, changed)
        else:
            reason = kind.reason.value or receipt.reason or receipt.kind
            at_ms = receipts.reported_ms(receipt, now_ms)
            decision.correction = corrections.blocked(found, changed, reason, at_ms)
    return found


def _opt_out(
    context: DecisionContext, decision: Decision, record: UserRecord | None, receipt: ReceiptEvent
) -> UserRecord | None:
    """Switch off what a user unsubscribes from; return the record of then."""
    found = record or UserRecord()
    if not opt_out(found, receipt.category):
        return record
    decision.record, decision.touched = found, True
    if found.version:
        decision.profile_version = found.version = found.version + 1
    if found.has_text and receipt.tenant in context.correcting:
        decision.correction = Correction(off=(receipt.category,))
    return found


def on_address_report(
    context: DecisionContext, record: UserRecord | None, report: AddressReport, now_ms: int, raw: RawRecord
) -> Decision:
    """Suppress an address for all users of a tenant in a key group, or lift that.

    Args:
        context: the catalog in force.
        record: the record of the address, or None.
        report: the receipt; one key group of all logs it.
        now_ms: the time of the decision.
        raw: the record as it was read.
    """
    decision, receipt, targets = Decision(record), report.receipt, (report.target,)
    kind = receipts.RECEIPTS.get(receipt.kind)
    if kind is None:
        if report.is_logged:
            decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, receipts.UNKNOWN_KIND))
        return decision
    if kind.lifts or receipts.blocks(receipt, kind):
        decision.record = record = record or UserRecord()
        decision.touched = _set_blocks(context, record, receipt, kind, targets, now_ms)
    if report.is_logged and kind.status is not None:
        version = context.version_of(receipt.tenant)
        outcome = receipts.receipt_outcome(receipt, kind, raw, targets, now_ms, version)
        decision.outcomes.append(outcome)
    return decision


def _set_blocks(
    context: DecisionContext,
    record: UserRecord,
    receipt: ReceiptEvent,
    kind: receipts.ReceiptKind,
    targets: tuple[str, ...],
    now_ms: int,
) -> bool:
    """Block the contact points of a receipt or lift their blocks; return whether anything changed."""
    change = receipts.lift if kind.lifts else receipts.block
    at_ms, most = receipts.reported_ms(receipt, now_ms), context.policy.blocked_max
    changed = [change(record, target, at_ms, most) for target in targets]
    return any(changed)


def _cancel(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    receipt: ReceiptEvent,
    timer_id: str,
    now_ms: int,
) -> None:
    """Cancel a timer of a notification whose receipt makes it needless."""
    ending = Ending(receipt.tenant, receipt.user, now_ms, context.version_of(receipt.tenant))
    end_unsent(context, decision, record, timer_id, Cancel(Reason.NONE, {"receipt": receipt.kind}), ending)
