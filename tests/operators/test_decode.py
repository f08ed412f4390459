"""Decode: each record lands in its key group, at its channel, at home, or a dead letter with a reason."""

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.decode import Decoder
from operators.decode_parts import DecodePolicy, Routed
from operators.gate_parts import GateInput, GroupBatch
from operators.homes import Homes
from sources.partitioner import key_group_of, partition_of
from tests.providers.samples import MARKS, message
from tocsin.decision.suppressions import AddressReport
from tocsin.formats import codec
from tocsin.formats.codec import EventLimits, ProfileChange, read_dead_letter
from tocsin.formats.forwarded import ORIGIN_HEADER, RECEIVED_HEADER
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.ids import target_id
from tocsin.model.message import Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

LIMITS = EventLimits(max_bytes=10_000, max_past_s=86_400, max_future_s=3_600, check_time=True)
PARTITIONS, KEY_GROUPS = 4, 3
NOW = 1_700_000_000_000


class Clocks:
    """Monotone clocks, kept in a dict."""

    def __init__(self) -> None:
        self.times: dict[int, int] = {}

    def advance(self, partition: int, ms: int) -> int:
        self.times[partition] = max(ms, self.times.get(partition, 0))
        return self.times[partition]

    def now(self, partition: int) -> int:
        return self.times.get(partition, 0)


class Notes:
    """What the decoder said of each record."""

    def __init__(self) -> None:
        self.seen: Counter[bool] = Counter()

    def decoded(self, topic: str, partition: int, count: int) -> None:
        self.seen[True] += count

    def failed(self, topic: str, partition: int) -> None:
        self.seen[False] += 1


def decoder(notes: Notes | None = None, *, stream: bool = False) -> Decoder:
    limits = LIMITS._replace(check_time=not stream)
    policy = DecodePolicy(partitions=PARTITIONS, key_groups=KEY_GROUPS, limits=limits, stream_clock=stream)
    return Decoder(policy, Clocks(), notes or Notes(), marks=MARKS)


def home(user: str) -> int:
    return partition_of(f"default/{user}".encode(), PARTITIONS)


def event(
    user: str,
    *,
    partition: int | None = None,
    offset: int = 0,
    ts: int = NOW,
    time: str = "",
    **extra: object,
) -> RawRecord:
    body = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": user, "data": {}} | extra
    if time:
        body["time"] = time
    at = home(user) if partition is None else partition
    return RawRecord(topics.EVENTS, at, offset, ts, b"k", json.dumps(body).encode(), ())


def inputs(routed: list[Routed]) -> list[GateInput]:
    return [one for step in routed if isinstance(step.bundle, GroupBatch) for one in step.bundle.inputs]


def outs(routed: list[Routed]) -> list[OutRecord]:
    return [
        one for step in routed if step.step == "outbox" for one in step.bundle if isinstance(one, OutRecord)
    ]


def test_an_event_goes_to_its_users_key_group() -> None:
    routed = decoder()([event("ann")])
    key_group = f"{home('ann')}.{key_group_of(b'default/ann', KEY_GROUPS)}"
    assert [(one.step, one.key) for one in routed] == [("gate", key_group)]
    (entry,) = inputs(routed)
    assert (entry.user_key, entry.now_ms) == ("default/ann", NOW)
    assert isinstance(entry.item, Event)


def test_order_in_a_key_group_is_the_order_of_the_batch() -> None:
    routed = decoder()([event("ann", offset=n) for n in range(5)])
    found = [entry.item.origin.offset for entry in inputs(routed) if isinstance(entry.item, Event)]
    assert found == [0, 1, 2, 3, 4]


def test_time_of_a_partition_never_runs_back() -> None:
    routed = decoder()([event("ann", ts=NOW), event("ann", ts=NOW - 5_000), event("ann", ts=NOW + 1)])
    assert [entry.now_ms for entry in inputs(routed)] == [NOW, NOW, NOW + 1]


def test_a_producer_with_a_wrong_clock_does_not_move_the_time_of_everybody() -> None:
    """A partition's time never runs back: years ahead, every hold would be over and every expiry past."""
    policy = DecodePolicy(partitions=PARTITIONS, key_groups=KEY_GROUPS, limits=LIMITS)
    clocks = Clocks()
    decode = Decoder(policy, clocks, Notes(), lambda: NOW)
    microseconds, fine = event("ann", ts=NOW * 1_000), event("ann", ts=NOW + 60_000)
    first, ahead = inputs(decode([fine, microseconds]))
    assert first.now_ms == NOW + 60_000
    latest_ms = NOW + LIMITS.max_future_s * 1000
    assert (ahead.now_ms, clocks.now(home("ann"))) == (latest_ms, latest_ms)
    assert isinstance(ahead.item, Event)
    assert ahead.item.received_ms == latest_ms


def test_under_the_stream_clock_only_event_time_counts() -> None:
    at = "2013-01-01T10:00:00Z"
    (entry,) = inputs(decoder(stream=True)([event("ann", time=at, ts=NOW)]))
    assert entry.now_ms == 1_357_034_400_000


def test_under_the_stream_clock_the_wait_of_a_retry_counts_from_the_events_own_time() -> None:
    """Delivery waits by the wall clock. By that time the retry would wait for years of events."""
    about = msgspec.structs.replace(message("email"), tenant="default", user="ann")
    retry = codec.encode(Retry(message=about, reason="transient", due_ms=NOW + 30_000))
    first = event("ann", time="2013-01-01T10:00:00Z")
    made = decoder(stream=True)
    made([first])
    (entry,) = inputs(made([first._replace(topic=topics.RETRIES, value=retry)]))
    assert isinstance(entry.item, Retry)
    assert entry.item.due_ms - entry.now_ms == 30_000


def test_an_event_on_a_foreign_partition_is_forwarded_once_and_counted_where_it_was_first_read() -> None:
    away = (home("ann") + 1) % PARTITIONS
    (forwarded,) = outs(decoder()([event("ann", partition=away, offset=9, ts=NOW)]))
    assert (forwarded.topic, forwarded.partition, forwarded.key) == (
        topics.EVENTS,
        home("ann"),
        b"default/ann",
    )
    assert dict(forwarded.headers)[ORIGIN_HEADER] == f"events/{away}/9".encode()
    again = RawRecord(
        topics.EVENTS, home("ann"), 55, NOW + 500, forwarded.key, forwarded.value, forwarded.headers
    )
    (entry,) = inputs(decoder()([again]))
    assert isinstance(entry.item, Event)
    assert str(entry.item.origin) == f"events/{away}/9"
    assert entry.item.received_ms == NOW


def test_a_misplaced_profile_leaves_a_tombstone_that_erases_nobody() -> None:
    away = (home("ann") + 1) % PARTITIONS
    raw = RawRecord(topics.PROFILES, away, 9, NOW, b'"default/ann"', b'{"email": "a@b.example"}', ())
    forwarded, left = outs(decoder()([raw]))
    assert (forwarded.partition, forwarded.key, forwarded.value) == (home("ann"), b"default/ann", raw.value)
    assert (left.topic, left.partition, left.key, left.value) == (raw.topic, away, raw.key, None)
    for partition in (away, home("ann")):
        again = RawRecord(topics.PROFILES, partition, 10, NOW, left.key, left.value, left.headers)
        assert decoder()([again]) == []


def test_a_misplaced_erasure_is_forwarded_and_is_its_own_tombstone() -> None:
    away = (home("ann") + 1) % PARTITIONS
    (forwarded,) = outs(decoder()([RawRecord(topics.PROFILES, away, 9, NOW, b"default/ann", None, ())]))
    assert (forwarded.partition, forwarded.key, forwarded.value) == (home("ann"), b"default/ann", None)
    again = RawRecord(topics.PROFILES, home("ann"), 3, NOW, forwarded.key, None, forwarded.headers)
    (entry,) = inputs(decoder()([again]))
    assert isinstance(entry.item, ProfileChange)
    assert entry.item.profile is None


def test_a_receipt_without_a_user_goes_to_every_partition_and_there_to_every_key_group() -> None:
    value = msgspec.json.encode({"kind": "opted_out", "channel": "sms", "address": "12125550142"})
    copies = outs(decoder()([RawRecord(topics.RECEIPTS, 2, 7, NOW, None, value, ())]))
    assert [(one.topic, one.partition, one.value) for one in copies] == [
        (topics.RECEIPTS, partition, value) for partition in range(PARTITIONS)
    ]
    found = [
        entry
        for one in copies
        for entry in inputs(
            decoder()([RawRecord(topics.RECEIPTS, one.partition, 9, NOW, one.key, value, one.headers)])
        )
    ]
    assert len(found) == PARTITIONS * KEY_GROUPS * 2, "both spellings of the number"
    assert [entry.item.is_logged for entry in found if isinstance(entry.item, AddressReport)].count(True) == 1
    assert {entry.user_key for entry in found} == {
        f"default/\x01{target_id(number)}" for number in ("12125550142", "+12125550142")
    }


def test_a_receipt_with_a_mark_finds_the_partition_and_key_group_of_its_user() -> None:
    sent = message("email", tenant="default", user="ann")
    value = msgspec.json.encode({"kind": "complained", "mark": MARKS.of(sent)})
    away = (home("ann") + 1) % PARTITIONS
    (forwarded,) = outs(decoder()([RawRecord(topics.RECEIPTS, away, 3, NOW, b"any", value, ())]))
    assert (forwarded.partition, forwarded.key) == (home("ann"), b"default/ann")
    again = RawRecord(topics.RECEIPTS, home("ann"), 4, NOW, forwarded.key, forwarded.value, forwarded.headers)
    (entry,) = inputs(decoder()([again]))
    assert isinstance(entry.item, ReceiptEvent)
    assert (entry.user_key, entry.item.message_id) == ("default/ann", sent.message_id)


def test_a_forwarded_event_that_is_still_not_at_home_is_dead() -> None:
    away = (home("ann") + 1) % PARTITIONS
    raw = event("ann", partition=away)._replace(
        headers=((ORIGIN_HEADER, b"events/0/1"), (RECEIVED_HEADER, b"1"))
    )
    letter, outcome = outs(decoder()([raw]))
    assert dict(letter.headers)["tocsin-reason"] == b"forward_loop"
    assert msgspec.json.decode(outcome.value or b"", type=Outcome).origin == "events/0/1"


@pytest.mark.parametrize(
    "mark",
    [
        b"nonsense", b"\xff/\xff/\xff", b"events/x/1", b"events/1/", b"orders/0/5", b"events/4/5",
        b"events/-1/5", b"events/0/-1", b"events/0/" + b"9" * 30, b"events/0/" + b"9" * 5_000,
    ],
)  # fmt: skip
def test_a_forged_origin_header_is_a_dead_letter_that_names_the_cure(mark: bytes) -> None:
    raw = event("ann")._replace(headers=((ORIGIN_HEADER, mark),))
    letter, _ = outs(decoder()([raw]))
    assert b"leave it out" in dict(letter.headers)["tocsin-error"]


def test_what_cannot_be_decoded_is_a_dead_letter_with_bytes_and_an_outcome_with_the_origin() -> None:
    notes = Notes()
    raw = event("ann")._replace(value=b"{broken", partition=2, offset=7)
    letter, outcome = outs(decoder(notes)([raw, event("bob")]))
    dead = read_dead_letter(
        RawRecord(topics.DEAD, letter.partition, 0, 0, letter.key, letter.value, letter.headers)
    )
    assert (dead.value, dead.origin_topic, dead.origin_partition, dead.origin_offset) == (
        b"{broken",
        "events",
        2,
        7,
    )
    said = msgspec.json.decode(outcome.value or b"", type=Outcome)
    assert (said.status, said.reason, said.origin) == ("dead", Reason.BAD_JSON, "events/2/7")
    assert notes.seen == {False: 1, True: 1}


def test_profiles_and_erasures_reach_the_key_group() -> None:
    key = b"default/ann"
    change = RawRecord(topics.PROFILES, home("ann"), 0, NOW, key, b'{"email": "a@example.com"}', ())
    erasure = change._replace(value=None)
    found = [entry.item for entry in inputs(decoder()([change, erasure]))]
    assert isinstance(found[0], ProfileChange)
    assert isinstance(found[1], ProfileChange)
    assert found[0].profile is not None
    assert found[1].profile is None


def test_messages_of_a_channel_go_there_in_one_bundle_and_outcomes_to_the_tracker() -> None:
    ann = RawRecord(topics.messages("sms"), 1, 0, NOW, b"default/ann", b"{}", ())
    bob = ann._replace(partition=2, key=b"default/bob")
    outcome = RawRecord(topics.OUTCOMES, 2, 0, NOW, b"default/ann", b"{}", ())
    bulk = ann._replace(topic=topics.messages("sms", bulk=True))
    routed = decoder()([ann, bob, outcome, bulk])
    assert routed == [Routed("sms", "sms", [ann, bob, bulk]), Routed("track", "track", [outcome])]


def test_waking_names_every_key_group_of_the_partitions_once() -> None:
    routed = decoder().wake(iter([0, 2]))
    gate = [one.key for one in routed if one.step == "gate"]
    assert gate == ["0.0", "0.1", "0.2", "2.0", "2.1", "2.2"]
    assert [one.key for one in routed if one.step == "fan_out"] == ["0.256", "2.256"]
    assert len(routed) == 8
    assert inputs(routed) == []


@given(st.binary(max_size=200), st.integers(0, PARTITIONS - 1))
def test_any_bytes_leave_exactly_one_trace(value: bytes, partition: int) -> None:
    routed = decoder()([RawRecord(topics.EVENTS, partition, 3, NOW, None, value, ())])
    letters = [one for one in outs(routed) if one.topic == topics.DEAD]
    assert len(inputs(routed)) + len(letters) == 1


def test_a_home_is_remembered_and_right_beyond_what_is_remembered() -> None:
    homes = Homes(PARTITIONS, KEY_GROUPS, remembered=3)
    users = [f"default/u{number // 2}" for number in range(20)] + ["default/u0"]
    for user in users:
        key = user.encode()
        partition = partition_of(key, PARTITIONS)
        assert homes.of(user) == (partition, f"{partition}.{key_group_of(key, KEY_GROUPS)}")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, PARTITIONS - 1)), max_size=40))
def test_the_error_limit_hears_of_every_record_in_order(records: list[tuple[bool, int]]) -> None:
    class Marks:
        def __init__(self) -> None:
            self.seen: dict[int, str] = {}

        def decoded(self, topic: str, partition: int, count: int) -> None:
            self.seen[partition] = self.seen.get(partition, "") + "+" * count

        def failed(self, topic: str, partition: int) -> None:
            self.seen[partition] = self.seen.get(partition, "") + "-"

    marks = Marks()
    users = {home(f"u{number}"): f"u{number}" for number in range(99)}
    raws = [
        event(users[partition], offset=at) if fine else event(users[partition])._replace(value=None)
        for at, (fine, partition) in enumerate(records)
    ]
    Decoder(DecodePolicy(PARTITIONS, KEY_GROUPS, LIMITS), Clocks(), marks)(raws)
    wanted = {
        partition: "".join("+" if fine else "-" for fine, at in records if at == partition)
        for partition in {at for _, at in records}
    }
    assert marks.seen == wanted


BATCH = (("content-type", b"application/cloudevents-batch+json; charset=utf-8"),)


def batch(*bodies: object, partition: int = 0) -> RawRecord:
    return RawRecord(topics.EVENTS, partition, 7, NOW, b"shop", json.dumps(bodies).encode(), BATCH)


def test_each_event_of_a_batch_becomes_a_record_of_its_own() -> None:
    """So each has its own place, and with it its own ids, dead letter and final outcome."""
    bodies = [json.loads(event(user).value or b"") | {"id": user} for user in ("ann", "bob")]
    notes = Notes()
    made = outs(decoder(notes)([batch(*bodies)]))
    assert [json.loads(one.value or b"") for one in made] == bodies
    assert {(one.topic, one.partition, one.key) for one in made} == {(topics.EVENTS, 0, b"shop")}
    again = [
        RawRecord(one.topic, one.partition, n, NOW, one.key, one.value, one.headers)
        for n, one in enumerate(made)
    ]
    routed = decoder()(again)
    users = [one.user_key for one in inputs(routed)] + [
        f"default/{json.loads(one.value or b'')['subject']}" for one in outs(routed)
    ]
    assert sorted(users) == ["default/ann", "default/bob"]
    assert notes.seen[False] == 0


def test_what_is_wrong_in_a_batch_is_refused_alone() -> None:
    good = json.loads(event("ann", partition=home("ann")).value or b"")
    made = outs(decoder()([batch(good, 7, {"id": "x"}, partition=home("ann"))]))
    records = [RawRecord(o.topic, o.partition, n, NOW, o.key, o.value, o.headers) for n, o in enumerate(made)]
    routed = decoder()(records)
    assert [one.user_key for one in inputs(routed)] == ["default/ann"]
    assert [one.value for one in outs(routed) if one.topic == topics.DEAD] == [b"7", b'{"id": "x"}']


@pytest.mark.parametrize("value", [b"", b"{}", b"nothing", b'"[]"', None])
def test_a_batch_that_is_no_array_is_one_dead_letter(value: bytes | None) -> None:
    routed = decoder()([batch()._replace(value=value)])
    (dead,) = [one for one in outs(routed) if one.topic == topics.DEAD]
    assert dead.value == value
    assert any(b"no JSON array" in data for _, data in dead.headers)


def test_an_empty_batch_is_nothing() -> None:
    assert outs(decoder()([batch()])) == []


def test_an_event_for_a_topic_goes_to_the_fan_out_of_its_topic_s_partition_wherever_it_lay() -> None:
    topic_home = partition_of(b"default/t/1", PARTITIONS)
    at_home = event("ann", partition=topic_home, tocsintopic="t/1")
    (routed,) = decoder()([at_home])
    assert (routed.step, routed.key) == ("fan_out", f"{topic_home}.256")
    away = (topic_home + 1) % PARTITIONS
    (moved,) = outs(decoder()([event("ann", partition=away, offset=9, tocsintopic="t/1")]))
    assert (moved.topic, moved.partition, moved.key) == (topics.EVENTS, topic_home, b"default/t/1")
    again = RawRecord(topics.EVENTS, topic_home, 3, NOW, moved.key, moved.value, moved.headers)
    (entry,) = inputs(decoder()([again]))
    assert isinstance(entry.item, Event)
    assert (str(entry.item.origin), entry.item.topic) == (f"events/{away}/9", "t/1")
    looped = decoder()([again._replace(partition=away)])
    assert dict(outs(looped)[0].headers)["tocsin-reason"] == b"forward_loop"


def test_a_copy_of_an_event_for_a_topic_stays_on_its_partition() -> None:
    away = (partition_of(b"default/t", PARTITIONS) + 1) % PARTITIONS
    marks = (ORIGIN_HEADER, b"events/0/7"), (RECEIVED_HEADER, b"5"), ("tocsin-broadcast", b"copy")
    raw = event("ann", partition=away, tocsintopic="t")._replace(headers=marks)
    (routed,) = decoder()([raw])
    assert (routed.step, routed.key) == ("fan_out", f"{away}.256")


def test_a_subscription_stays_where_it_lies_and_a_wrong_one_is_dead_with_its_cure() -> None:
    good = RawRecord(topics.SUBSCRIPTIONS, 2, 0, NOW, b"default/t/ann", b"{}", ())
    (routed,) = decoder()([good])
    assert (routed.step, routed.key) == ("fan_out", "2.256")
    notes = Notes()
    letter, _ = outs(decoder(notes)([good, good._replace(key=b"default/ann")]))
    assert dict(letter.headers)["tocsin-error"].startswith(b"key: not tenant/topic/user; set it to")
    assert notes.seen == {True: 1, False: 1}


def test_a_subscriber_s_event_goes_to_the_gate_with_the_time_of_the_first() -> None:
    raw = event("ann", tocsintopic="t", tocsinfanout="events/0/7", ts=NOW + 9)
    (entry,) = inputs(decoder()([raw._replace(headers=((RECEIVED_HEADER, str(NOW).encode()),))]))
    assert isinstance(entry.item, Event)
    assert (entry.user_key, entry.item.received_ms, entry.now_ms) == ("default/ann", NOW, NOW + 9)
    assert str(entry.item.origin) == f"events/{home('ann')}/0", "it is an event of its own"


def test_an_event_for_a_topic_may_come_from_a_declared_topic_with_more_partitions() -> None:
    policy = DecodePolicy(partitions=PARTITIONS, key_groups=KEY_GROUPS, limits=LIMITS)
    read = {"source:ops": lambda raw: codec.decode_event(raw, LIMITS)}
    decode = Decoder(policy, Clocks(), Notes(), declared=read)
    raw = event("ann", partition=PARTITIONS + 5, tocsintopic="t")._replace(topic="source:ops")
    (moved,) = outs(decode([raw]))
    assert (moved.topic, moved.partition) == (topics.EVENTS, partition_of(b"default/t", PARTITIONS))
    again = codec.decode_event(RawRecord(topics.EVENTS, 0, 0, NOW, None, moved.value, ()), LIMITS)
    assert (again.topic, again.user, again.id) == ("t", "", "1")


def _told(raw: RawRecord) -> Outcome:
    _, outcome = outs(decoder()([raw]))
    return msgspec.json.decode(outcome.value or b"", type=Outcome)


BAD = {
    "a time": {"time": "soon"},
    "an old time": {"time": "2001-01-01T00:00:00Z"},
    "a recipient": {"recipient": 7},
    "data": {"data": [1]},
    "an unknown version": {"specversion": "9"},
    "no source": {"source": ""},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_an_event_that_cannot_be_decoded_is_found_by_its_id_user_and_tenant(bad: dict[str, Any]) -> None:
    said = _told(event("ann", **{"id": "order-7", "tenant": "acme", "type": "t.u", **bad}))
    assert (said.event_id, said.user, said.tenant, said.event_type) == ("order-7", "ann", "acme", "t.u")


def test_a_name_that_is_wrong_itself_is_left_out_and_the_others_stay() -> None:
    assert _told(event("ann", id=42)).event_id == "42"
    said = _told(event("ann", id="a\nb", tenant="a/b", source="x" * 600))
    assert (said.event_id, said.event_source, said.tenant, said.user) == ("", "", "default", "ann")
    assert _told(event("ann", tocsintopic="t", recipient={"email": "a@b.example"})).user == ""


def test_binary_mode_is_found_by_its_headers() -> None:
    headers = (("ce_id", b"order-7"), ("CE-Subject", b"ann"), ("ce_type", b"\xff"))
    said = _told(event("ann")._replace(value=b"[]", headers=headers))
    assert (said.event_id, said.user, said.event_type) == ("order-7", "ann", "")


def test_a_profile_that_cannot_be_decoded_is_found_by_its_user() -> None:
    said = _told(RawRecord(topics.PROFILES, 0, 1, NOW, b"acme/ann", b"{broken", ()))
    assert (said.tenant, said.user, said.reason) == ("acme", "ann", Reason.BAD_JSON)
    assert _told(RawRecord(topics.PROFILES, 0, 1, NOW, b"nobody", b"{}", ())).user == ""
