"""What delivery returns to the gate when a message was sent whose receipt may take only so long."""

from collections.abc import Callable

import msgspec

from tests.operators.delivery import Rig, ScriptedProvider
from tests.providers.messages import message, record
from tocsin.errors import RecipientGone, Transient
from tocsin.model.message import Message

Build = Callable[..., Rig]
BOTH = frozenset({"first", "second"})


def patient(user: str = "ann", number: int = 1, **fields: object) -> Message:
    return msgspec.structs.replace(message(user, number), failover_ms=120_000, **fields)


def two() -> list[ScriptedProvider]:
    return [ScriptedProvider("first"), ScriptedProvider("second")]


def test_what_was_sent_is_returned_for_another_account_with_an_id_of_its_own(rig: Build) -> None:
    letter = patient()
    made = rig(two(), reporting=BOTH).feed(record(letter, 0)).until_acked(1)
    assert made.words() == [("sent", "", 1)]
    (retry,) = made.retries()
    again = retry.message
    assert (retry.reason, retry.provider) == ("awaiting_receipt", "first")
    assert 119_000 < retry.due_ms - made.outcomes()[0].at_ms < 180_000
    assert (again.message_id, again.replay_of) == (letter.failover_id, letter.message_id)
    assert (again.sent_by, again.attempt, again.slots) == (("first",), 1, None)


def test_nothing_is_returned_where_no_other_account_is_left_or_none_reports(rig: Build) -> None:
    first, second = two()
    alone = rig([first], reporting=BOTH).feed(record(patient(), 0)).until_acked(1)
    silent = rig([first, second]).feed(record(patient("bob"), 0)).until_acked(1)
    plain = rig([first, second], reporting=BOTH).feed(record(message("cat", 3), 0)).until_acked(1)
    assert alone.retries() == silent.retries() == plain.retries() == []


def test_the_other_account_sends_it_and_not_the_first_even_if_the_other_is_down(rig: Build) -> None:
    first, second = two()
    second.script("ann", Transient("busy"))
    made = rig([first, second], reporting=BOTH).feed(record(patient().by_another("first"), 0)).until_acked(1)
    assert made.words() == [("retrying", "transient", 1), ("sent", "", 2)]
    assert (len(first.calls), len(second.calls)) == (0, 2)
    assert made.retries() == [], "no account is left"
    (line, _) = made.outcomes()
    assert (line.generation, line.replay_of) == (1, patient().message_id)


def test_without_an_account_that_has_not_sent_it_it_is_suppressed_and_not_dead(rig: Build) -> None:
    letter = patient().by_another("first").by_another("second")
    made = rig(two(), reporting=BOTH).feed(record(letter, 0)).until_acked(1)
    assert made.words() == [("suppressed", "already_sent", 1)]


def test_an_address_that_does_not_exist_is_never_tried_by_another_account(rig: Build) -> None:
    first, second = two()
    first.script("ann", RecipientGone("no such number"))
    made = rig([first, second], reporting=BOTH).feed(record(patient(), 0)).until_acked(1)
    assert made.words() == [("dead", "recipient_gone", 1)]
    assert (second.calls, made.retries()) == ([], [])


def test_read_again_after_a_crash_it_returns_the_same_bytes(rig: Build) -> None:
    made = rig(two(), incarnation="a" * 16, reporting=BOTH).feed(record(patient(), 0)).until_acked(1)
    again = rig(two(), incarnation="b" * 16, reporting=BOTH).feed(record(patient(), 0)).until_acked(1)
    assert again.out == made.out
    assert len(made.out) == 2
