"""Lets a newer notification take the place of what is held of older ones, by its collapse key.

Of those with one key only the newest is sent: what is held of an older one is merged into a newer one that is
admitted or held.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from tocsin.decision import slots
from tocsin.decision.effects import Decision
from tocsin.decision.endings import Ending, end_held
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.policy import GatePolicy
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import HoldRef
from tocsin.decision.verdict import Collapse, Hold

COLLAPSE_RULE: Final = "collapse_key"
"""Name of the word of the catalog by which something held ends, for `rule` of its outcome."""


class Place(NamedTuple):
    """What a notification that is to be held replaces, and what replaces it.

    Attributes:
        older: timers of what is held of older ones with its collapse key.
        slot: the one of them that has a slot in the queue of the limit for which it is held; empty for none.
        due_ms: when that slot is due.
        newer: the notification id of a newer one that takes its place; empty for none.
    """

    older: tuple[str, ...] = ()
    slot: str = ""
    due_ms: int = 0
    newer: str = ""


NO_PLACE: Final = Place()


def collapse(
    decision: Decision,
    evaluation: Evaluation,
    older: Collection[str],
    into: str,
    policy: GatePolicy,
    slot: str = "",
) -> None:
    """Merge what is held of older ones.

    Args:
        decision: takes the effects.
        evaluation: of the newer one.
        older: the timers of the older ones.
        into: the notification id of the newer one.
        policy: bounds of the user's record.
        slot: the timer whose slot in the queue of a limit the newer one takes; empty for none.
    """
    if not older:
        return
    state, ending, verdict = evaluation.state, _ending(evaluation), Collapse(into)
    for timer_id in older:
        leaves = timer_id != slot
        ref = end_held(decision, state, timer_id, verdict, ending, rule=COLLAPSE_RULE, leaves_slot=leaves)
        if (unsent := slots.unsent_hold(ref)) is not None:
            now_ms, most = evaluation.now_ms, policy.failed_max
            evaluation.freed += tuple(slots.give_back(state, evaluation.notification, unsent, now_ms, most))


def older_than(
    evaluation: Evaluation, subject: EventSubject, channels: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the timers of what a newer notification takes the place of, by its collapse key.

    Args:
        evaluation: of the newer one.
        subject: the newer one.
        channels: those on which it goes out; None where that is open, so that it replaces all.
    """
    key = subject.collapse_id if _has_keys(evaluation) else b""
    if not key:
        return ()
    return tuple(
        timer_id
        for timer_id, ref in evaluation.state.holds.items()
        if ref.collapse_key == key
        and _is_other(ref, subject)
        and not _is_newer(evaluation, ref)
        and (channels is None or ref.channel == "*" or ref.channel in channels)
    )


def older_than_sent(decision: Decision, evaluation: Evaluation, subject: EventSubject) -> tuple[str, ...]:
    """Return the timers of what a newer notification takes the place of on the channels it was sent on."""
    if not _has_keys(evaluation):
        return ()
    messages = [one for one in decision.messages if one.notification_id == subject.notification_id]
    return older_than(evaluation, subject, [one.channel for one in messages])


def _has_keys(evaluation: Evaluation) -> bool:
    """Return whether anything held has a collapse key: a hash of a key takes longer than a look."""
    for ref in evaluation.state.holds.values():  # noqa: SIM110 - a generator takes three times as long
        if ref.collapse_key:
            return True
    return False


def place_of(evaluation: Evaluation, subject: EventSubject | MessageSubject, verdict: Hold) -> Place:
    """Find what a notification or message that is to be held replaces, and what replaces it."""
    if not evaluation.state.holds or evaluation.notification.collapse_key is None:
        return NO_PLACE
    if isinstance(subject, MessageSubject):
        return _place_of_message(evaluation, subject)
    holds = evaluation.state.holds
    if evaluation.stage is not Stage.EVENT and (newer := _newer_than(evaluation, subject)):
        return Place(newer=newer)
    older = older_than(evaluation, subject, (subject.part,) if subject.part else None)
    queue = [one for one in older if verdict.counter and holds[one].counter == verdict.counter]
    slot = min((one for one in queue if not holds[one].spare), key=lambda one: holds[one].due_ms, default="")
    return Place(older, slot, holds[slot].due_ms if slot else 0)


def _place_of_message(evaluation: Evaluation, subject: MessageSubject) -> Place:
    """Compare a returned message with all that is held of its collapse key, on its channel or whole.

    When the message was admitted, what was held of older notifications was merged into its own. So of
    notifications that are still held all are newer. Of messages to the same target the events tell.
    """
    message, key, older = subject.retry.message, subject.collapse_id, list[str]()
    for timer_id, ref in evaluation.state.holds.items():
        if not key or ref.collapse_key != key or ref.notification_id == message.notification_id:
            continue
        if timer_id[0] != TimerKind.MESSAGE:
            if ref.channel in ("*", message.channel):
                return Place(newer=ref.notification_id)
        elif (ref.channel, ref.target) == (message.channel, subject.target_key):
            if _offset(ref.origin) > message.origin.offset:
                return Place(newer=ref.notification_id)
            older.append(timer_id)
    return Place(tuple(older))


def _newer_than(evaluation: Evaluation, subject: EventSubject) -> str:
    """Return the id of a newer notification that is held with the collapse key; empty for none.

    The key may have come to what was held before it: by an edit of the catalog, or with a profile.
    """
    key = subject.collapse_id if _has_keys(evaluation) else b""
    return next(
        (
            ref.notification_id
            for ref in evaluation.state.holds.values()
            if key
            and ref.collapse_key == key
            and _is_other(ref, subject)
            and _is_newer(evaluation, ref)
            and (not subject.part or ref.channel in ("*", subject.part))
        ),
        "",
    )


def _is_newer(evaluation: Evaluation, ref: HoldRef) -> bool:
    """Return whether a hold is of a later event than what is decided; a new event is the last of all.

    Events of two topics or partitions have no order; there, what is decided counts as the later one.
    """
    subject = evaluation.subject
    if evaluation.stage is Stage.EVENT or not isinstance(subject, EventSubject):
        return False
    place, _, offset = ref.origin.rpartition("/")
    own_place, _, own_offset = subject.origin.rpartition("/")
    return place == own_place and int(offset) > int(own_offset)


def _is_other(ref: HoldRef, subject: EventSubject) -> bool:
    """Return whether a hold is of another notification of the same name."""
    return (
        ref.notification == subject.match.notification.name and ref.notification_id != subject.notification_id
    )


def _offset(origin: str) -> int:
    return int(origin.rpartition("/")[2])


def _ending(evaluation: Evaluation) -> Ending:
    subject = evaluation.subject
    whose = subject.event if isinstance(subject, EventSubject) else subject.retry.message
    return Ending(
        whose.tenant, whose.user, evaluation.now_ms, evaluation.notification.outcome.catalog_version
    )
