"""Judges the outcomes and messages of some notifications: what is lost, doubled, held or in flight."""

from collections.abc import Iterator
from typing import Final

from tocsin.app.audit_facts import (
    DECIDED,
    FLYING,
    HELD,
    HELD_EVENT,
    SEEN,
    MergeFact,
    MessageFact,
    OutcomeFact,
    StateFact,
    StoredFact,
)
from tocsin.app.audit_result import Fault, Totals
from tocsin.model.statuses import FINAL, Reason, Status

_OPENING: Final = frozenset({Status.ADMITTED, Status.HELD, Status.RETRYING})
_WHOLE: Final = "*"


class NotificationAudit:
    """Takes all facts of some notifications, then tells faults, totals and what their events' state is."""

    def __init__(self) -> None:
        self._seen: dict[str, OutcomeFact] = {}
        self._tracked: dict[str, OutcomeFact] = {}
        self._stored: set[str] = set()
        self._published: dict[str, MessageFact] = {}
        self._late: set[str] = set()
        self._finals: dict[str, dict[str, OutcomeFact]] = {}
        self._open: dict[str, OutcomeFact] = {}
        self._decided: set[str] = set()
        self._admitted: dict[str, OutcomeFact] = {}
        self._tried: set[str] = set()
        self._resent: set[str] = set()

    def add(self, fact: OutcomeFact | MessageFact | StoredFact) -> None:
        """Enter a fact; of one subject in the order in which they happened, recalled ones last."""
        if isinstance(fact, OutcomeFact):
            self._outcome(fact)
        elif isinstance(fact, StoredFact):
            self._stored.add(fact.outcome_id)
        elif fact.late:
            self._late.add(fact.message_id)
        else:
            self._published[fact.message_id] = fact

    def _outcome(self, fact: OutcomeFact) -> None:
        if fact.outcome_id in self._seen:
            if fact.tracked and not fact.recalled:
                self._tracked.setdefault(fact.outcome_id, fact)
            return
        self._seen[fact.outcome_id] = fact
        if fact.tracked:
            self._tracked[fact.outcome_id] = fact
        subject, status = fact.subject, fact.status
        if status in FINAL:
            self._finals.setdefault(subject, {})[fact.outcome_id] = fact
        elif status in _OPENING and not (fact.recalled and subject in self._open):
            # What is recalled is older than all that the topic has: it does not say where a message is now.
            self._open[subject] = fact
        if status == Status.SENT and fact.reason == Reason.RESENT_AFTER_UNKNOWN:
            self._resent.add(subject)
        if status == Status.ADMITTED:
            self._admitted[subject] = fact
        elif status == Status.RETRYING:
            self._tried.add(subject)
        if status != Status.HELD:
            self._decided.update((fact.notification_id, f"{fact.notification_id}/{fact.channel}"))
        elif fact.channel != _WHOLE:
            # A channel that is held apart shows that the notification as a whole was decided.
            self._decided.add(fact.notification_id)

    def totals(self, totals: Totals, *, asked: bool) -> None:
        """Add what was counted; `asked` tells whether ClickHouse was."""
        for fact in self._seen.values():
            totals.statuses[fact.status] += 1
            if fact.reason:
                totals.reasons[fact.reason] += 1
            totals.recalled += fact.recalled
        totals.waiting += len(self._seen.keys() - self._tracked.keys() - (self._stored if asked else set()))
        for message_id in sorted(self._resent):
            totals.resend(message_id)

    def faults(self, *, asked: bool, whole: bool) -> Iterator[Fault]:
        """Name what is doubled or missing.

        Args:
            asked: whether ClickHouse was asked.
            whole: whether every outcome was entered; else a message without outcomes may be explained.
        """
        for subject, finals in sorted(self._finals.items()):
            if len(finals) > 1:
                yield _doubled(subject, list(finals.values()))
        for subject in sorted(self._admitted.keys() - self._published.keys() - self._late - self._ended()):
            yield _unsent(self._admitted[subject])
        if whole:
            yield from (_unannounced(self._published[name]) for name in sorted(self.unexplained()))
        if asked:
            lost = sorted(self._tracked.keys() - self._stored)
            yield from (_unstored(self._tracked[name]) for name in lost)

    def _ended(self) -> set[str]:
        """Name what was tried or has its end: it was published, though its topic may have deleted it."""
        return self._tried | self._finals.keys()

    def unexplained(self) -> set[str]:
        """Name messages of a message topic without an `admitted` or a final outcome."""
        return self._published.keys() - self._admitted.keys() - self._finals.keys()

    def message(self, message_id: str) -> MessageFact:
        """Return a message by its id."""
        return self._published[message_id]

    def states(self) -> Iterator[StateFact]:
        """Say what the outcomes mean for their events; each state of an event once."""
        found = {(fact.origin, state) for fact in self._seen.values() for state in _says(fact)}
        for subject, fact in self._open.items():
            if subject not in self._finals and not self._is_superseded(fact):
                found.add((fact.origin, _open_state(fact)))
        yield from (StateFact(origin, state) for origin, state in sorted(found))

    def _is_superseded(self, fact: OutcomeFact) -> bool:
        """Tell whether a hold before routing was decided: its notification or channel has another outcome."""
        if fact.status != Status.HELD or fact.message_id or not fact.notification_id:
            return False
        return (fact.subject if fact.channel != _WHOLE else fact.notification_id) in self._decided

    def merges(self) -> Iterator[MergeFact]:
        """Name the notifications with an outcome, and those that items were merged into."""
        names = {fact.notification_id for fact in self._seen.values()} - {""}
        yield from (MergeFact(name, known=True) for name in sorted(names))
        for fact in self._seen.values():
            if fact.into and fact.into not in names:
                yield MergeFact(fact.into, origin=fact.origin, place=fact.place, ms=fact.ms)


def _says(fact: OutcomeFact) -> tuple[str, ...]:
    if fact.status == Status.HELD and not fact.notification_id:
        return (SEEN,)
    return SEEN, DECIDED


def _open_state(fact: OutcomeFact) -> str:
    if fact.status != Status.HELD:
        return FLYING
    return HELD if fact.notification_id or fact.message_id else HELD_EVENT


def _doubled(subject: str, finals: list[OutcomeFact]) -> Fault:
    first, said = finals[0], ", ".join(f"{fact.status} ({fact.place or 'ClickHouse'})" for fact in finals)
    what = f"{len(finals)} final outcomes: {said}"
    return Fault("doubled", subject, what, first.place, first.origin, first.ms)


def _unsent(fact: OutcomeFact) -> Fault:
    what = f"admitted, and in no message topic of {fact.channel}; it was never tried"
    return Fault("unsent", fact.subject, what, fact.place, fact.origin, fact.ms)


def _unannounced(fact: MessageFact) -> Fault:
    what = "in a message topic, and no outcome admits it"
    return Fault("unannounced", fact.message_id, what, fact.place, fact.origin, fact.ms)


def _unstored(fact: OutcomeFact) -> Fault:
    what = f"the outcome {fact.status} of {fact.subject} was tracked and is not in ClickHouse"
    return Fault("unstored", fact.outcome_id, what, fact.place, fact.origin, fact.ms)
