"""The audit: each kind of fault is found, and only faults are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.app.audit import Audit
from tocsin.app.audit_facts import StoredFact, fact_of
from tocsin.model import ids
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason, Status


def word(
    status: str, *, origin: str = "events/0/1", n: str = "", m: str = "", channel: str = "*", attempt: int = 0
) -> Outcome:
    subject = m or (f"{n}/{channel}" if n else origin)
    return Outcome(
        outcome_id=ids.outcome_id(subject, status, attempt),
        status=status,
        tenant="default",
        origin=origin,
        notification_id=n,
        message_id=m,
        channel=channel,
        attempt=attempt,
        at_ms=0,
    )


def audited(*outcomes: Outcome, events: int = 1, published: tuple[str, ...] = ()) -> Audit:
    made = Audit()
    for offset in range(1, events + 1):
        made.event(f"events/0/{offset}")
    for message in published:
        made.message(message)
    for outcome in outcomes:
        made.outcome(outcome)
    return made


def test_an_event_without_a_word_is_missing() -> None:
    balance = audited().reconcile()
    assert balance.missing == ["events/0/1"]
    assert balance.error == 1
    assert "left no outcome: events/0/1" in balance.sentences()[0]


def test_an_item_needs_the_digest_that_it_was_merged_into() -> None:
    item = msgspec.structs.replace(word(Status.MERGED, n="n"), detail={"into": "d"})
    balance = audited(item).reconcile()
    assert (balance.orphaned, balance.error) == (["d"], 1)
    assert balance.sentences() == ["1 merged into, and never decided: d"]
    assert audited(item).reconcile(whole=False).error == 0, "the outcomes of the digest may be deleted"
    open_digest = audited(item, word(Status.HELD, n="d")).reconcile()
    assert (open_digest.error, open_digest.held) == (0, 1)
    due = audited(item, word(Status.HELD, n="d"), word(Status.SUPPRESSED, n="d", channel="sms")).reconcile()
    assert (due.error, due.settled) == (0, 1)


def test_an_event_its_shard_has_not_read_is_not_missing() -> None:
    made = Audit()
    made.event("events/0/9", read=False)
    balance = made.reconcile()
    assert (balance.unread, balance.error, balance.events) == (1, 0, 1)


def test_a_sent_message_settles_its_event() -> None:
    balance = audited(
        word(Status.ADMITTED, n="n", m="m", channel="sms"),
        word(Status.SENT, n="n", m="m", channel="sms", attempt=1),
        published=("m",),
    ).reconcile()
    assert (balance.settled, balance.in_flight, balance.error) == (1, 0, 0)


def test_an_admitted_message_is_in_flight_until_its_final_word() -> None:
    balance = audited(word(Status.ADMITTED, n="n", m="m"), published=("m",)).reconcile()
    assert (balance.settled, balance.in_flight, balance.error) == (0, 1, 0)


def test_two_final_words_of_one_message_are_a_fault() -> None:
    balance = audited(
        word(Status.ADMITTED, n="n", m="m"),
        word(Status.SENT, n="n", m="m", attempt=1),
        word(Status.DEAD, n="n", m="m", attempt=2),
        published=("m",),
    ).reconcile()
    assert balance.doubled == ["m"]
    assert balance.error == 1


def test_copies_of_a_word_are_one_word() -> None:
    once = word(Status.SUPPRESSED, n="n")
    balance = audited(once, once, once).reconcile()
    assert (balance.statuses, balance.error) == ({"suppressed": 1}, 0)


def test_each_channel_has_its_own_final_word() -> None:
    balance = audited(
        word(Status.SUPPRESSED, n="n", channel="sms"), word(Status.SUPPRESSED, n="n", channel="push")
    ).reconcile()
    assert (balance.settled, balance.error) == (1, 0)


def test_admitted_but_never_published_and_the_reverse() -> None:
    balance = audited(word(Status.ADMITTED, n="n", m="m1"), published=("m2",)).reconcile()
    assert balance.unsent == ["m1"]
    assert balance.unannounced == ["m2"]
    assert balance.error == 2


def test_a_held_notification_is_held_until_it_is_decided_again() -> None:
    held = word(Status.HELD, n="n")
    assert audited(held).reconcile().held == 1
    assert audited(held, word(Status.EXPIRED, n="n")).reconcile().held == 0
    admitted = audited(held, word(Status.ADMITTED, n="n", m="m", channel="sms"), published=("m",)).reconcile()
    assert (admitted.held, admitted.in_flight) == (0, 1)


def test_an_event_that_awaits_its_profile_is_held_until_its_notifications_are_decided() -> None:
    held = word(Status.HELD)
    assert audited(held).reconcile().held == 1
    assert audited(held, word(Status.SUPPRESSED, n="n")).reconcile().held == 0


def test_a_retry_held_by_the_gate_counts_as_held_and_again_as_flying_when_it_leaves() -> None:
    path = [
        word(Status.ADMITTED, n="n", m="m"),
        word(Status.RETRYING, n="n", m="m", attempt=1),
        word(Status.HELD, n="n", m="m", attempt=1),
    ]
    assert audited(*path, published=("m",)).reconcile().held == 1
    again = audited(*path, word(Status.ADMITTED, n="n", m="m", attempt=2), published=("m",)).reconcile()
    assert (again.held, again.in_flight) == (0, 1)


def stored(*outcomes: Outcome) -> list[StoredFact]:
    return [StoredFact(outcome.outcome_id, fact_of(outcome).key) for outcome in outcomes]


def test_outcomes_that_clickhouse_lacks_are_a_fault() -> None:
    only = word(Status.SUPPRESSED, n="n")
    made = audited(only)
    assert made.reconcile([]).error == 1
    assert made.reconcile([]).unstored == [only.outcome_id]
    assert made.reconcile(stored(only)).error == 0
    assert "not in ClickHouse" in made.reconcile([]).sentences()[0]


def test_outcomes_that_still_wait_in_kafka_for_clickhouse_are_no_fault() -> None:
    first, second = word(Status.SUPPRESSED, n="n"), word(Status.SENT, n="n", m="m")
    made = audited(first)
    made.outcome(second, tracked=False)
    drawn = made.reconcile(stored(first))
    assert (drawn.waiting, drawn.untracked, drawn.error) == (1, 0, 0)
    assert made.reconcile(stored(first, second)).waiting == 0


def test_a_copy_that_was_tracked_must_be_in_clickhouse() -> None:
    made = audited(word(Status.SUPPRESSED, n="n"))
    made.outcome(word(Status.SUPPRESSED, n="n"), tracked=False)
    assert made.reconcile([]).untracked == 1


@pytest.mark.parametrize("status", [Status.SENT, Status.RETRYING])
def test_a_message_that_was_tried_was_published_though_its_topic_has_deleted_it(status: Status) -> None:
    balance = audited(word(Status.ADMITTED, n="n", m="m"), word(status, n="n", m="m", attempt=1)).reconcile()
    assert (balance.unsent, balance.error) == ([], 0)


def test_what_is_held_or_flies_counts_of_events_that_are_there() -> None:
    """So that in = final words + held + in flight, whatever older events left behind."""
    balance = audited(
        word(Status.SUPPRESSED, n="n"),
        word(Status.HELD, origin="events/0/0", n="n0"),
        word(Status.ADMITTED, origin="bulk/0/0", n="n1", m="m"),
        published=("m",),
    ).reconcile()
    assert (balance.events, balance.settled, balance.held, balance.in_flight) == (1, 1, 0, 0)


def unexplained(audit: Audit) -> tuple[set[str], ...]:
    parts = list(audit.unexplained())
    return tuple(set[str]().union(*found) for found in zip(*parts, strict=True))


def test_recalled_words_explain_what_the_topics_do_not() -> None:
    made = audited(events=2, published=("m",))
    assert unexplained(made) == ({"events/0/1", "events/0/2"}, {"m"}, set())
    made.recall(word(Status.SENT, n="n", m="m", attempt=1))
    made.recall(word(Status.ADMITTED, n="n", m="m"))
    assert unexplained(made) == ({"events/0/2"}, set(), set())
    assert (made.reconcile().recalled, made.reconcile().missing) == (2, ["events/0/2"])


def test_a_recalled_word_does_not_say_where_a_message_is_now() -> None:
    held = word(Status.HELD, n="n", m="m", attempt=1)
    made = audited(held, published=("m",))
    made.recall(held)
    made.recall(word(Status.ADMITTED, n="n", m="m"))
    balance = made.reconcile()
    assert (balance.held, balance.in_flight, balance.recalled) == (1, 0, 1)


def test_two_final_words_are_a_fault_though_one_was_recalled() -> None:
    made = audited(word(Status.DEAD, n="n", m="m", attempt=2))
    made.recall(word(Status.SENT, n="n", m="m", attempt=1))
    assert made.reconcile().doubled == ["m"]


def test_what_deleted_words_may_explain_is_not_judged_and_said() -> None:
    balance = audited(published=("m",)).reconcile(whole=False)
    assert (balance.unjudged, balance.missing, balance.unannounced, balance.error) == (2, [], [], 0)


KINDS = st.sampled_from(["suppressed", "sent", "flying", "held", "missing"])


@given(st.lists(st.tuples(KINDS, st.booleans()), max_size=40))
def test_every_event_is_counted_exactly_once(given_kinds: list[tuple[str, bool]]) -> None:
    """Also where the position that was committed lags behind the words that were shown."""
    made = Audit()
    kinds = [kind for kind, _ in given_kinds]
    for offset, (kind, late) in enumerate(given_kinds):
        origin, n, m = f"events/0/{offset}", f"n{offset}", f"m{offset}"
        made.event(origin, read=kind == "missing" or not late)
        if kind == "suppressed":
            made.outcome(word(Status.SUPPRESSED, origin=origin, n=n))
        if kind == "held":
            made.outcome(word(Status.HELD, origin=origin, n=n))
        if kind in {"sent", "flying"}:
            made.message(m)
            made.outcome(word(Status.ADMITTED, origin=origin, n=n, m=m))
        if kind == "sent":
            made.outcome(word(Status.SENT, origin=origin, n=n, m=m, attempt=1))
    balance = made.reconcile()
    assert balance.events == balance.settled + balance.held + balance.in_flight + len(balance.missing)
    assert balance.error == kinds.count("missing")


def test_what_was_sent_again_after_an_unknown_outcome_is_counted_and_named_and_no_fault() -> None:
    sent = word(Status.SENT, n="n", m="m", channel="sms", attempt=2)
    twice = msgspec.structs.replace(sent, reason=Reason.RESENT_AFTER_UNKNOWN)
    tried = word(Status.RETRYING, n="n", m="m", channel="sms", attempt=1)
    balance = audited(word(Status.ADMITTED, n="n", m="m"), tried, twice, twice, published=("m",)).reconcile()
    assert (balance.resent, balance.error) == (["m"], 0)
    assert balance.notices() == [
        "1 sent again after an unknown outcome, so perhaps received twice: m",
    ]
    assert audited(word(Status.ADMITTED, n="n", m="m"), tried, sent).reconcile().notices() == []


def test_an_audit_of_no_event_says_that_it_judged_none() -> None:
    (said,) = audited(events=0).reconcile().notices()
    assert "no event was judged" in said
    assert "--since" in said
