"""The books (law 1): every event has its final words, is held, or is in flight; nothing twice, nothing lost.

Pure bookkeeping over what the topics hold: feed it every event origin, every admitted message and every
outcome, in any order, copies included. It shares no counter with the code it judges.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from models.outcome import Outcome
from models.statuses import FINAL, Status

_SHOWN = 20  # examples listed of each kind of fault


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What the books say.

    Attributes:
        events: events that were read for the first time (forwarded copies are not counted).
        settled: events all of whose notifications and messages have their final word.
        held: events of which something is held by the gate.
        in_flight: events of which a message is on its way or waits for a retry.
        unread: events behind the durable position of their shard.
        missing: origins of events that were read and left no word.
        doubled: notifications, messages or origins with more than one final word.
        unsent: message ids with an `admitted` outcome that are in no message topic.
        unannounced: message ids in a message topic without an `admitted` outcome.
        waiting: outcomes that nobody has tracked yet: ClickHouse may lack them.
        untracked: outcomes that were tracked and ClickHouse does not hold; -1 if it was not asked.
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
            "left no word": self.missing,
            "more than one final word": self.doubled,
            "admitted and in no message topic": self.unsent,
            "in a message topic and never admitted": self.unannounced,
        }
        lines = [f"{len(ids)} {what}: {', '.join(ids[:_SHOWN])}" for what, ids in kinds.items() if ids]
        if self.untracked > 0:
            lines.append(f"{self.untracked} outcomes were tracked and are not in ClickHouse")
        return lines


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
        if outcome.status != Status.HELD:
            self._decided.update((outcome.origin, outcome.notification_id))
        elif outcome.notification_id:
            self._decided.add(outcome.origin)

    @property
    def outcome_ids(self) -> set[str]:
        """Ids of all outcomes entered, without copies."""
        return self._seen

    def balance(self, stored: Iterable[str] | None = None) -> Balance:
        """Draw the balance; `stored` are the outcome ids ClickHouse holds, if it was asked."""
        there = None if stored is None else set(stored)
        held, flying = self._waiting()
        admitted = self._admitted
        waiting = held | flying
        return Balance(
            events=len(self._events) + len(self._unread),
            settled=len(((self._events | self._unread) & self._origins) - waiting),
            held=len(held - flying),
            in_flight=len(flying),
            unread=len(self._unread - self._origins),
            missing=sorted(self._events - self._origins),
            doubled=sorted(subject for subject, words in self._finals.items() if len(words) > 1),
            unsent=sorted(admitted - self._published),
            unannounced=sorted(self._published - admitted - self._finals.keys()),
            waiting=len(self._seen - self._tracked - (there or set())),
            untracked=-1 if there is None else len(self._tracked - there),
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
