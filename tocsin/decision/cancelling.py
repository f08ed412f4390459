"""Cancels what is held for a user: as an event of type `tocsin.cancel` asks, or a newer one with its key.

Its data name one by `notification_id`, or all that have a `cancel_key`; with `notification` only those so
named. What was admitted and still queues for a provider is called back (`tocsin.decision.called_back`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tocsin.decision import called_back, waiting
from tocsin.decision.context import DecisionContext
from tocsin.decision.effects import Decision
from tocsin.decision.endings import Ending, dead_letter, finish
from tocsin.decision.escalation import forget_if_over
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.on_unsent import end_unsent
from tocsin.decision.rules.duplicate_key import duplicate_key
from tocsin.decision.subjects import EventSubject, WholeEvent, cancel_id
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.decision.verdict import Cancel, Detail, Suppress
from tocsin.decision.waiting import Waited
from tocsin.errors import DecodeError
from tocsin.model.event import CANCEL, Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

CANCEL_RULE: Final = "cancel_key"
"""Name of the word of the catalog by which something held ends, for `rule` of its outcome."""
NAMES_NOTHING: Final = (
    'data: names nothing to cancel; send {"notification_id": …}, or {"cancel_key": …},'
    ' to which "notification" may be added'
)


class _Data(msgspec.Struct, frozen=True):
    notification_id: str | None = None
    notification: str | None = None
    cancel_key: str | int | float | None = None


class CancelRequest(msgspec.Struct, frozen=True):
    """What an event asks to cancel; empty fields name nothing.

    Attributes:
        origin: of the event; outcomes of what it cancels have it.
        cancel_key: the hash of the key.
    """

    origin: str
    notification_id: str
    notification: str
    cancel_key: bytes

    def names(self, notification_id: str, notification: str, cancel_key: bytes) -> bool:
        """Return whether a notification is to be cancelled."""
        if self.notification_id:
            return notification_id == self.notification_id
        return cancel_key == self.cancel_key and self.notification in ("", notification)

    @property
    def verdict(self) -> Cancel:
        """Return the verdict on what it names."""
        return Cancel(Reason.CANCELLED_BY_EVENT, {"by": self.origin})


_decode = msgspec.json.Decoder(_Data).decode


def request_of(event: Event) -> CancelRequest:
    """Read the data of a cancel event.

    Raises:
        DecodeError: they name nothing.
    """
    try:
        data = _decode(event.data)
    except msgspec.DecodeError as error:
        raise DecodeError(Reason.BAD_FIELD, NAMES_NOTHING) from error
    key = "" if data.cancel_key is None else str(data.cancel_key)
    if not data.notification_id and not key:
        raise DecodeError(Reason.BAD_FIELD, NAMES_NOTHING)
    named, notification = data.notification_id or "", data.notification or ""
    return CancelRequest(str(event.origin), named, notification, cancel_id(key))


def on_cancel(
    context: DecisionContext, decision: Decision, record: UserRecord, whole: WholeEvent, raw: RawRecord
) -> bool:
    """Decide a cancel event. Where events wait for the user's profile, it waits behind them for the rest.

    Returns:
        Whether it is accepted; otherwise it is a dead letter.
    """
    try:
        request = request_of(whole.event)
    except DecodeError as error:
        dead_letter(decision, whole, raw, whole.event, error.reason, str(error))
        return False
    ended = _end_held(context, decision, record, whole, request)
    _call_back(context, decision, record, whole, request)
    if record.waiting:
        return waiting.wait(decision, record, whole, raw, context.policy, ended)
    _finish(decision, whole, ended)
    return True


class WaitingCancels:
    """The cancel events among events that waited for a profile. Each cancels what comes before it, too.

    Without this, an event would be decided before the event that cancels it.
    """

    def __init__(self, waited: Sequence[Waited]) -> None:
        self._requests = {
            place: request_of(one.event)
            for place, one in enumerate(waited)
            if one.event.type == CANCEL and one.error is None
        }
        self._ended = Counter[int]()

    def has(self, place: int) -> bool:
        """Return whether the event at `place` is one."""
        return place in self._requests

    def of(self, place: int) -> Callable[[EventSubject], Cancel | None] | None:
        """Return what tells whether a notification of the event at `place` is cancelled; None if none is."""
        if not self._requests or place >= max(self._requests):
            return None
        return lambda subject: self._verdict(place, subject)

    def decide(
        self,
        context: DecisionContext,
        decision: Decision,
        record: UserRecord,
        whole: WholeEvent,
        place: int,
        held: int,
    ) -> None:
        """Decide the cancel event at `place`, which had cancelled `held` notifications when it came."""
        ended = _end_held(context, decision, record, whole, self._requests[place])
        _finish(decision, whole, ended + held + self._ended[place])

    def _verdict(self, place: int, subject: EventSubject) -> Cancel | None:
        name = subject.match.notification.name
        for later, request in self._requests.items():
            if later > place and request.names(subject.notification_id, name, subject.cancel_id):
                self._ended[later] += 1
                return request.verdict
        return None


def reschedule(context: DecisionContext, decision: Decision, evaluation: Evaluation) -> None:
    """End what is held of the same notification with the same cancel key, unless this is a duplicate."""
    subject, holds = evaluation.subject, evaluation.state.holds
    assert isinstance(subject, EventSubject), "only the notification of an event is rescheduled"
    name, nid = evaluation.notification.name, subject.notification_id
    mine = [timer_id for timer_id, ref in holds.items() if ref.notification == name and ref.cancel_key]
    if not mine or not (key := subject.cancel_id):  # a hash takes longer than a look at what is held
        return
    older = [one for one in mine if holds[one].cancel_key == key and holds[one].notification_id != nid]
    if not older or (evaluation.notification.dedup_key is not None and duplicate_key(evaluation) is not None):
        return
    event, verdict = subject.event, Cancel(Reason.RESCHEDULED, {"by": nid})
    ending = Ending(event.tenant, event.user, evaluation.now_ms, context.version_of(event.tenant))
    for timer_id in older:
        end_unsent(context, decision, evaluation.state, timer_id, verdict, ending, CANCEL_RULE)


def _end_held(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    whole: WholeEvent,
    request: CancelRequest,
) -> int:
    """End all that is held of the notifications that an event names; return how many they are."""
    event = whole.event
    named = {ref.notification_id for ref in record.holds.values() if _is_named(request, ref)}
    ending = Ending(event.tenant, event.user, whole.now_ms, whole.version)
    for timer_id in [one for one, ref in record.holds.items() if ref.notification_id in named]:
        end_unsent(context, decision, record, timer_id, request.verdict, ending, CANCEL_RULE)
    for notification_id in named:
        forget_if_over(record, notification_id)
    return len(named)


def _call_back(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    whole: WholeEvent,
    request: CancelRequest,
) -> None:
    """Let what queues for a provider return. An inline recipient has no version: there the time tells."""
    about = (request.notification_id, request.cancel_key, request.notification)
    at_ms = called_back.remember(record, *about, whole.event.origin, whole.now_ms, context.policy)
    if record.version:
        decision.profile_version = record.version = record.version + 1
    else:
        decision.profile_version, decision.keeps_user = -(at_ms + 1), True


def _is_named(request: CancelRequest, ref: HoldRef) -> bool:
    return request.names(ref.notification_id, ref.notification, ref.cancel_key)


def _finish(decision: Decision, whole: WholeEvent, ended: int) -> None:
    detail: Detail = {"cancelled": ended}
    reason = Reason.CANCEL_APPLIED if ended else Reason.NOTHING_TO_CANCEL
    finish(decision, whole, Suppress(reason, detail if ended else None))
