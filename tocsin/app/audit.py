"""Audit (law 1): every event has its final outcomes, is held, or is in flight; none is lost or doubled.

The audit takes every event origin, every message and every outcome that the topics hold, in any order and
with copies. It shares no counter with the code that it audits.

It judges in three steps: outcomes and messages by notification, events by origin, and what items were merged
into by notification again. Each step takes one part after another, so memory is bounded by the size of a part
(`tocsin.app.audit_spill`), whatever the number of events and however long one is held.

Topics lose their oldest records at different times, so deleted outcomes may explain an event or a message.
`unexplained` lists such events and messages; `recall` enters the outcomes that ClickHouse still has of them.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tocsin.app.audit_facts import (
    DECIDED,
    FLYING,
    HELD,
    HELD_EVENT,
    EventFact,
    MergeFact,
    MessageFact,
    OutcomeFact,
    StateFact,
    StoredFact,
    fact_of,
)
from tocsin.app.audit_notifications import NotificationAudit
from tocsin.app.audit_result import Fault, Reconciliation, Totals, result
from tocsin.app.audit_spill import Spill
from tocsin.app.audit_windows import Windows
from tocsin.model.outcome import Outcome

__all__ = ["Audit", "Reconciliation", "Unexplained"]
OnFault = Callable[[Fault], None]


class Unexplained(NamedTuple):
    """Events and messages without outcomes.

    Attributes:
        origins: events that were read and have no outcome.
        messages: ids of messages in a message topic without an `admitted` or a final outcome.
        digests: ids of notifications that items were merged into, without an outcome.
    """

    origins: set[str]
    messages: set[str]
    digests: set[str]


class _Events:
    """Judges the events of one part by what their notifications say."""

    def __init__(self, facts: Iterable[object]) -> None:
        self.events: dict[str, EventFact] = {}
        self._unread: dict[str, EventFact] = {}
        self._states: dict[str, set[str]] = {}
        for fact in facts:
            if isinstance(fact, EventFact):
                (self.events if fact.read else self._unread)[fact.origin] = fact
            elif isinstance(fact, StateFact):
                self._states.setdefault(fact.origin, set()).add(fact.state)

    def missing(self) -> list[str]:
        """Name events that were read and have no outcome."""
        return sorted(self.events.keys() - self._states.keys())

    def count(self, totals: Totals, windows: Windows) -> None:
        """Count each event where it belongs: held, in flight, unread or settled."""
        for origin, fact in (self._unread | self.events).items():
            window = totals.window(windows.of(origin, fact.ms) or 0)
            window.events += 1
            state = self._state(origin)
            if state:
                setattr(window, state, getattr(window, state) + 1)

    def _state(self, origin: str) -> str:
        states = self._states.get(origin)
        if states is None:
            return "" if origin in self.events else "unread"
        if FLYING in states:
            return "in_flight"
        held = HELD in states or (HELD_EVENT in states and DECIDED not in states)
        return "held" if held else "settled"


class _Merges:
    """Judges what items of one part were merged into."""

    def __init__(self, facts: Iterable[object]) -> None:
        known: set[str] = set()
        self._into: dict[str, MergeFact] = {}
        for fact in facts:
            if isinstance(fact, MergeFact) and fact.known:
                known.add(fact.notification_id)
            elif isinstance(fact, MergeFact):
                self._into.setdefault(fact.notification_id, fact)
        self.orphaned = self._into.keys() - known

    def faults(self) -> Iterator[Fault]:
        """Name what was merged into and has no outcome."""
        for name in sorted(self.orphaned):
            fact = self._into[name]
            what = "an item was merged into it, and it has no outcome"
            yield Fault("orphaned", name, what, fact.place, fact.origin, fact.ms)


class Audit:
    """Collects events, messages and outcomes, and reconciles them.

    Args:
        folder: where facts are spilled to; None to keep all in memory.
        parts: how many parts the facts are judged in; `tocsin.app.audit_spill.parts_for` tells.
        windows: the range, and its windows; what is entered must belong to it.

    >>> audit = Audit()
    >>> audit.event("events/0/7")
    >>> audit.reconcile().missing
    ['events/0/7']
    """

    def __init__(self, folder: Path | None = None, parts: int = 1, windows: Windows | None = None) -> None:
        self._folder = folder
        self._parts = parts
        self._passes = 0
        self.windows = windows or Windows()
        self._notifications = self._spill("notifications")
        self._events = self._spill("events")
        self._has_merges = False
        self._undecodable = 0

    def _spill(self, name: str) -> Spill:
        return Spill(self._folder and self._folder / name, self._parts)

    def event(self, origin: str, *, read: bool = True) -> None:
        """Enter an event by its origin; `read` tells whether its shard has durably read it."""
        self.enter(EventFact(origin, read))

    def message(self, message_id: str) -> None:
        """Enter a message of a message topic by its id alone; fit for an audit in one part."""
        self.enter(MessageFact(message_id))

    def undecodable(self) -> None:
        """Enter a record of a message or outcome topic that cannot be decoded; it has a dead letter."""
        self._undecodable += 1

    def outcome(self, outcome: Outcome, *, tracked: bool = True) -> None:
        """Enter an outcome; copies (same id) are counted once.

        Args:
            outcome: the outcome.
            tracked: whether the tracker has committed its offset, so that ClickHouse must have it.
        """
        self.enter(fact_of(outcome, tracked=tracked))

    def recall(self, outcome: Outcome) -> None:
        """Enter an outcome that only ClickHouse still has; of one subject the newest first.

        It is older than all outcomes read from the topic. So it does not say where a message is now if one of
        those does.
        """
        self.enter(fact_of(outcome, recalled=True))

    def enter(self, fact: EventFact | OutcomeFact | MessageFact) -> None:
        """Enter an event, or what came of one."""
        if isinstance(fact, EventFact):
            self._events.add(fact)
            return
        self._has_merges = self._has_merges or (isinstance(fact, OutcomeFact) and bool(fact.into))
        self._notifications.add(fact)

    def unexplained(self) -> Iterator[Unexplained]:
        """List events and messages without outcomes: they are lost, or Kafka has deleted their outcomes.

        One part after another; what is recalled meanwhile explains nothing in this list.
        """
        states, merges = self._next_pass()
        for number in range(self._parts):
            found = self._judged(number, states, merges)
            yield Unexplained(set(), found.unexplained(), set())
        for number in range(self._parts):
            missing = set(_Events(self._of_events(number, states)).missing())
            yield Unexplained(missing, set(), _Merges(merges.read(number)).orphaned)

    def reconcile(
        self,
        stored: Iterable[StoredFact] | None = None,
        *,
        whole: bool = True,
        on_fault: OnFault = lambda fault: None,
    ) -> Reconciliation:
        """Compare all that was entered.

        Args:
            stored: the outcomes in ClickHouse; None if it was not asked.
            whole: whether every outcome was entered. If not, events and messages without outcomes count as
                `unjudged` instead of `missing` or `unannounced`.
            on_fault: called with each fault; the result keeps the names of the first of them only.
        """
        totals, asked = Totals(), stored is not None
        states, merges = self._next_pass()
        there = self._spill(f"stored-{self._passes}")
        for fact in stored or ():
            there.add(fact, fact.key)

        def found(faults: Iterable[Fault]) -> None:
            for fault in faults:
                totals.fault(fault, self.windows.of(fault.origin, fault.ms) or 0)
                on_fault(fault)

        for number in range(self._parts):
            part = self._judged(number, states, merges, there.read(number))
            part.totals(totals, asked=asked)
            found(part.faults(asked=asked, whole=whole))
            totals.unjudged += 0 if whole else len(part.unexplained())
        for number in range(self._parts):
            events, merged = _Events(self._of_events(number, states)), _Merges(merges.read(number))
            events.count(totals, self.windows)
            if whole:
                found(_missing(events))
                found(merged.faults())
            else:
                totals.unjudged += len(events.missing()) + len(merged.orphaned)
        return result(totals, undecodable=self._undecodable, asked=asked)

    def _next_pass(self) -> tuple[Spill, Spill]:
        """Make room for what one pass over the notifications says about events and merges."""
        self._passes += 1
        return self._spill(f"states-{self._passes}"), self._spill(f"merges-{self._passes}")

    def _judged(
        self, number: int, states: Spill, merges: Spill, stored: Iterable[object] = ()
    ) -> NotificationAudit:
        """Judge the notifications of one part; write what they say about their events."""
        part = NotificationAudit()
        for facts in (self._notifications.read(number), stored):
            for fact in facts:
                part.add(fact)  # type: ignore[arg-type]  # the spill has facts of notifications alone
        for state in part.states():
            states.add(state)
        for merge in part.merges() if self._has_merges else ():
            merges.add(merge)
        return part

    def _of_events(self, number: int, states: Spill) -> Iterator[object]:
        yield from self._events.read(number)
        yield from states.read(number)


def _missing(events: _Events) -> Iterator[Fault]:
    for origin in events.missing():
        ms = events.events[origin].ms
        yield Fault("missing", origin, "it was read, and left no outcome", origin, origin, ms)
