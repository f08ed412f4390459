"""Digests: what joins which, when one is due, what it carries, and what becomes of it and of its items."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, SECOND, World, profile, said, sent
from tocsin.catalog.files import read
from tocsin.catalog.loader import Catalog, load
from tocsin.catalog.matching import Match
from tocsin.decision import digests
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.recipient import defaults_of, for_event
from tocsin.decision.subjects import EventSubject
from tocsin.decision.verdict import Detail, Expire, Merge
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin, Recipient
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Preferences, QuietHours

FOLDER = Path(__file__).parent / "catalogs" / "digests"
CATALOG = load(FOLDER)
FULL: Detail = {"counter": "user", "limit": 1, "window_s": 60.0, "count": 1}
MERGED, HELD = ("merged", "", "*"), ("held", "digest", "*")


def world(catalog: Catalog = CATALOG, policy: GatePolicy | None = None, **changes: object) -> World:
    found = World(catalog=catalog, policy=policy)
    found.profile(profile(**changes))
    return found


def item(n: int, key: str = "k", **more: object) -> dict[str, object]:
    return {"n": n, "key": key, **more}


def carried(message: Message) -> dict[str, Any]:
    """The data that the template of a digest gets."""
    assert message.digest
    found: dict[str, Any] = json.loads(bytes(message.data))
    return found


def final(found: World) -> list[Outcome]:
    """Outcomes of digests, without those of their items."""
    return [one for one in found.outcomes if one.status not in ("merged", "held")]


def edited(path: Path, **changes: dict[str, Any] | None) -> Catalog:
    """Load the catalog with some notifications changed; None removes one."""
    notices = read(FOLDER / "notifications" / "all.yaml", "all.yaml")[0].data
    for name, change in changes.items():
        if change is None:
            del notices[name]
        else:
            notices[name] |= change
    files = {
        "notifications/all.yaml": yaml.safe_dump(notices),
        "tenants/quiet.yaml": (FOLDER / "tenants" / "quiet.yaml").read_text(),
        "templates/plain/en/text.j2": "",
    }
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return load(path)


def test_items_of_a_window_are_sent_as_one() -> None:
    ann = world()
    first = ann.event("hourly", data=item(1))
    assert said(first) == [HELD, MERGED]
    digest, merged = first.outcomes
    assert merged.detail == {"into": digest.notification_id, "item": 1}
    assert merged.rule == digest.rule == "digest"
    assert digest.detail == {"due_ms": NOON + HOUR}
    second = ann.event("hourly", at=HOUR - 1, data=item(2))
    assert [one.detail for one in second.outcomes] == [{"into": digest.notification_id, "item": 2}]
    ann.advance(HOUR)
    (message,) = ann.messages
    assert carried(message) == {"items": [{"n": 1}, {"n": 2}], "count": 2, "more": 0, "key": "k"}
    assert (message.notification_id, message.decided_ms) == (digest.notification_id, NOON + HOUR)
    assert (message.event_time_ms, message.received_ms) == (NOON + HOUR, NOON), (
        "latency counts from the first"
    )
    assert message.expires_ms == NOON + 3 * HOUR, "the catalog's expiry counts from when it is due"
    assert not ann.timers
    assert not ann.kept
    assert said(ann.event("hourly", at=HOUR, data=item(3))) == [HELD, MERGED], "the next one"


def test_each_key_and_each_user_has_a_digest_of_its_own() -> None:
    ann = world()
    ann.profile(profile(), user="bob")
    for number, (user, key) in enumerate([("ann", "k"), ("ann", "l"), ("bob", "k"), ("ann", "k")]):
        ann.event("hourly", user=user, data=item(number, key))
    ann.advance(HOUR)
    found = {(one.user, carried(one)["key"]): carried(one)["count"] for one in ann.messages}
    assert found == {("ann", "k"): 2, ("ann", "l"): 1, ("bob", "k"): 1}
    assert len({one.notification_id for one in ann.messages}) == 3


def test_beyond_max_items_the_first_are_kept_and_the_others_counted() -> None:
    ann = world()
    steps = [ann.event("hourly", data=item(number)) for number in range(5)]
    assert steps[3].outcomes[0].detail["left_out"] == "max_items"
    ann.advance(HOUR)
    assert carried(ann.messages[0]) == {
        "items": [{"n": 0}, {"n": 1}, {"n": 2}], "count": 5, "more": 2, "key": "k"
    }  # fmt: skip


def test_a_sliding_window_ends_after_a_pause_or_at_its_longest() -> None:
    ann = world()
    for minute in (0, 8, 16):
        ann.event("sliding", at=minute * MINUTE)
    ann.advance(26 * MINUTE - 1)
    assert not ann.messages
    ann.advance(26 * MINUTE)
    assert carried(ann.messages[0])["count"] == 3
    for minute in range(40, 80, 5):
        ann.event("sliding", at=minute * MINUTE)
    assert [one.decided_ms for one in ann.messages[1:]] == [NOON + 70 * MINUTE], (
        "30 minutes, not after 10 of pause"
    )
    assert carried(ann.messages[1])["count"] == 6, "40 to 65; at 70 the timer is first"


def test_a_full_digest_is_due_at_once() -> None:
    ann = world()
    for second in range(7):
        ann.event("counted", at=second * SECOND, data=item(second))
    ann.advance(7 * SECOND)
    assert [one.decided_ms - NOON for one in ann.messages] == [2 * SECOND, 5 * SECOND]
    assert [(carried(one)["count"], carried(one)["more"]) for one in ann.messages] == [(3, 1), (3, 1)]
    ann.advance(6 * SECOND + 31 * DAY)
    assert carried(ann.messages[2])["count"] == 1, "it does not wait for ever"


def test_several_digests_may_fill_in_one_decision() -> None:
    """A profile releases all events that waited for it."""
    found = World(catalog=CATALOG)
    for second in range(7):
        found.event("counted", at=second * SECOND, data=item(second))
    found.profile(profile(), at=8 * SECOND)
    found.advance(9 * SECOND)
    assert [carried(one)["count"] for one in found.messages] == [3, 3]
    assert [one["n"] for message in found.messages for one in carried(message)["items"]] == [0, 1, 3, 4]
    assert len(found.timers) == 1


def test_a_clock_time_is_that_of_the_user() -> None:
    ann = world(timezone="Asia/Tokyo")
    ann.event("morning")
    ann.event("weekly")
    due = [due_ms for due_ms, _ in ann.timers.values()]
    assert due == [NOON + 11 * HOUR, NOON + (5 * 24 + 11) * HOUR], "14 November 2023 was a Tuesday"
    zones = [one.detail.get("zone") for one in ann.outcomes if one.status == "held"]
    assert zones == ["Asia/Tokyo"] * 2, "whoever asks when it is due sees the time of the catalog"


def test_a_digest_of_one_is_sent_as_the_plain_notification_if_the_catalog_says_so() -> None:
    ann = world()
    first = ann.event("single", data=item(7))
    ann.advance(2 * HOUR)
    (message,) = ann.messages
    assert (message.digest, json.loads(bytes(message.data))) == (False, item(7))
    assert message.notification_id == first.outcomes[0].notification_id
    assert message.event_time_ms == NOON
    assert message.expires_ms == NOON + 3 * HOUR, "it waited for no fault of its own"
    ann.event("single", at=3 * HOUR)
    ann.event("single", at=3 * HOUR)
    ann.advance(5 * HOUR)
    assert carried(ann.messages[1])["count"] == 2


def test_it_goes_to_each_channel_that_some_item_asked_for() -> None:
    ann = world()
    ann.event("hourly", data=item(1))
    ann.event("hourly", data=item(2, loud=True))
    ann.event("hourly", data=item(3, "other"))
    ann.advance(HOUR)
    found = [(one.channel, carried(one)["key"]) for one in ann.messages]
    assert sorted(found) == [("email", "k"), ("email", "other"), ("sms", "k")]


def test_nothing_is_collected_for_somebody_who_opted_out() -> None:
    ann = world(preferences=Preferences(enabled=False))
    assert said(ann.event("hourly", data=item(1))) == [("suppressed", "opted_out", "*")]


def test_an_opt_out_before_it_is_due_ends_the_digest() -> None:
    ann = world()
    ann.event("hourly", data=item(1))
    ann.profile(profile(version=2, preferences=Preferences(notifications={"hourly": False})), at=MINUTE)
    ann.advance(HOUR)
    assert [(one.status, one.reason) for one in final(ann)] == [("suppressed", "notification_off")]
    assert not ann.messages


def test_quiet_hours_hold_a_digest_and_its_items_stay() -> None:
    ann = world(quiet_hours=QuietHours("12:30", "14:00"))
    ann.event("hourly", data=item(1, loud=True))
    ann.advance(HOUR)
    held = [one for one in ann.outcomes if one.status == "held"]
    assert [(one.reason, one.detail["due_ms"]) for one in held] == [
        ("digest", NOON + HOUR), ("quiet_hours", NOON + 2 * HOUR)
    ]  # fmt: skip
    ann.advance(2 * HOUR)
    assert sent(ann.steps[-1]) == ["email", "sms"]
    assert carried(ann.messages[0])["items"] == [{"n": 1}]
    assert ann.messages[0].expires_ms == NOON + 3 * HOUR
    digest = held[0].notification_id
    assert {one.notification_id for one in held} == {one.notification_id for one in ann.messages} == {digest}


def test_quiet_hours_hold_a_digest_of_one_that_is_sent_plainly() -> None:
    ann = world(quiet_hours=QuietHours("13:30", "14:30"))
    ann.event("single", data=item(7))
    ann.advance(3 * HOUR)
    assert [(one.digest, one.decided_ms - NOON) for one in ann.messages] == [(False, 150 * MINUTE)]


def test_a_limit_counts_a_digest_once_and_none_of_its_items() -> None:
    ann = world()
    for minute in range(5):
        ann.event("busy", at=minute * MINUTE)
    ann.event("busy", at=2 * HOUR)
    ann.advance(3 * HOUR)
    assert [(one.status, one.reason) for one in ann.outcomes[-1:]] == [("held", "limit_hold")]
    ann.advance(25 * HOUR)
    assert [(carried(one)["count"], one.decided_ms - NOON) for one in ann.messages] == [
        (5, HOUR), (1, 25 * HOUR)
    ]  # fmt: skip


def test_what_is_delayed_is_collected_when_its_delay_is_over() -> None:
    ann = world()
    assert said(ann.event("delayed")) == [("held", "scheduled", "*")]
    ann.advance(70 * MINUTE)
    assert [(carried(one)["count"], one.decided_ms - NOON) for one in ann.messages] == [(1, 70 * MINUTE)]


def test_an_event_that_expires_before_a_fixed_end_expires_at_once() -> None:
    ann = world()
    late = ann.event("hourly", data=item(1), expires=HOUR - 1)
    assert [(one.status, one.reason, one.detail) for one in late.outcomes] == [
        ("expired", "too_late", {"held_for": "digest"})
    ]
    assert said(ann.event("hourly", data=item(1), expires=HOUR)) == [HELD, MERGED]


def test_a_window_without_a_fixed_end_ends_before_an_item_expires() -> None:
    ann = world()
    ann.event("sliding", expires=15 * MINUTE)
    ann.event("sliding", at=9 * MINUTE)
    ann.event("sliding", at=10 * MINUTE, expires=12 * MINUTE)
    ann.advance(DAY)
    assert [(one.decided_ms - NOON, carried(one)["count"]) for one in ann.messages] == [(12 * MINUTE, 3)]


def test_later_items_do_not_move_the_end_past_the_expiry_of_an_earlier_one() -> None:
    ann = world()
    ann.event("sliding", expires=15 * MINUTE)
    ann.event("sliding", at=9 * MINUTE)
    ann.advance(DAY)
    assert [(one.decided_ms - NOON, carried(one)["count"]) for one in ann.messages] == [(15 * MINUTE, 2)]


def test_an_inline_recipient_has_digests_too() -> None:
    found = World(catalog=CATALOG)
    bob = Recipient(email="bob@mail.example")
    found.event("hourly", user="bob", data=item(1), recipient=bob)
    found.event("hourly", user="bob", data=item(2), recipient=bob)
    found.advance(HOUR)
    assert [(one.target.address, carried(one)["count"]) for one in found.messages] == [
        ("bob@mail.example", 2)
    ]


def test_an_erasure_ends_open_digests() -> None:
    ann = world()
    ann.event("hourly", data=item(1))
    erased = ann.profile(None, at=MINUTE)
    assert said(erased) == [("suppressed", "erased", "*")]
    assert not ann.timers
    assert not ann.kept


def test_a_user_has_so_many_open_digests_at_most() -> None:
    ann = world(policy=GatePolicy(digests_max=2))
    for key in ("a", "b"):
        ann.event("hourly", data=item(1, key))
    beyond = ann.event("hourly", data=item(1, "c"))
    assert [(one.status, one.reason, one.detail) for one in beyond.outcomes] == [
        ("suppressed", "limit", {"counter": "digests", "limit": 2, "count": 2})
    ]
    assert said(ann.event("hourly", data=item(2, "a"))) == [MERGED]


def test_beyond_so_many_bytes_items_are_only_counted() -> None:
    ann = world(policy=GatePolicy(digest_bytes=20))
    steps = [ann.event("hourly", data=item(number, key)) for number, key in enumerate("aab")]
    assert [one.outcomes[-1].detail.get("left_out") for one in steps] == [None, None, "digest_bytes"]
    ann.advance(HOUR)
    assert [(carried(one)["items"], carried(one)["more"]) for one in ann.messages] == [
        ([{"n": 0}, {"n": 1}], 0), ([], 1)
    ]  # fmt: skip


def test_the_record_of_a_user_does_not_grow_with_the_items() -> None:
    ann = world()
    sizes = []
    for second in range(12):
        ann.event("hourly", at=second, data=item(second), event_id="same" if second else "")
        sizes.append(len(ann.records["ann"]))
    ann.event("sliding", data={"text": "x" * 5_000})
    before = len(ann.records["ann"])
    ann.event("sliding", data={"text": "x" * 5_000}, event_id="same")
    assert before == len(ann.records["ann"]), "a duplicate"
    ann.event("sliding", data={"text": "x" * 5_000})
    assert len(ann.records["ann"]) - before < 60, "one entry of dedup"


def test_a_changed_window_leaves_an_open_digest_its_due_time(tmp_path: Path) -> None:
    ann = world()
    ann.event("hourly", data=item(1))
    changed = edited(tmp_path, hourly={"digest": {"slide": "5m", "at_most": "2h", "key": "data.key"}})
    ann.gate = Gate(changed, GatePolicy())
    ann.event("hourly", at=58 * MINUTE, data=item(2))
    ann.advance(HOUR)
    (message,) = ann.messages
    assert carried(message)["count"] == 2
    ann.event("hourly", at=61 * MINUTE, data=item(3))
    ann.advance(66 * MINUTE)
    assert carried(ann.messages[1])["count"] == 1, "the next one has the new window"


def test_a_lower_count_fills_an_open_digest(tmp_path: Path) -> None:
    ann = world()
    ann.event("counted")
    ann.gate = Gate(edited(tmp_path, counted={"digest": {"count": 2}}), GatePolicy())
    ann.event("counted", at=SECOND)
    ann.advance(2 * SECOND)
    assert [carried(one)["count"] for one in ann.messages] == [2]


def test_a_notification_that_collects_no_more_still_sends_its_open_digest(tmp_path: Path) -> None:
    ann = world()
    ann.event("hourly", data=item(1))
    ann.gate = Gate(edited(tmp_path, hourly={"digest": None}), GatePolicy())
    assert sent(ann.event("hourly", at=MINUTE, data=item(2))) == ["email"]
    ann.advance(HOUR)
    assert [one.digest for one in ann.messages] == [False, True]


def test_a_notification_that_is_gone_cancels_its_open_digest(tmp_path: Path) -> None:
    ann = world()
    ann.event("hourly", data=item(1))
    ann.gate = Gate(edited(tmp_path, hourly=None), GatePolicy())
    ann.advance(HOUR)
    assert [(one.status, one.reason) for one in final(ann)] == [("cancelled", "no_match")]
    assert not ann.kept


def evaluation(kind: str, found: World, **changes: Any) -> Evaluation:
    """An event of a user as a limit sees it."""
    notification = CATALOG.notification("quiet", kind)
    record, tenant = found.record(), CATALOG.tenant("quiet")
    assert notification is not None
    assert record is not None
    assert tenant is not None
    event = Event(
        tenant="quiet", id="e", source="/s", type=kind, user="ann", time_ms=NOON, data=msgspec.Raw(b"{}"),
        origin=Origin("events", 3, 99), received_ms=NOON,
    )  # fmt: skip
    event = msgspec.structs.replace(event, **changes)
    recipient = for_event(record, event, defaults_of(tenant))
    assert recipient is not None
    subject = EventSubject(event, rewritten(event), Match(notification, notification.channels), NOON)
    return Evaluation(subject, recipient, notification, record, NOON, Stage.EVENT)


def test_what_overflows_a_limit_is_due_when_there_is_room() -> None:
    found = world()
    merge = digests.overflow(evaluation("delayed", found), NOON + 3 * HOUR, FULL)
    assert isinstance(merge, Merge)
    assert merge.detail == {"into": merge.group, "item": 1, **FULL}
    assert merge.due_ms == NOON + HOUR, "the catalog names a window"
    plain = evaluation("delayed", found)
    plain.notification = msgspec.structs.replace(plain.notification, digest=None)
    merge = digests.overflow(plain, NOON + 3 * HOUR, FULL)
    assert isinstance(merge, Merge)
    assert (merge.due_ms, merge.item) == (NOON + 3 * HOUR, 1)
    late = evaluation("delayed", found, expires_ms=NOON + HOUR)
    late.notification = plain.notification
    assert isinstance(digests.overflow(late, NOON + 3 * HOUR, FULL), Expire)


@pytest.mark.parametrize("stage", [Stage.DIGEST, Stage.PART, Stage.RETURNED])
def test_what_is_no_new_notification_does_not_overflow_into_a_digest(stage: Stage) -> None:
    found = evaluation("delayed", world())
    found.stage = stage
    assert digests.overflow(found, NOON + HOUR, FULL) is None


MARKS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, SECOND, 5 * MINUTE, 40 * MINUTE]),
        st.sampled_from(["hourly", "sliding", "counted", "morning", "single"]),
        st.sampled_from("kl"),
    ),
    max_size=40,
)


@given(MARKS, st.sampled_from([GatePolicy(), GatePolicy(digest_bytes=60)]))
@settings(max_examples=60, deadline=None)
def test_every_item_is_in_exactly_one_digest_within_its_window(
    marks: list[tuple[int, str, str]], policy: GatePolicy
) -> None:
    found, at, times = world(policy=policy), 0, {}
    for number, (pause, kind, key) in enumerate(marks):
        at += pause
        found.event(kind, at=at, data=item(number, key), event_id=f"i{number}")
        times[f"i{number}"] = (kind, key if kind == "hourly" else "", NOON + at)
    found.advance(at + 40 * DAY)
    merged = [one for one in found.outcomes if one.status == "merged"]
    assert sorted(one.event_id for one in merged) == sorted(times)
    sent = {one.notification_id: one for one in found.messages}
    members: dict[str, list[Outcome]] = {nid: [] for nid in sent}
    for one in merged:
        members[str(one.detail["into"])].append(one)
    for nid, items in members.items():
        check_digest(sent[nid], [times[one.event_id] for one in items], items)
    assert len(found.messages) == len(sent)
    assert not found.timers
    assert not found.kept


def check_digest(message: Message, times: list[tuple[str, str, int]], items: list[Outcome]) -> None:
    """One digest: its items are of one kind and key, its count is theirs, and it leaves in its time."""
    ((kind, _),) = {(kind, key) for kind, key, _ in times}
    assert [one.detail["item"] for one in items] == list(range(1, len(items) + 1))
    first, last, due = times[0][2], times[-1][2], message.decided_ms
    if message.digest:
        data = carried(message)
        assert data["count"] == len(items)
        kept = [one for one in items if "left_out" not in one.detail]
        assert (len(data["items"]), data["more"]) == (len(kept), len(items) - len(kept))
        assert [f"i{one['n']}" for one in data["items"]] == [one.event_id for one in kept]
    else:
        assert (kind, len(items)) == ("single", 1)
    full = len(items) == 3
    assert {
        "hourly": due == first + HOUR,
        "sliding": due == min(last + 10 * MINUTE, first + 30 * MINUTE),
        "counted": len(items) <= 3 and due == (last if full else first + 31 * DAY),
        "morning": due % DAY == 8 * HOUR and due - first <= DAY,
        "single": due == first + 2 * HOUR,
    }[kind]


def test_a_cancel_event_ends_an_open_digest() -> None:
    ann = world()
    nid = ann.event("hourly", data=item(1)).outcomes[0].notification_id
    ann.event("hourly", data=item(2))
    cancelled = ann.event("tocsin.cancel", at=MINUTE, data={"notification_id": nid})
    assert [(one.status, one.notification_id) for one in cancelled.outcomes[:1]] == [("cancelled", nid)]
    assert not ann.timers
    assert not ann.kept
    assert said(ann.event("hourly", at=2 * MINUTE, data=item(3))) == [HELD, MERGED], "a new one"
