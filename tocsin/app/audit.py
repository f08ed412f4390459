"""The books (law 1): every event has its final words, is held, or is in flight; nothing twice, nothing lost.

Pure bookkeeping over what the topics hold: feed it every event origin, every admitted message and every
outcome, in any order, copies included. It shares no counter with the code it judges.

Topics lose their oldest records at different times. What the words that are left do not explain, older ones
may: `unexplained` names it, and `recall` enters what ClickHouse still knows of it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tocsin.model.outcome import Outcome
from tocsin.model.statuses import FINAL, Status

_SHOWN = 20  # examples listed of each kind of fault


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What the books say.

    Attributes:
        events: events in the topics that were read for the first time (forwarded copies are not counted).
        settled: events all of whose notifications and messages have their final word.
        held: those of which something is held by the gate.
        in_flight: those of which a message is on its way or waits for a retry.
        unread: events behind the durable position of their shard.
        missing: origins of events that were read and left no word.
        doubled: notifications, messages or origins with more than one final word.
        unsent: message ids with an `admitted` outcome that are in no message topic and were never tried.
        unannounced: message ids in a message topic without an `admitted` outcome.
        waiting: outcomes that nobody has tracked yet: ClickHouse may lack them.
        untracked: outcomes that were tracked and ClickHouse does not hold; -1 if it was not asked.
        recalled: outcomes that only ClickHouse still holds, entered to explain events and messages.
        unjudged: events and messages that outcomes may explain which Kafka has deleted, with nobody to ask.
        undecodable: messages and outcomes that are none, which nobody delivers or counts; no fault.
    """

    events: int
    settled: int
    held: int
    in_flight: int
    unread: int
    missing: list[str]
    doubled: list[str]
    unsent: list[str]
    unannounced: list[str]
    waiting: int
    untracked: int
    recalled: int
    unjudged: int
    undecodable: int
    words: dict[str, int]
    reasons: dict[str, int]

    @property
    def error(self) -> int:
        """Number of faults; 0 when the books balance."""
        faults = len(self.missing) + len(self.doubled) + len(self.unsent) + len(self.unannounced)
        return faults + max(0, self.untracked)

    def sentences(self) -> list[str]:
        """Say each kind of fault, with examples."""
        kinds = {
            "left no outcome": self.missing,
            "more than one final outcome": self.doubled,
            "admitted and in no message topic": self.unsent,
            "in a message topic and never admitted": self.unannounced,
        }
        lines = [f"{len(ids)} {what}: {', '.join(ids[:_SHOWN])}" for what, ids in kinds.items() if ids]
        if self.untracked > 0:
            lines.append(f"{self.untracked} outcomes were tracked and are not in ClickHouse")
        return lines


class Unexplained(NamedTuple):
    """What the words entered do not explain.

    Attributes:
        origins: events that were read and have no word.
        messages: ids of messages in a message topic without an `admitted` outcome or a final word.
    """

    origins: set[str]
    messages: set[str]


class Books:
    """Collects what the topics hold and draws the balance.

    >>> books = Books()
    >>> books.event("events/0/7")
    >>> books.balance().missing
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
        self._words: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._origins: set[str] = set()
        self._admitted: set[str] = set()
        self._tried: set[str] = set()
        self._recalled = 0
        self._undecodable = 0

    def event(self, origin: str, *, read: bool = True) -> None:
        """Enter an event by its origin; `read` is whether its offset is behind the durable position."""
        (self._events if read else self._unread).add(origin)

    def message(self, message_id: str) -> None:
        """Enter a message found in a message topic."""
        self._published.add(message_id)

    def undecodable(self) -> None:
        """Enter a record of a message or outcome topic that nobody can read: a dead letter tells of it."""
        self._undecodable += 1

    def outcome(self, outcome: Outcome, *, tracked: bool = True) -> None:
        """Enter an outcome; copies (same id) are counted once.

        `tracked` is whether its offset is behind the position up to which ClickHouse has taken outcomes.
        """
        if tracked:
            self._tracked.add(outcome.outcome_id)
        if outcome.outcome_id in self._seen:
            return
        self._seen.add(outcome.outcome_id)
        self._words[outcome.status] += 1
        if outcome.reason:
            self._reasons[outcome.reason] += 1
        self._origins.add(outcome.origin)
        subject = _subject(outcome)
        if outcome.status in FINAL:
            self._finals.setdefault(subject, set()).add(outcome.outcome_id)
        elif outcome.status in _OPENING:
            self._open[subject] = outcome
        if outcome.status == Status.ADMITTED:
            self._admitted.add(subject)
        elif outcome.status == Status.RETRYING:
            self._tried.add(subject)
        if outcome.status != Status.HELD:
            self._decided.update((outcome.origin, outcome.notification_id))
        elif outcome.notification_id:
            self._decided.add(outcome.origin)

    def recall(self, outcome: Outcome) -> None:
        """Enter an outcome that only ClickHouse still holds; of one subject the newest first.

        It is older than all that were read from the topic, so it does not say where a message is now if one
        of those does.
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
        """Name what has no word among those entered: lost, or its words were deleted from the topic."""
        return Unexplained(
            self._events - self._origins, self._published - self._admitted - self._finals.keys()
        )

    @property
    def outcome_ids(self) -> set[str]:
        """Ids of all outcomes entered, without copies."""
        return self._seen

    def balance(self, stored: Iterable[str] | None = None, *, whole: bool = True) -> Balance:
        """Draw the balance.

        Args:
            stored: the outcome ids ClickHouse holds, if it was asked.
            whole: whether all outcomes there ever were were entered; what others may explain is not judged.
        """
        there = None if stored is None else set(stored)
        events = self._events | self._unread
        held, flying = (origins & events for origins in self._waiting())
        lost = self.unexplained()
        return Balance(
            events=len(events),
            settled=len((events & self._origins) - held - flying),
            held=len(held - flying),
            in_flight=len(flying),
            unread=len(self._unread - self._origins),
            missing=sorted(lost.origins) if whole else [],
            doubled=sorted(subject for subject, words in self._finals.items() if len(words) > 1),
            unsent=sorted(self._admitted - self._published - self._tried - self._finals.keys()),
            unannounced=sorted(lost.messages) if whole else [],
            waiting=len(self._seen - self._tracked - (there or set())),
            untracked=-1 if there is None else len(self._tracked - there),
            recalled=self._recalled,
            unjudged=0 if whole else len(lost.origins) + len(lost.messages),
            undecodable=self._undecodable,
            words=dict(self._words),
            reasons=dict(self._reasons),
        )

    def _waiting(self) -> tuple[set[str], set[str]]:
        """Origins of what is held and of what is in flight; the last word of a message tells which."""
        held: set[str] = set()
        flying: set[str] = set()
        for subject, outcome in self._open.items():
            if subject in self._finals or self._superseded(outcome):
                continue
            (held if outcome.status == Status.HELD else flying).add(outcome.origin)
        return held, flying

    def _superseded(self, outcome: Outcome) -> bool:
        """Whether a hold before routing was decided since: its event or notification has another word."""
        if outcome.status != Status.HELD or outcome.message_id:
            return False
        return (outcome.notification_id or outcome.origin) in self._decided


_OPENING = frozenset({Status.ADMITTED, Status.HELD, Status.RETRYING})


def _subject(outcome: Outcome) -> str:
    """What a word is about: a message, a notification on a channel, or (before matching) an event."""
    if outcome.message_id:
        return outcome.message_id
    if outcome.notification_id:
        return f"{outcome.notification_id}/{outcome.channel}"
    return outcome.origin
