"""A key group's timers with hardly any room in memory, against a plain dict."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.rig import IDENTITY, Rig, overwrite
from tocsin.errors import StateError
from tocsin.store.base import Base
from tocsin.store.deltas import Changes
from tocsin.store.keys import due_bytes, group_keys, held_value, split_identity, timer_identity
from tocsin.store.timers import GroupTimers, NearTimers

KEYS = group_keys("0.0")
KEY_GROUPS = count(1)
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), st.integers(0, 12), st.integers(0, 30)),
        st.tuples(st.just("hold_all"), st.integers(0, 12), st.integers(0, 30)),
        st.tuples(st.just("release"), st.integers(0, 12), st.sampled_from([0, 0, 0, 1])),
        st.tuples(st.just("pick"), st.integers(0, 12), st.sampled_from([0, 0, 0, 1])),
        st.tuples(st.just("pop"), st.integers(0, 30), st.integers(0, 0)),
        st.tuples(st.just("keep"), st.integers(0, 2), st.integers(0, 0)),
        st.tuples(st.just("take_kept"), st.integers(0, 2), st.integers(0, 0)),
        st.tuples(st.just("apply"), st.integers(0, 0), st.integers(0, 0)),
        st.tuples(st.just("reload"), st.integers(0, 0), st.integers(0, 0)),
    ),
    min_size=10,
    max_size=60,
)


@contextmanager
def a_base(rows: Mapping[bytes, bytes] = MappingProxyType({})) -> Iterator[Base]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base"
        Base.create(path, IDENTITY)
        for key, value in rows.items():
            overwrite(path, key, value)
        base = Base(path, IDENTITY)
        try:
            yield base
        finally:
            base.close()


@pytest.fixture(scope="module")
def base() -> Iterator[Base]:
    with a_base() as made:
        yield made


class Small:
    """Timers with hardly any room, and the dict they must agree with."""

    def __init__(self, base: Base, key_group: str, near: int = 3) -> None:
        self.base = base
        self.near = near
        self.key_group = key_group
        self.keys = group_keys(key_group)
        self.timers = GroupTimers(base, self.keys, 0, 0, near)
        self.model: dict[int, int] = {}
        self.kept: dict[int, list[bytes]] = {0: [], 1: [], 2: []}

    def keep(self, number: int, _: int) -> None:
        kept = self.kept[number]
        kept.append(b"%d" % len(kept))
        self.timers.keep("t/u", str(number), len(kept) - 1, kept[-1])

    def take_kept(self, number: int, _: int) -> None:
        assert self.timers.take_kept("t/u", str(number)) == self.kept[number]
        self.kept[number] = []

    def hold(self, number: int, due: int) -> None:
        self.timers.hold("t/u", str(number), due, b"%d" % due, is_new=number not in self.model)
        self.model[number] = due

    def hold_all(self, first: int, due: int) -> None:
        for number in range(13):
            self.hold(number, due + (number * 5 + first) % 13)

    def release(self, number: int, wrong: int) -> None:
        due = self.model.get(number, 0)
        self.timers.release("t/u", str(number), due + wrong)
        if not wrong:
            self.model.pop(number, None)

    def pick(self, number: int, wrong: int) -> None:
        due = self.model.get(number, 0)
        payload = self.timers.pop("t/u", str(number), due + wrong)
        assert payload == (b"%d" % due if number in self.model and not wrong else None)
        if not wrong:
            self.model.pop(number, None)

    def pop(self, now: int, _: int) -> None:
        timer = self.timers.pop_due(now)
        first = min(self.model.values(), default=None)
        if timer is None:
            assert first is None or first > now
            return
        assert timer.due_ms == first == self.model.pop(int(timer.timer_id))
        assert timer.payload == b"%d" % timer.due_ms

    def apply(self, *_: int) -> None:
        changes = Changes(
            self.base.meta.lineage,
            self.base.meta.applied + 1,
            timers=self.timers.changes.snapshot(),
            held=self.timers.held,
            floor_ms=self.timers.floor_ms(),
            queued=self.timers.changes.queued(),
        )
        self.timers.changes.take()
        self.base.apply(changes.epoch, 0, [(self.key_group, changes)])
        self.timers.changes.settle()

    def reload(self, *_: int) -> None:
        self.apply()
        self.timers = GroupTimers(self.base, self.keys, *self.base.status(self.keys), self.near)


def test_a_timer_that_fires_is_read_once_and_may_be_set_anew_in_the_same_epoch(base: Base) -> None:
    small = Small(base, f"0.{next(KEY_GROUPS)}")
    small.hold(1, 10)
    small.hold(2, 20)
    small.apply()
    small.pop(20, 0)
    small.hold(1, 30)
    small.pop(20, 0)
    small.timers.changes.snapshot()
    known = {timer_identity("t/u", str(number)): due_bytes(10 * number) for number in (1, 2)}
    assert small.timers.changes.queued() == known, "applying them looks at nothing"
    small.reload()
    assert small.base.timers_after(small.keys, b"", 9) == [due_bytes(30) + timer_identity("t/u", "1")]
    small.pop(30, 0)


def test_what_changed_on_its_way_to_the_base_is_looked_at_when_it_is_applied(base: Base) -> None:
    small = Small(base, f"0.{next(KEY_GROUPS)}")
    small.hold(1, 10)
    small.apply()
    small.timers.hold("t/u", "1", 20, b"20")
    small.timers.changes.snapshot()
    small.timers.changes.take()
    small.model[1] = 20
    small.pop(20, 0)
    small.timers.changes.snapshot()
    assert small.timers.changes.queued() == {}


@given(ops=OPS)
@settings(max_examples=80, deadline=None)
def test_timers_agree_with_a_dict(base: Base, ops: list[tuple[str, int, int]]) -> None:
    """Each example has a key group of its own, in one base."""
    small = Small(base, f"0.{next(KEY_GROUPS)}")
    for name, first, second in ops:
        getattr(small, name)(first, second)
        assert small.timers.held == len(small.model)
        assert small.timers.next_due() == min(small.model.values(), default=None)
    while small.model:
        small.pop(1000, 0)
    for number in small.kept:
        small.take_kept(number, 0)
    assert small.timers.pop_due(1000) is None
    small.apply()
    left = [key for key, _ in base.scan(small.keys.held, small.keys.after_timers)]
    assert left in ([], [small.keys.status])


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99))))
def test_near_timers_hold_all_up_to_their_horizon(timers: list[tuple[int, int]]) -> None:
    near = NearTimers(b"\xff" * 9, 4)
    model: dict[bytes, bytes] = {}
    for number, due in timers:
        identity = timer_identity("t/u", str(number))
        near.add(due_bytes(due), identity)
        model[identity] = due_bytes(due)
        assert len(near) <= 8
    entries = sorted(due + identity for identity, due in model.items())
    seen = []
    while (entry := near.head()) is not None:
        seen.append(entry)
        near.discard(entry[8:])
    assert seen == [entry for entry in entries if entry <= near.horizon]


def test_a_million_held_timers_would_not_be_in_memory(base: Base) -> None:
    small = Small(base, f"0.{next(KEY_GROUPS)}", near=256)
    for number in range(5_000):
        small.hold(number, number)
    small.apply()
    assert small.timers.in_memory <= 512
    assert not small.timers.changes.newest()
    assert small.timers.held == 5_000


def test_a_restart_reads_behind_the_timers_that_fired(rig: Rig) -> None:
    """Else every start would walk over the tombstones of all that ever fired."""
    for number in range(2_000):
        rig.key_group().hold("t/a", str(number), number, b"held")
    rig.settled()
    for _ in range(1_500):
        rig.key_group().pop_due(10_000)
    rig.settled()
    rig.restart()
    held, floor_ms = rig.base.status(KEYS)
    assert (held, floor_ms) == (500, 1_500)
    assert GroupTimers(rig.base, KEYS, held, floor_ms).floor_ms() == 1_500
    assert rig.key_group().next_due() == 1_500


def test_a_moved_timer_fires_once_at_its_new_time(rig: Rig) -> None:
    rig.key_group().hold("t/a", "wait", 50, b"old")
    rig.settled()
    rig.key_group().hold("t/a", "wait", 5, b"new")
    rig.settled()
    rig.key_group().hold("t/a", "wait", 70, b"newest")
    assert rig.key_group().held() == 1
    assert rig.key_group().pop_due(69) is None
    rig.settled()
    rig.restart()
    timer = rig.key_group().pop_due(70)
    assert timer is not None
    assert timer.payload == b"newest"
    assert rig.key_group().held() == 0


def test_a_late_cancel_does_not_hit_a_timer_that_moved(rig: Rig) -> None:
    rig.key_group().hold("t/a", "wait", 5, b"old")
    rig.key_group().hold("t/a", "wait", 9, b"new")
    rig.key_group().release("t/a", "wait", 5)
    assert rig.key_group().next_due() == 9
    rig.key_group().release("t/a", "wait", 9)
    assert (rig.key_group().next_due(), rig.key_group().held()) == (None, 0)


@pytest.mark.parametrize("due_ms", [-5, 0, 1 << 70])
def test_a_due_time_out_of_range_is_the_nearest_in_range(rig: Rig, due_ms: int) -> None:
    rig.key_group().hold("t/a", "wait", due_ms, b"held")
    rig.key_group().release("t/a", "wait", due_ms)
    assert rig.key_group().held() == 0


def test_a_timer_row_without_its_held_row_is_damage() -> None:
    entry = due_bytes(5) + timer_identity("t/a", "wait")
    with (
        a_base({KEYS.timer + entry: b"\x01"}) as base,
        pytest.raises(StateError, match="without what it holds"),
    ):
        GroupTimers(base, KEYS, 1, 0).pop_due(9)


@given(st.text(), st.text(), st.integers(0, 1 << 62), st.binary())
def test_names_and_values_come_back(user: str, timer_id: str, due: int, payload: bytes) -> None:
    assert split_identity(timer_identity(user, timer_id)) == (user, timer_id)
    assert held_value(due, payload)[1:9] == due_bytes(due)
    assert held_value(due, payload)[9:] == payload
