"""Admits a notification to which no rule of the whole objects: on each channel that passes, counted once."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from tocsin.catalog.compile import CompiledChannel, CompiledStep
from tocsin.decision import asking, called_back, escalation, limits, replacing, slots
from tocsin.decision.effects import Decision
from tocsin.decision.endings import finish
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.holding import hold
from tocsin.decision.policy import GatePolicy
from tocsin.decision.routing import routes
from tocsin.decision.rules import Rules
from tocsin.decision.rules.channel_window import closes_at
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.verdict import Detail, Hold, Suppress
from tocsin.model.message import Slots
from tocsin.model.statuses import Reason, Status

# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_PART, _ESCALATION = Stage.PART, Reason.ESCALATION
_OF_CHANNELS: Final[Detail] = {"conditions_of": "each channel"}
_NO_SLOTS: Final[Mapping[str, Slots]] = {}


def route(
    decision: Decision, evaluation: Evaluation, subject: EventSubject, rules: Rules, policy: GatePolicy
) -> None:
    """Send on each channel that passes, and count the notification once.

    A channel that a rule holds waits as a part. The notification is counted now all the same.
    """
    notification = evaluation.notification
    channels: Sequence[CompiledChannel] = subject.match.channels
    if evaluation.stage is _PART:
        _send(decision, evaluation, subject, channels, rules, policy)
        return
    asked = subject.event.asked
    names = asked.channels if asked is not None else ()
    if notification.tracked:
        channels, later = escalation.plan(notification, channels, names)
        reached = _escalate(decision, evaluation, subject, channels, later, rules, policy)
    else:
        channels = asking.narrowed(channels, names)
        reached = _send(decision, evaluation, subject, channels, rules, policy)
    if reached:
        if notification.counters:
            counts, zone = evaluation.state.counts, evaluation.recipient.timezone
            limits.count(counts, notification.counters, evaluation.now_ms, zone)
    elif not channels:
        finish(decision, subject, Suppress(Reason.NO_MATCH, _OF_CHANNELS))


def _send(
    decision: Decision,
    evaluation: Evaluation,
    subject: EventSubject,
    channels: Sequence[CompiledChannel],
    rules: Rules,
    policy: GatePolicy,
    later: int = 0,
) -> int:
    """Admit a message to each contact point that passes; return how many channels take part in its slot.

    Those are the channels that are admitted or held, and those that could not be held: these give it back at
    once. It is 0 if none is admitted or held. `later` channels are steps that take part in the slot, too.
    """
    admitted: CompiledChannel | None = None
    unheld: list[CompiledChannel] = []  # a call of `list[...]` takes 2 µs
    reached = 0
    counts, now_ms, zone = evaluation.state.counts, evaluation.now_ms, evaluation.recipient.timezone
    found = routes(evaluation, channels, rules)
    taken = _NO_SLOTS
    if evaluation.notification.is_limited or subject.slots is not None:
        own = 0 if evaluation.stage is _PART else evaluation.notification.counted_on
        taken = slots.taken(found, own, subject.slots, later)
    for channel, point, verdict, rule in found:
        if verdict is not None:
            if not isinstance(verdict, Hold):
                finish(decision, subject, verdict, channel, point, rule)
                continue
            evaluation.rule, evaluation.channel = rule, channel
            if _hold_part(decision, evaluation, subject, verdict, taken, policy):
                reached += 1
            else:
                unheld.append(channel)
            continue
        assert point is not None, "a target passes only where there is one"
        send_by_ms = 0 if channel.window is None else closes_at(channel, zone, now_ms)
        message, outcome = subject.admitted(
            evaluation.recipient, evaluation.expires_ms, channel, point, taken.get(channel.name), send_by_ms
        )
        if channel.failover_ms:
            message = replace(message, failover_ms=channel.failover_ms)
        if evaluation.state.cancelled:
            message = called_back.behind(evaluation.state, message)
        decision.messages.append(message)
        decision.outcomes.append(outcome)
        if channel is not admitted:
            reached += 1
            if channel.counters:
                limits.count(counts, channel.counters, now_ms, zone)
        admitted = channel
    if reached and unheld:
        _give_back(evaluation, subject, unheld, taken, policy)
    if reached and evaluation.state.holds and evaluation.notification.collapse_key is not None:
        older = replacing.older_than_sent(decision, evaluation, subject)
        replacing.collapse(decision, evaluation, older, subject.notification_id, policy)
    return reached + len(unheld) if reached else 0


def _escalate(
    decision: Decision,
    evaluation: Evaluation,
    subject: EventSubject,
    first: Sequence[CompiledChannel],
    later: Sequence[CompiledStep],
    rules: Rules,
    policy: GatePolicy,
) -> int:
    """Send on the first channels, and hold the later steps; nothing waits for channels that reach nobody."""
    reached = _send(decision, evaluation, subject, first, rules, policy, len(later))
    skipped_ms = 0
    while first and later and not reached:
        skipped_ms = later[0].after_ms
        first, later = escalation.skip(later)
        reached = _send(decision, evaluation, subject, first, rules, policy, len(later))
    if not reached:
        return 0
    now_ms, last_ms, evaluation.rule = evaluation.now_ms, evaluation.now_ms, ""
    notification, own = evaluation.notification, None
    if notification.is_limited:
        own = Slots(0, reached + len(later), counted_ms=now_ms, counters=notification.counted_on)
    unheld: list[CompiledChannel] = []
    for step in later:
        last_ms = now_ms - skipped_ms + step.after_ms
        part = subject.as_part(step.channel.name, step.unless, own)
        if not hold(decision, evaluation, part, Hold(last_ms, _ESCALATION), policy):
            unheld.append(step.channel)
    if own is not None and unheld:
        _give_back(evaluation, subject, unheld, {one.name: own for one in unheld}, policy)
    if len(unheld) < len(later) or notification.stop_when_seen:
        escalation.track(evaluation.state, notification, subject.notification_id, last_ms, policy)
    return reached + len(later)


def _hold_part(
    decision: Decision,
    evaluation: Evaluation,
    subject: EventSubject,
    verdict: Hold,
    taken: Mapping[str, Slots],
    policy: GatePolicy,
) -> bool:
    """Hold one channel apart from the others; return whether it is held."""
    channel = evaluation.channel
    assert channel is not None, "a rule of a channel was asked about one"
    own = subject.slots
    if own is None and channel.name in taken:
        own = replace(taken[channel.name], counted_ms=evaluation.now_ms)
    return hold(decision, evaluation, subject.as_part(channel.name, slots=own), verdict, policy)


def _give_back(
    evaluation: Evaluation,
    subject: EventSubject,
    unheld: Sequence[CompiledChannel],
    taken: Mapping[str, Slots],
    policy: GatePolicy,
) -> None:
    """Let channels that could not be held take no part in the slot of their notification.

    Only a notification that others of its channels have reached takes one.
    """
    if evaluation.stage is _PART:
        return
    notification, now_ms = evaluation.notification, evaluation.now_ms
    for channel in unheld:
        if channel.name not in taken:
            continue
        own = replace(taken[channel.name], counted_ms=now_ms)
        about = (notification.name, subject.notification_id, channel.name, "")
        unsent = slots.Unsent(*about, own, notification.category)
        slots.give_back(evaluation.state, notification, unsent, now_ms, policy.failed_max)


def readmit(decision: Decision, evaluation: Evaluation, subject: MessageSubject) -> None:
    """Send a returned message again. A replay of one is a message of its own, with an outcome of its own.

    The version is noted again where the ledger called a message stale that was not: when a user was erased
    and came back, the ledger still has the erasure.
    """
    point, channel, recipient = evaluation.contact_point, evaluation.channel, evaluation.recipient
    assert point is not None, "a target passes only where there is one"
    assert channel is not None, "a returned message has one"
    retry, version = subject.retry, recipient.version
    if version and retry.reason == Reason.STALE_PROFILE and retry.message.profile_version >= version:
        decision.profile_version = version
    send_by_ms = closes_at(channel, recipient.timezone, subject.now_ms)
    if retry.reason == Reason.REPLAYED:
        decision.outcomes.append(subject.outcome(Status.ADMITTED, Reason.NONE))
    elif retry.reason == Reason.AWAITING_RECEIPT:
        decision.outcomes.append(subject.outcome(Status.ADMITTED, Reason.NO_RECEIPT))
    message = subject.readmitted(recipient, point, send_by_ms)
    decision.messages.append(called_back.behind(evaluation.state, message))
