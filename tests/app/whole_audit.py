"""The audit as one whole in memory: a second, plain statement of `tocsin.app.audit`, to compare it with.

The audit takes every event origin, every message and every outcome that the topics hold, in any order and
with copies. It shares no counter with the code that it audits.

Topics lose their oldest records at different times, so deleted outcomes may explain an event or a message.
`unexplained` lists such events and messages; `recall` enters the outcomes that ClickHouse still has of them.
"""

from collections import Counter
from collections.abc import Iterable

from tocsin.app.audit import Unexplained
from tocsin.app.audit_result import Reconciliation
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import FINAL, Reason, Status


class Audit:
    """Collects events, messages and outcomes, and reconciles them.

    >>> audit = Audit()
    >>> audit.event("events/0/7")
    >>> audit.reconcile().missing
    ['events/0/7']
    """

    def __init__(self) -> None:
        self._events: set[str] = set()
        self._unread: set[str] = set()
        self._published: set[str] = set()
        self._finals: dict[str, set[str]] = {}
        self._open: dict[str, Outcome] = {}
        self._decided: set[str] = set()
        self._seen: set[str] = set()
        self._tracked: set[str] = set()
        self._statuses: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._origins: set[str] = set()
        self._admitted: set[str] = set()
        self._tried: set[str] = set()
        self._resent: set[str] = set()
        self._merged_into: set[str] = set()
        self._notifications: set[str] = set()
        self._recalled = 0
        self._undecodable = 0

    def event(self, origin: str, *, read: bool = True) -> None:
        """Enter an event by its origin; `read` tells whether its shard has durably read it."""
        (self._events if read else self._unread).add(origin)

    def message(self, message_id: str) -> None:
        """Enter a message of a message topic."""
        self._published.add(message_id)

    def undecodable(self) -> None:
        """Enter a record of a message or outcome topic that cannot be decoded; it has a dead letter."""
        self._undecodable += 1

    def outcome(self, outcome: Outcome, *, tracked: bool = True) -> None:
        """Enter an outcome; copies (same id) are counted once.

        Args:
            outcome: the outcome.
            tracked: whether the tracker has committed its offset, so that ClickHouse must have it.
        """
        if tracked:
            self._tracked.add(outcome.outcome_id)
        if outcome.outcome_id in self._seen:
            return
        self._seen.add(outcome.outcome_id)
        self._statuses[outcome.status] += 1
        if outcome.reason:
            self._reasons[outcome.reason] += 1
        self._origins.add(outcome.origin)
        self._notifications.add(outcome.notification_id)
        if outcome.status == Status.MERGED and "into" in outcome.detail:
            self._merged_into.add(str(outcome.detail["into"]))
        subject = _subject(outcome)
        if outcome.status in FINAL:
            self._finals.setdefault(subject, set()).add(outcome.outcome_id)
        elif outcome.status in _OPENING:
            self._open[subject] = outcome
        if outcome.status == Status.SENT and outcome.reason == Reason.RESENT_AFTER_UNKNOWN:
            self._resent.add(subject)
        if outcome.status == Status.ADMITTED:
            self._admitted.add(subject)
        elif outcome.status == Status.RETRYING:
            self._tried.add(subject)
        if outcome.status != Status.HELD:
            self._decided.update((outcome.origin, outcome.notification_id, _channel_of(outcome)))
        elif outcome.notification_id:
            self._decided.add(outcome.origin)
            if outcome.channel != _WHOLE:
                # A channel that is held apart shows that the notification as a whole was decided.
                self._decided.add(outcome.notification_id)

    def recall(self, outcome: Outcome) -> None:
        """Enter an outcome that only ClickHouse still has; of one subject the newest first.

        It is older than all outcomes read from the topic. So it does not say where a message is now if one of
        those does.
        """
        if outcome.outcome_id in self._seen:
            return
        subject = _subject(outcome)
        newer = self._open.get(subject)
        self.outcome(outcome)
        if newer is not None:
            self._open[subject] = newer
        self._recalled += 1

    def unexplained(self) -> Unexplained:
        """List events and messages without outcomes: they are lost, or Kafka has deleted their outcomes."""
        return Unexplained(
            self._events - self._origins,
            self._published - self._admitted - self._finals.keys(),
            self._merged_into - self._notifications,
        )

    @property
    def outcome_ids(self) -> set[str]:
        """Ids of all entered outcomes, without copies."""
        return self._seen

    def reconcile(self, stored: Iterable[str] | None = None, *, whole: bool = True) -> Reconciliation:
        """Compare all that was entered.

        Args:
            stored: the outcome ids in ClickHouse; None if it was not asked.
            whole: whether every outcome was entered. If not, events and messages without outcomes count as
                `unjudged` instead of `missing` or `unannounced`.
        """
        there = None if stored is None else set(stored)
        events = self._events | self._unread
        held, flying = (origins & events for origins in self._waiting())
        lost = self.unexplained()
        return Reconciliation(
            events=len(events),
            settled=len((events & self._origins) - held - flying),
            held=len(held - flying),
            in_flight=len(flying),
            unread=len(self._unread - self._origins),
            missing=sorted(lost.origins) if whole else [],
            doubled=sorted(subject for subject, finals in self._finals.items() if len(finals) > 1),
            unsent=sorted(self._admitted - self._published - self._tried - self._finals.keys()),
            unannounced=sorted(lost.messages) if whole else [],
            waiting=len(self._seen - self._tracked - (there or set())),
            untracked=-1 if there is None else len(self._tracked - there),
            recalled=self._recalled,
            unjudged=0 if whole else sum(map(len, lost)),
            resent=sorted(self._resent),
            undecodable=self._undecodable,
            statuses=dict(self._statuses),
            reasons=dict(self._reasons),
            orphaned=sorted(lost.digests) if whole else [],
        )

    def _waiting(self) -> tuple[set[str], set[str]]:
        """List the origins of events that are held and of events in flight, by the last outcome."""
        held: set[str] = set()
        flying: set[str] = set()
        for subject, outcome in self._open.items():
            if subject in self._finals or self._superseded(outcome):
                continue
            (held if outcome.status == Status.HELD else flying).add(outcome.origin)
        return held, flying

    def _superseded(self, outcome: Outcome) -> bool:
        """Tell whether a hold before routing was decided: its event or notification has another outcome."""
        if outcome.status != Status.HELD or outcome.message_id:
            return False
        if outcome.channel != _WHOLE:
            return _channel_of(outcome) in self._decided
        return (outcome.notification_id or outcome.origin) in self._decided


_OPENING = frozenset({Status.ADMITTED, Status.HELD, Status.RETRYING})


_WHOLE = "*"


def _channel_of(outcome: Outcome) -> str:
    """Name one channel of a notification."""
    return f"{outcome.notification_id}/{outcome.channel}"


def _subject(outcome: Outcome) -> str:
    """Name the subject of an outcome: a message, a notification on a channel, or an event."""
    if outcome.message_id:
        return outcome.message_id
    if outcome.notification_id:
        return _channel_of(outcome)
    return outcome.origin
