"""The gate's key groups: timers before records, nothing in the gap, steps applied whole, crash and resume."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from operators.gate import GateLogic
from operators.gate_parts import GateInput, GateParts, GroupBatch
from operators.pace import UNPACED, Pace, TimerPace
from tests.decision.gate_world import CATALOG, HOUR, NOON, SECOND, profile
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.formats.codec import ProfileChange, read_dead_letter
from tocsin.formats.forwarded import rewritten
from tocsin.model import topics
from tocsin.model.dead_letter import DeadLetter
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Preferences
from tocsin.model.raw import OutRecord, RawRecord, VersionNote, packed, unpacked, unpacked_1
from tocsin.store import Identity, Shard
from tocsin.store.deltas import changes_of
from tocsin.store.outbox import Form

KEY_GROUP, USER = "0.0", "quiet/ann"
RAW = RawRecord("profiles", 0, 0, NOON, None, None, ())
IDENTITY = Identity(cluster="c", topics={}, partitions=1, key_groups=1)


class Published:
    """What others see."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def publish(self, records: Sequence[Any]) -> None:
        self.records += records

    def confirm(self, timeout_s: float) -> None:
        """All is acknowledged."""


class Clock:
    """What the key group may know of time, moved by hand."""

    def __init__(self) -> None:
        self.until_ms = 0
        self.wall_ms = NOON
        self.gap = False

    def fire_until(self, partition: int) -> int:
        return self.until_ms

    def in_gap(self) -> bool:
        return self.gap

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.wall_ms / 1000, UTC)


class Process:
    """One start of a shard with one key group; `epoch` plays Bytewax, `stored` is its recovery store."""

    def __init__(
        self, path: Path, stored: dict[str, Any], gate: Gate | None = None, pace: Pace = UNPACED
    ) -> None:
        self.stored = stored
        self.published = Published()
        self.clock = Clock()
        self.tally: Counter[tuple[str, str, str]] = Counter()
        self.shard: Shard[UserRecord] = Shard.open(
            path, identity=IDENTITY, codec=RecordCodec(), cache_users=10, publish=self.published,
            form=Form(packed, unpacked, unpacked_1),
        )  # fmt: skip
        self.shard.resume(stored.get("epoch"))
        self.shard.outbox_resume(stored.get("outbox"))
        self.gate = gate or Gate(CATALOG, GatePolicy())
        parts = GateParts(self.shard.key_group, lambda: self.gate, self.clock, self.tally, pace)
        self.logic = GateLogic(stored.get("key_group"), parts)

    def give(self, *inputs: GateInput) -> list[Any]:
        return self._collected(self.logic.on_batch([GroupBatch(KEY_GROUP, list(inputs))]))

    def notify(self) -> list[Any]:
        return self._collected(self.logic.on_notify())

    def _collected(self, result: tuple[list[list[Any]], bool]) -> list[Any]:
        lists, discard = result
        assert discard is False
        records = [record for records in lists for record in records]
        self.shard.collect(records)
        return records

    def epoch(self) -> None:
        """End an epoch: store its rows together, then show it."""
        self.store_rows()
        self.shard.durable()

    def store_rows(self) -> None:
        """Store the rows of an epoch together."""
        row = {
            "epoch": self.shard.closing(),
            "key_group": self.logic.snapshot(),
            "outbox": self.shard.outbox_snapshot(),
        }
        self.stored.clear()
        self.stored.update(row)


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path / "shard", {})


def event(at: int, number: int = 1, kind: str = "promo.new") -> GateInput:
    data = msgspec.Raw(b'{"flight": "UA 1545", "delay": 72, "key": "k"}')
    item = Event(
        tenant="quiet", id=f"e{number}", source="/s", type=kind, user="ann", time_ms=NOON + at, data=data,
        origin=Origin("events", 0, number), received_ms=NOON + at,
    )  # fmt: skip
    return GateInput(NOON + at, USER, item, rewritten(item))


def change(at: int = 0, version: int = 1) -> GateInput:
    return GateInput(NOON + at, USER, ProfileChange("quiet", "ann", profile(version=version)), RAW)


def outcomes(records: list[Any]) -> list[Outcome]:
    decode = msgspec.json.Decoder(Outcome).decode
    ours = (one for one in records if isinstance(one, OutRecord) and one.topic == topics.OUTCOMES)
    return [decode(one.value or b"") for one in ours]


def _letter(letter: OutRecord) -> DeadLetter:
    return read_dead_letter(
        RawRecord(letter.topic, letter.partition, 0, 0, letter.key, letter.value, letter.headers)
    )


def words(records: list[Any]) -> list[tuple[str, str]]:
    return [(one.status, one.reason) for one in outcomes(records)]


def test_an_event_before_its_profile_waits_and_is_decided_when_it_comes(process: Process) -> None:
    assert words(process.give(event(0, kind="personal"))) == [("held", "awaiting_profile")]
    assert words(process.give(change(at=SECOND))) == [("suppressed", "no_match")]


def test_a_timer_due_before_a_record_fires_first_and_at_its_own_time(process: Process) -> None:
    process.give(event(0, number=1, kind="personal"))
    later = process.give(event(60 * SECOND, number=2, kind="personal"))
    assert words(later) == [("dead", "unknown_user"), ("held", "awaiting_profile")]
    assert outcomes(later)[0].at_ms == NOON + 10 * SECOND
    letters = [one for one in later if isinstance(one, OutRecord) and one.topic == topics.DEAD]
    assert [(one.partition, _letter(one).origin_offset) for one in letters] == [(0, 1)]
    assert _letter(letters[0]).last_ms == NOON + 10 * SECOND, "not when the record came that made it fire"


def of_user(entry: GateInput, user: str) -> GateInput:
    assert isinstance(entry.item, Event)
    item = replace(entry.item, user=user)
    return replace(entry, user_key=f"quiet/{user}", item=item, raw=rewritten(item))


def test_a_morning_s_worth_of_holds_is_spread_over_turns_and_changes_no_decision(process: Process) -> None:
    """All in one epoch, a million users' would take gigabytes, and a row that SQLite refuses."""
    users = [f"u{number:04}" for number in range(500)] + ["zoe"]
    for user in users:
        wanted = ProfileChange("quiet", user, profile(version=1))
        process.give(GateInput(NOON, f"quiet/{user}", wanted, RAW))
        held = process.give(of_user(event(9 * HOUR, kind="daytime"), user))
        assert words(held) == [("held", "send_window")]
    morning = NOON + 20 * HOUR
    opted_out = profile(version=2, preferences=Preferences(enabled=False))
    first = process.give(
        GateInput(morning + HOUR, "quiet/zoe", ProfileChange("quiet", "zoe", opted_out), RAW)
    )
    assert 200 <= len(outcomes(first)) < 210
    said = [(one.user, one.status, one.at_ms) for one in outcomes(first)]
    assert ("zoe", "admitted", morning) in said, "what was due came before the change"
    process.clock.until_ms = morning + HOUR
    while published := process.notify():
        assert len(outcomes(published)) <= 200
        said += [(one.user, one.status, one.at_ms) for one in outcomes(published)]
    assert sorted(said) == [(user, "admitted", morning) for user in users]


def test_timers_that_take_long_let_events_pass_and_wait_for_their_share_of_time(tmp_path: Path) -> None:
    """Without a bound, a key group fires 200 timers before an event, whatever they take."""
    now_s = [0.0]

    def a_millisecond_later() -> float:
        now_s[0] += 0.001
        return now_s[0]

    process = Process(tmp_path / "shard", {}, pace=TimerPace(a_millisecond_later))
    users = [f"u{number:04}" for number in range(150)] + ["zoe00"]
    for user in users:
        wanted = ProfileChange("quiet", user, profile(version=1))
        process.give(GateInput(NOON, f"quiet/{user}", wanted, RAW))
        process.give(of_user(event(9 * HOUR, kind="daytime"), user))
    morning = NOON + 20 * HOUR
    first = process.give(of_user(event(21 * HOUR, 2, kind="daytime"), "zoe00"))
    said = [(one.user, one.at_ms) for one in outcomes(first)]
    assert len(said) < 30
    assert said[-2:] == [("zoe00", morning), ("zoe00", NOON + 21 * HOUR)], "what zoe is owed comes first"
    process.clock.until_ms, process.clock.wall_ms = NOON + 21 * HOUR, NOON + 21 * HOUR
    said += [(one.user, one.at_ms) for one in outcomes(process.notify())]
    resting = process.logic.notify_at()
    assert resting is not None
    assert resting.timestamp() * 1000 - process.clock.wall_ms > 4, "it does not ask in vain"
    for _ in range(2 * len(users)):
        published = process.notify()
        assert len(outcomes(published)) <= 20
        said += [(one.user, one.at_ms) for one in outcomes(published)]
    assert sorted(said) == sorted([(user, morning) for user in users] + [("zoe00", NOON + 21 * HOUR)])


def test_the_end_of_an_epoch_stores_no_more_than_its_share_of_time_has_fired(tmp_path: Path) -> None:
    """Without a bound, what all turns of a long epoch have fired is stored at once, while nobody works."""
    now_s, a_timer_s = [0.0], 2**-10  # of such numbers sums are exact

    def one_timer_later() -> float:
        now_s[0] += a_timer_s
        return now_s[0]

    process = Process(tmp_path / "shard", {}, pace=TimerPace(one_timer_later, epoch_s=30 * a_timer_s))
    users = [f"u{number:04}" for number in range(100)]
    for user in users:
        wanted = ProfileChange("quiet", user, profile(version=1))
        process.give(GateInput(NOON, f"quiet/{user}", wanted, RAW))
        process.give(of_user(event(9 * HOUR, kind="daytime"), user))
    process.epoch()
    process.epoch()
    process.clock.until_ms = NOON + 20 * HOUR
    said: list[str] = []
    epochs = []
    while len(said) < len(users):
        for _ in range(50):
            now_s[0] += 0.125  # other work, so that only the bound of the epoch holds
            said += [one.user for one in outcomes(process.notify())]
        process.epoch()
        row = process.stored["key_group"][1]
        changes = changes_of(row, row[1])
        epochs.append((len(changes.records), len(changes.timers)))
    assert epochs == [(30, 30)] * 3 + [(10, 10)]
    assert sorted(said) == users


def test_between_records_timers_fire_as_far_as_time_is_allowed(process: Process) -> None:
    process.give(event(0, kind="personal"))
    process.clock.until_ms = NOON + 9 * SECOND
    assert process.notify() == []
    process.clock.until_ms = NOON + 11 * SECOND
    assert words(process.notify()) == [("dead", "unknown_user")]
    assert process.notify() == []


def test_nothing_is_emitted_in_the_gap(process: Process) -> None:
    process.give(event(0, kind="personal"))
    process.clock.until_ms = NOON + 60 * SECOND
    process.clock.gap = True
    assert process.notify() == []
    process.clock.gap = False
    assert words(process.notify()) == [("dead", "unknown_user")]


def test_a_key_group_without_timers_sleeps_until_its_sweep_and_one_with_timers_wakes_in_time(
    process: Process,
) -> None:
    assert process.logic.notify_at() is None
    process.give(change())
    process.notify()
    asleep = process.logic.notify_at()
    assert asleep is not None
    assert asleep.timestamp() * 1000 == pytest.approx(NOON + 60 * SECOND)
    process.give(replace(event(0), user_key="quiet/bob"))
    other = event(0, kind="personal")
    assert isinstance(other.item, Event)
    process.give(replace(other, user_key="quiet/bob", item=replace(other.item, user="bob", id="x")))
    due = process.logic.notify_at()
    assert due is not None
    assert NOON < due.timestamp() * 1000 <= NOON + 10 * SECOND


@pytest.mark.parametrize("stream_clock", [False, True])
def test_a_timer_that_is_hours_away_wakes_its_key_group_seldom(tmp_path: Path, stream_clock: bool) -> None:
    """Each look costs a row of the epoch; only under the stream clock may hours pass at once."""
    gate = Gate(CATALOG, GatePolicy(stream_clock=stream_clock))
    process = Process(tmp_path / "shard", {}, gate)
    process.give(change(), event(9 * HOUR, kind="daytime"))
    process.notify()
    again = process.logic.notify_at()
    assert again is not None
    wait_ms = again.timestamp() * 1000 - NOON
    assert wait_ms == pytest.approx(50 if stream_clock else 1_000)


def test_an_empty_bundle_only_wakes_the_key_group(process: Process) -> None:
    assert process.give() == []


def test_a_changed_profile_is_noted_for_the_ledger_but_not_the_first(process: Process) -> None:
    assert [one for one in process.give(change(version=1)) if isinstance(one, VersionNote)] == []
    again = GateInput(
        NOON, USER, ProfileChange("quiet", "ann", profile(version=2, email="new@mail.example")), RAW
    )
    (note,) = [one for one in process.give(again) if isinstance(one, VersionNote)]
    assert note == VersionNote(USER, 2)


def test_decisions_are_counted(process: Process) -> None:
    process.give(change(), event(0, kind="personal"))
    assert process.tally == {("suppressed", "*", "no_match"): 1}


def test_after_a_crash_the_last_durable_epoch_is_there_and_what_came_after_never_was(tmp_path: Path) -> None:
    stored: dict[str, Any] = {}
    first = Process(tmp_path / "shard", stored)
    first.give(change(), event(0, number=1, kind="personal"))
    first.epoch()
    first.give(event(SECOND, number=2, kind="personal"))
    first.shard.close()
    assert words(first.published.records) == [("suppressed", "no_match")]

    second = Process(tmp_path / "shard", stored)
    assert words(second.give(event(SECOND, number=2, kind="personal"))) == [("suppressed", "no_match")]
    repeated = event(2 * SECOND, number=1, kind="personal")
    assert isinstance(repeated.item, Event)
    copy = replace(repeated.item, origin=Origin("events", 0, 9))
    assert words(second.give(replace(repeated, item=copy))) == [("suppressed", "duplicate")]
    second.epoch()
    second.shard.close()


def test_what_waits_in_the_store_is_plain_and_comes_out_as_it_went_in(tmp_path: Path) -> None:
    stored: dict[str, Any] = {}
    first = Process(tmp_path / "shard", stored)
    first.give(change(), event(0, number=1))
    first.epoch()
    moved = ProfileChange("quiet", "ann", profile(version=2, email="ann.moved@mail.example"))
    first.give(GateInput(NOON, USER, moved, RAW), event(SECOND, number=2, kind="personal"))
    first.epoch()
    first.shard.close()
    assert isinstance(stored["outbox"][3], bytes), "packed: nothing of ours is named in it"

    second = Process(tmp_path / "shard", stored)
    second.epoch()
    again = first.published.records[-len(second.published.records) :]
    assert second.published.records == again
    assert [type(record) for record in second.published.records] == [type(record) for record in again]
    assert {VersionNote, OutRecord} == {type(record) for record in again}
    second.shard.close()


def test_a_timer_survives_a_crash_and_fires_once(tmp_path: Path) -> None:
    stored: dict[str, Any] = {}
    first = Process(tmp_path / "shard", stored)
    first.give(event(0, kind="personal"))
    first.epoch()
    first.clock.until_ms = NOON + 60 * SECOND
    assert words(first.notify()) == [("dead", "unknown_user")]
    first.shard.close()

    second = Process(tmp_path / "shard", stored)
    second.clock.until_ms = NOON + 60 * SECOND
    assert words(second.notify()) == [("dead", "unknown_user")]
    assert second.notify() == []
    second.epoch()
    second.shard.close()


def test_messages_go_to_their_channels_topic_on_their_users_partition(process: Process) -> None:
    process.give(change())
    kinds = ("flight.cancelled", "flight.landed", "offer.new")
    records = [one for number, kind in enumerate(kinds, 1) for one in process.give(event(0, number, kind))]
    messages = [one for one in records if isinstance(one, OutRecord) and one.topic.startswith("messages.")]
    assert messages
    for one in messages:
        message = msgspec.json.decode(one.value or b"", type=Message)
        bulk = message.priority == "low"
        assert one.topic == topics.messages(message.channel, bulk=bulk)
        assert (one.partition, one.key) == (0, b"quiet/ann")


def test_a_profile_of_a_tenant_that_is_not_in_the_catalog_is_refused_and_not_stored(process: Process) -> None:
    ghost = ProfileChange("nobody", "ann", profile(version=1))
    (letter,) = process.give(GateInput(NOON, "nobody/ann", ghost, RAW))
    assert _letter(letter).reason == "bad_field"
    assert _letter(letter).error.startswith("tenant: not in the catalog")
    assert letter.value == RAW.value
    process.epoch()
    gone = ProfileChange("nobody", "ann", None)
    # The track flow has rows of a tenant that is no longer in the catalog to erase.
    assert [one.topic for one in process.give(GateInput(NOON, "nobody/ann", gone, RAW))] == [topics.AUDIT]


def test_what_is_left_out_of_a_profile_is_dead_lettered_and_its_opt_out_counts(process: Process) -> None:
    opted_out = profile(version=1, preferences=Preferences(enabled=False))
    change = ProfileChange("quiet", "ann", opted_out, ("phone: wrong form, left out; send E.164",))
    (letter,) = process.give(GateInput(NOON, USER, change, RAW))
    assert _letter(letter).error.startswith("phone: wrong form")
    assert words(process.give(event(SECOND, kind="offer.new"))) == [("suppressed", "opted_out")]
