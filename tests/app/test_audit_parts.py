"""The audit in parts and windows says what the audit as one whole says, and names what is wrong and where."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.app import whole_audit
from tests.app.test_audit import word
from tocsin.app.audit import Audit
from tocsin.app.audit_facts import EventFact, MessageFact, OutcomeFact, StoredFact, fact_of
from tocsin.app.audit_result import Reconciliation
from tocsin.app.audit_spill import Spill, parts_for
from tocsin.app.audit_windows import Windows
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import FINAL, Reason, Status

SAME = (
    "events", "settled", "held", "in_flight", "unread", "missing", "doubled", "unsent", "unannounced",
    "waiting", "untracked", "recalled", "unjudged", "resent", "undecodable", "statuses", "reasons",
    "orphaned",
)  # fmt: skip


class Entry(NamedTuple):
    """One outcome as the topic has it."""

    outcome: Outcome
    tracked: bool


class Records(NamedTuple):
    """What topics and ClickHouse hold."""

    events: list[tuple[int, bool]]
    messages: list[tuple[int, str]]
    outcomes: list[Entry]
    recalled: list[Outcome]
    stored: set[str] | None
    whole: bool


def outcome(number: int, status: Status, kind: str, attempt: int, into: int, reason: Reason) -> Outcome:
    """An outcome of event `number`: of the event, its notification, a channel of it, or a message."""
    n = "" if kind == "event" else f"n{number}"
    m = f"m{number}" if kind == "message" else ""
    channel = "*" if kind in ("event", "notification") else "sms"
    made = word(status, origin=f"events/0/{number}", n=n, m=m, channel=channel, attempt=attempt)
    detail = {"into": f"n{into}"} if status == Status.MERGED else {}
    return msgspec.structs.replace(made, detail=detail, reason=reason.value)


NUMBERS = st.integers(0, 3)
TOLD = (Status.HELD, Status.ADMITTED, Status.RETRYING, Status.SENT, Status.SUPPRESSED, Status.MERGED)
"""Statuses that say where an event is; the others only count."""
OUTCOMES = st.builds(
    outcome,
    NUMBERS,
    st.sampled_from([*TOLD, *TOLD, Status.DEAD, Status.DELIVERED]),
    st.sampled_from(["event", "notification", "channel", "message"]),
    st.integers(0, 2),
    NUMBERS,
    st.sampled_from([Reason.NONE, Reason.RESENT_AFTER_UNKNOWN]),
)


@st.composite
def records(draw: st.DrawFn) -> Records:
    outcomes = draw(st.lists(st.builds(Entry, OUTCOMES, st.booleans()), max_size=12))
    # Copies are byte-equal: one id has one content.
    first = {each.outcome.outcome_id: each.outcome for each in reversed(outcomes)}
    entries = [Entry(first[each.outcome.outcome_id], each.tracked) for each in outcomes]
    extra = {one.outcome_id: one for one in draw(st.lists(OUTCOMES, max_size=5))}
    ids = st.sampled_from([*first, "other"])
    return Records(
        list(dict(draw(st.lists(st.tuples(NUMBERS, st.booleans())))).items()),
        [(number, f"m{number}") for number in draw(st.lists(NUMBERS, max_size=8))],
        entries,
        [one for name, one in extra.items() if name not in first],
        draw(st.none() | st.sets(ids)),
        draw(st.booleans()),
    )


def as_one(found: Records) -> Reconciliation:
    """Audit as one whole in memory."""
    audit = whole_audit.Audit()
    for number, read in found.events:
        audit.event(f"events/0/{number}", read=read)
    for _, message_id in found.messages:
        audit.message(message_id)
    for entry in found.outcomes:
        audit.outcome(entry.outcome, tracked=entry.tracked)
    for one in found.recalled:
        audit.recall(one)
    return audit.reconcile(found.stored, whole=found.whole)


def in_parts(found: Records, parts: int, windows: Windows, folder: Path | None = None) -> Reconciliation:
    """Audit in parts, each event at a time of its own."""
    audit = Audit(folder, parts, windows)
    for number, read in sorted(found.events):
        windows.enter("events/0", number, number * 10)
        audit.enter(EventFact(f"events/0/{number}", read, number * 10))
    for number, message_id in found.messages:
        audit.enter(MessageFact(message_id, f"n{number}", f"events/0/{number}"))
    for entry in found.outcomes:
        audit.enter(fact_of(entry.outcome, tracked=entry.tracked))
    for one in found.recalled:
        audit.recall(one)
    there = None if found.stored is None else [StoredFact(name, key_of(found, name)) for name in found.stored]
    return audit.reconcile(there, whole=found.whole)


def key_of(found: Records, outcome_id: str) -> str:
    """Return the key by which ClickHouse tells an outcome."""
    outcomes = [*(entry.outcome for entry in found.outcomes), *found.recalled]
    return next((fact_of(one).key for one in outcomes if one.outcome_id == outcome_id), "none")


@given(records(), st.integers(1, 7), st.sampled_from([0, 1, 10, 25, 1_000]))
def test_parts_and_windows_of_any_size_give_the_verdict_of_the_whole(
    found: Records, parts: int, size_ms: int
) -> None:
    want = as_one(found)
    got = in_parts(found, parts, Windows(size_ms=size_ms))
    assert {name: getattr(got, name) for name in SAME} == {name: getattr(want, name) for name in SAME}
    faults = sum(
        len(getattr(want, kind)) for kind in ("missing", "doubled", "unsent", "unannounced", "orphaned")
    )
    assert got.error == faults + max(0, want.untracked)
    assert sum(window.events for window in got.windows) == want.events
    assert sum(window.faults for window in got.windows) == got.error


@given(records(), st.integers(1, 7))
def test_what_is_unexplained_is_listed_once(found: Records, parts: int) -> None:
    audit, whole = Audit(parts=parts), whole_audit.Audit()
    for number, read in found.events:
        audit.enter(EventFact(f"events/0/{number}", read))
        whole.event(f"events/0/{number}", read=read)
    for number, message_id in found.messages:
        audit.enter(MessageFact(message_id, f"n{number}"))
        whole.message(message_id)
    for entry in found.outcomes:
        audit.outcome(entry.outcome)
        whole.outcome(entry.outcome)
    listed = list(audit.unexplained())
    assert [set[str]().union(*each) for each in zip(*listed, strict=True)] == list(whole.unexplained())


def test_facts_go_to_disk_and_come_back_in_order(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "facts", parts=3, buffered=4)
    facts = [
        OutcomeFact(f"o{n}", "sent", "events/0/1", f"n{n % 5}", f"m\n{n}", "sms", ms=n) for n in range(50)
    ]
    for fact in facts:
        spill.add(fact)
    assert len(list((tmp_path / "facts").iterdir())) == 3
    back = [fact for number in range(3) for fact in spill.read(number)]
    assert sorted(back, key=lambda fact: getattr(fact, "ms", 0)) == facts
    for number in range(3):
        times = [getattr(fact, "ms", 0) for fact in spill.read(number)]
        assert times == sorted(times)


def test_on_disk_it_says_the_same(tmp_path: Path) -> None:
    found = faulty([])
    assert in_parts(found, 4, Windows(), tmp_path / "a") == in_parts(found, 1, Windows())


def whole_run(count: int) -> list[Entry]:
    """Outcomes of events that were each sent by one message."""
    return [
        Entry(outcome(number, status, "message", attempt, 0, Reason.NONE), tracked=True)
        for number in range(count)
        for status, attempt in ((Status.ADMITTED, 0), (Status.SENT, 1))
    ]


def faulty(left_out: Sequence[str], *more: Outcome) -> Records:
    """A run without faults, without some outcomes and with more."""
    entries = [each for each in whole_run(5) if each.outcome.outcome_id not in left_out]
    entries += [Entry(one, tracked=True) for one in more]
    stored = {each.outcome.outcome_id for each in entries}
    events = [(number, True) for number in range(5)]
    return Records(events, [(n, f"m{n}") for n in range(5)], entries, [], stored, whole=True)


def ids_of(number: int, *statuses: Status) -> list[str]:
    return [
        each.outcome.outcome_id
        for each in whole_run(5)
        if each.outcome.origin == f"events/0/{number}" and each.outcome.status in statuses
    ]


@pytest.mark.parametrize("parts", [1, 3])
def test_each_planted_fault_is_named(parts: int) -> None:
    assert in_parts(faulty([]), parts, Windows()).error == 0
    lost = in_parts(faulty(ids_of(2, Status.ADMITTED, Status.SENT)), parts, Windows(size_ms=10))
    assert (lost.missing, lost.unannounced, lost.counts) == (
        ["events/0/2"],
        ["m2"],
        {"missing": 1, "unannounced": 1},
    )
    assert [window.since_ms for window in lost.windows if window.faults] == [20]
    twice = in_parts(faulty([], outcome(3, Status.DEAD, "message", 2, 0, Reason.NONE)), parts, Windows())
    assert (twice.doubled, twice.error) == (["m3"], 1)
    assert "2 final outcomes: sent" in twice.faults[0].what
    records_without_message = faulty([])._replace(messages=[])
    tried = [Entry(each.outcome, each.tracked) for each in records_without_message.outcomes]
    admitted = [each for each in tried if each.outcome.status not in FINAL]
    unsent = in_parts(records_without_message._replace(outcomes=admitted), parts, Windows())
    assert unsent.unsent == [f"m{n}" for n in range(5)]
    (gone,) = ids_of(4, Status.SENT)
    whole = faulty([])
    assert whole.stored is not None
    unstored = in_parts(whole._replace(stored=whole.stored - {gone}), parts, Windows())
    assert (unstored.unstored, unstored.untracked, unstored.error) == ([gone], 1, 1)
    assert "the outcome sent of m4" in unstored.faults[0].what


def test_a_message_that_came_while_outcomes_were_read_is_not_unsent_and_not_unannounced() -> None:
    audit = Audit()
    audit.event("events/0/1")
    audit.enter(fact_of(word(Status.ADMITTED, n="n", m="m1"), place="outcomes/0/1"))
    assert audit.reconcile().unsent == ["m1"]
    audit.enter(MessageFact("m1", "n", late=True))
    audit.enter(MessageFact("m2", "n2", late=True))
    drawn = audit.reconcile()
    assert (drawn.unsent, drawn.unannounced, drawn.in_flight) == ([], [], 1)


def test_what_is_held_over_the_edge_of_its_window_counts_in_the_window_of_its_event() -> None:
    windows = Windows(since_ms=100, until_ms=200, size_ms=50)
    for offset, ms in enumerate((90, 110, 140, 160, 150, 210, 190)):
        windows.enter("events/0", offset, ms)
    found = [windows.of(f"events/0/{offset}", 10_000) for offset in range(7)]
    assert found == [None, 100, 100, 150, 150, None, 150]
    assert windows.of("events/0/1", 10_000) == 100, "however late its outcome comes"
    assert windows.of("", 120) == 100, "what names no event counts at its own time"
    assert windows.of("", 99) is None


@given(st.lists(st.integers(0, 60), max_size=20), st.integers(1, 20), st.integers(0, 30))
def test_an_event_and_what_came_of_it_are_of_one_window(
    times: list[int], size_ms: int, since_ms: int
) -> None:
    windows = Windows(since_ms=since_ms, until_ms=50, size_ms=size_ms)
    entered = [windows.enter("events/0", offset, ms) for offset, ms in enumerate(times)]
    assert [windows.of(f"events/0/{offset}", 0) for offset in range(len(times))] == entered
    for window, ms in zip(entered, times, strict=True):
        assert window is not None or not since_ms <= ms < 50, "no event of the range is left out"


def test_a_result_keeps_the_first_names_and_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.app.audit_result.KEPT", 3)
    audit, told = Audit(), list[str]()
    for offset in range(30):
        audit.event(f"events/0/{offset:02}")
    drawn = audit.reconcile(on_fault=lambda fault: told.append(fault.id))
    assert (drawn.error, len(drawn.missing), len(told), len(drawn.faults)) == (30, 3, 30, 20)


def peak_mb(folder: Path, events: int) -> float:
    """Audit so many events in parts of 200 facts; the memory it takes at most."""
    tracemalloc.start()
    audit = Audit(folder, parts_for(4 * events), Windows(size_ms=1_000))
    for number in range(events):
        origin, n, m = f"events/0/{number}", f"n{number:030}", f"m{number:030}"
        audit.windows.enter("events/0", number, number)
        audit.enter(EventFact(origin, True, number))
        audit.enter(MessageFact(m, n, origin))
        for status, attempt in ((Status.ADMITTED, 0), (Status.SENT, 1)):
            audit.outcome(word(status, origin=origin, n=n, m=m, channel="sms", attempt=attempt))
    drawn = audit.reconcile()
    assert (drawn.settled, drawn.error) == (events, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def test_memory_does_not_grow_with_the_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.app.audit_spill.PART", 200)
    monkeypatch.setattr("tocsin.app.audit_spill.BUFFERED", 200)
    # Python's table of interned strings may double while pathlib adds a name (2 MB): in one run at most.
    few, many = (
        min(peak_mb(tmp_path / f"{events}-{run}", events) for run in (1, 2)) for events in (200, 1_000)
    )
    assert many < 1.6 * few, f"{few:.1f} MB, then {many:.1f} MB"
