"""Which records a selection takes, and which it leaves out."""

from typing import Any

import pytest

from sources.replays.chooser import Chooser
from sources.replays.facts import Facts
from sources.replays.outcomes import Index
from sources.replays.selection import Policy, Selection, What
from tests.sources.replays.records import NOW_MS, event, letter, message_record, outcome, sent_message
from tocsin.formats.replays import replay_header
from tocsin.model.event import Origin, Replay
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

MESSAGE = message_record(3)
LETTERS = [
    letter(event(1), Reason.UNKNOWN_USER),
    letter(event(2, user="bob", tenant="acme"), Reason.BAD_EXPRESSION),
    letter(MESSAGE, Reason.RENDER_ERROR, "deliver"),
    letter(RawRecord("events", 0, 9, NOW_MS, b"key of others", b"{broken", ()), Reason.BAD_JSON, "decode"),
]


def chosen(selection: Selection, records: list[RawRecord], *outcomes: RawRecord) -> list[str]:
    """Tell the numbers of the records that are chosen, and why others are left out."""
    index = Index(selection, NOW_MS - 1_000) if outcomes or selection.by_outcome else None
    if index is not None:
        index.add(outcomes)
    chooser, found = Chooser(selection, index), []
    for number, raw in enumerate(records):
        facts = Facts(raw)
        if chooser.is_asked(facts):
            cause = chooser.left_out(facts)
            found.append(f"{number}: {cause}" if cause else str(number))
    return found


@pytest.mark.parametrize("asked", [{"ids": ("order-7",)}, {"users": ("ann",)}, {"tenants": ("acme",)}])
def test_a_dead_letter_of_a_bad_event_is_found_by_what_can_be_read_of_it(asked: dict[str, Any]) -> None:
    value = b'{"id": "order-7", "subject": "ann", "tenant": "acme", "time": "soon"}'
    bad = letter(RawRecord("events", 0, 9, NOW_MS, b"default/eve", value, ()), Reason.BAD_FIELD, "decode")
    assert chosen(Selection(what="dead", **asked), [bad]) == ["0"]
    assert chosen(Selection(what="dead", **asked), LETTERS[3:]) == []


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, ["0", "1", "2", "3"]),
        ({"reasons": ("unknown_user", "bad_json")}, ["0", "3"]),
        ({"stages": ("deliver",)}, ["2"]),
        ({"tenants": ("acme",)}, ["1", "2"]),
        ({"tenants": ("acme",), "users": ("bob",)}, ["1"]),
        ({"channels": ("email",)}, ["2"]),
        ({"channels": ("sms",)}, []),
        ({"since_ms": NOW_MS + 1}, []),
        ({"until_ms": NOW_MS}, []),
        ({"since_ms": NOW_MS, "until_ms": NOW_MS + 1}, ["0", "1", "2", "3"]),
        ({"ids": ("e1", "events/0/9")}, ["0", "3"]),
        ({"ids": (sent_message(3).message_id,)}, ["2"]),
        ({"ids": (sent_message(3).notification_id,), "tenants": ("default",)}, []),
        ({"ids": ("dead/1/1",)}, ["0"]),
    ],
)
def test_filters_hold_together(asked: dict[str, Any], numbers: list[str]) -> None:
    assert chosen(Selection(what="dead", **asked), LETTERS) == numbers


def test_ids_that_were_found_are_known() -> None:
    chooser = Chooser(Selection(what="dead", ids=("e1", "no such")), None)
    assert [chooser.is_asked(Facts(one)) for one in LETTERS] == [True, False, False, False]
    assert chooser.matched == {"e1"}


def test_outcomes_tell_the_provider_and_the_notification_of_dead_letters() -> None:
    mid = sent_message(3).message_id
    told = [
        outcome("dead", message_id=mid, origin="events/0/8", notification="landed", provider="sendgrid"),
        outcome("dead", origin="events/1/1", notification="moved"),
        outcome("sent", origin="events/0/2", notification="moved", provider="twilio"),
    ]
    assert chosen(Selection(what="dead", providers=("sendgrid",)), LETTERS, *told) == ["2"]
    assert chosen(Selection(what="dead", notifications=("moved",), statuses=("dead",)), LETTERS, *told) == [
        "0"
    ]
    assert (
        chosen(Selection(what="dead", providers=("sendgrid",), notifications=("moved",)), LETTERS, *told)
        == []
    )


def test_a_dead_message_knows_its_notification_when_its_outcomes_are_deleted() -> None:
    """Kafka keeps dead letters for longer than outcomes."""
    assert chosen(Selection(what="dead", notifications=("landed",)), LETTERS) == ["2"]
    assert chosen(Selection(what="dead", notifications=("moved",)), LETTERS) == []


def test_outcomes_tell_which_events_are_meant() -> None:
    records = [event(1), event(2), event(3, topic="bulk")]
    told = [
        outcome("suppressed", origin="events/1/1", notification="moved", reason="limit"),
        outcome(
            "suppressed", origin="events/0/2", notification="landed", reason="limit", notification_id="n2"
        ),
        outcome("dead", origin="bulk/1/3", notification="moved", reason="unknown_user"),
    ]
    assert chosen(Selection(what="events", reasons=("limit",)), records, *told) == ["0", "1"]
    assert chosen(Selection(what="events", reasons=("limit",), notifications=("moved",)), records, *told) == [
        "0"
    ]
    assert chosen(Selection(what="events", statuses=("dead",)), records, *told) == ["2"]
    assert chosen(Selection(what="events", ids=("n2",)), records, *told) == ["1"]


def of_event(status: str, at_ms: int = NOW_MS, **fields: Any) -> RawRecord:
    return outcome(status, origin="events/1/1", at_ms=at_ms, **fields)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([of_event("sent")], ["0: sent"]),
        ([of_event("merged")], ["0: sent"]),
        ([of_event("suppressed")], ["0"]),
        ([of_event("dead")], ["0"]),
        ([of_event("sent"), of_event("dead")], ["0"]),
        ([of_event("held")], ["0: held or on their way"]),
        ([of_event("admitted")], ["0: held or on their way"]),
        ([outcome("sent", origin="events/1/99", replay_of="events/1/1")], ["0: sent by an earlier replay"]),
        ([outcome("dead", origin="events/1/99", replay_of="events/1/1")], ["0"]),
        ([outcome("sent", origin="events/0/4")], ["0"]),
    ],
)
def test_again_leaves_out_what_was_sent_or_is_on_its_way(told: list[RawRecord], found: list[str]) -> None:
    assert chosen(Selection(what="events"), [event(1)], *told) == found
    assert chosen(Selection(what="events", policy="force"), [event(1)], *told) == ["0"]


def test_again_leaves_out_what_was_sent_in_part_when_the_ledger_may_have_forgotten_it() -> None:
    told = [of_event("sent", at_ms=NOW_MS - 2_000), of_event("dead")]
    (found,) = chosen(Selection(what="events"), [event(1)], *told)
    assert found.startswith("0: sent in part, which the send ledger may have forgotten")


@pytest.mark.parametrize(
    ("what", "policy", "is_taken"),
    [
        ("events", "again", False),
        ("messages", "again", False),
        ("events", "force", True),
        ("dead", "again", True),
    ],
)
def test_without_outcomes_again_takes_nothing_that_the_ledger_may_have_forgotten(
    what: What, policy: Policy, is_taken: bool
) -> None:
    raw = {"events": event(1), "messages": MESSAGE, "dead": letter(event(1))}[what]
    asked = Selection(what=what, policy=policy, outcomes=False)
    assert Chooser(asked, None, NOW_MS).left_out(Facts(raw)) == "", "the ledger knows it"
    found = Chooser(asked, None, NOW_MS + 1).left_out(Facts(raw))
    assert (found == "") is is_taken
    assert is_taken or found.startswith("older than the send ledger remembers")


@pytest.mark.parametrize(
    ("status", "found"), [("sent", ["0: sent"]), ("dead", ["0"]), ("retrying", ["0: held or on their way"])]
)
def test_messages_go_by_the_outcomes_of_their_own(status: str, found: list[str]) -> None:
    told = outcome(status, message_id=sent_message(3).message_id, origin="events/0/8")
    other = outcome("sent", message_id="another", origin="events/0/8")
    assert chosen(Selection(what="messages"), [MESSAGE], told, other) == found


def test_a_dead_letter_whose_replay_was_sent_is_left_out() -> None:
    told = outcome("sent", message_id="new", replay_of=sent_message(3).message_id)
    assert chosen(Selection(what="dead", stages=("deliver",)), LETTERS, told) == [
        "2: sent by an earlier replay"
    ]


def test_each_first_record_is_taken_once() -> None:
    replay = Replay("r0", force=False, origin=Origin("events", 1, 1))
    copy = event(51)._replace(value=event(1).value, headers=(replay_header(replay),))
    assert chosen(Selection(what="events"), [event(1), copy]) == [
        "0",
        "1: copies: their first record is replayed already",
    ]
    assert len(chosen(Selection(what="dead"), [letter(event(1)), letter(copy), letter(event(1))])) == 3


def test_a_message_and_its_replay_that_both_died_are_replayed_once() -> None:
    again = letter(message_record(9, replay="r0", replay_of=sent_message(3).message_id), stage="deliver")
    first = letter(message_record(3), stage="deliver")
    found = chosen(Selection(what="dead"), [first, again])
    assert found == ["0", "1: copies: their first record is replayed already"]
    told = outcome("sent", message_id="new", replay_of=sent_message(3).message_id)
    assert chosen(Selection(what="dead"), [again], told) == ["0: sent by an earlier replay"]


def test_what_is_for_many_is_left_out() -> None:
    order = event(1)._replace(headers=(("tocsin-broadcast", b"order"),))
    topic = event(2, tocsintopic="flight/1")
    segment = event(3)._replace(
        value=b'{"specversion":"1.0","id":"b","source":"/s","type":"t","tocsinsegment":"*"}'
    )
    found = chosen(Selection(what="events"), [order, topic, segment])
    assert ["broadcast" in found[0], "topic" in found[1], "segment" in found[2]] == [True, True, True]


def test_what_a_declared_topic_holds_and_nobody_could_decode_is_its_owner_s() -> None:
    died = RawRecord("source:shop.orders", 0, 1, NOW_MS, None, b"x", ())
    assert chosen(Selection(what="dead"), [letter(died, Reason.BAD_JSON, "decode")])[0].startswith(
        "0: of a declared topic"
    )
    read_back_letter = letter(event(1)._replace(topic="source:shop.orders"))
    assert chosen(Selection(what="dead"), [read_back_letter]) == ["0"]
