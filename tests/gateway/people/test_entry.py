"""The view of one user beside the topic: whatever comes in which order, both end with the same profile."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.formats.gateway_profiles import revision_header
from tocsin.formats.profile_corrections import CORRECTED_HEADER
from tocsin.gateway.people import texts
from tocsin.gateway.people.entry import (
    Change,
    Entry,
    State,
    acknowledged,
    base_of,
    changed,
    on_record,
    packed,
    unpacked,
)
from tocsin.model.raw import RawRecord

OFF = {"categories": {"news": False}}


def text(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def record(offset: int, value: bytes | None, *headers: tuple[str, bytes]) -> RawRecord:
    return RawRecord("profiles", 0, offset, 0, b"t/u", value, headers)


def foreign(offset: int, **fields: Any) -> RawRecord:
    return record(offset, text(**fields))


def own(offset: int, entry: Entry) -> RawRecord:
    return record(offset, entry.text or None, revision_header(entry.revision))


def switched(entry: Entry, now_ms: int = 1_000) -> Entry:
    return changed(
        entry, Change(texts.with_fields(entry.text, {"preferences": OFF}), ("preferences",)), now_ms
    )


@pytest.fixture
def known() -> Entry:
    return on_record(Entry(), foreign(0, email="a@b.example", version=3, vip=True), 0)


def test_an_erasure_is_remembered_by_its_time(known: Entry) -> None:
    def at(ms: int, offset: int) -> RawRecord:
        return record(offset, None)._replace(timestamp_ms=ms)

    erased = changed(known, Change(b""), 5_000)
    assert erased.erased_ms == 5_000
    again = changed(on_record(acknowledged(erased), own(1, erased), 6_000), Change(text(locale="en")), 7_000)
    assert (again.text, again.erased_ms) == (text(locale="en"), 5_000), "whoever has the id next"
    assert on_record(known, at(4_000, 1), 9_000).erased_ms == 4_000, "others erase, too"
    assert on_record(known, at(10_000, 1), 9_000).erased_ms == 9_000, "no clock is ahead of ours"
    assert on_record(again, at(8_000, 2), 9_000).erased_ms == 8_000, "also while a change is open"
    assert on_record(on_record(again, at(8_000, 2), 9_000), foreign(3, locale="de"), 9_500).erased_ms == 8_000
    assert unpacked(packed(again)) == again
    assert unpacked(b"\x99\xc4\x00\x00\xff\x00\x00\x90\x00\xa0\x00").erased_ms == 0, "an entry of before"


def test_a_change_is_settled_once_its_record_is_read(known: Entry) -> None:
    entry = switched(known)
    assert (entry.state, entry.version, entry.fields) == (State.WRITING, 3, ("preferences",))
    settled = on_record(acknowledged(entry), own(1, entry), 0)
    assert settled.is_settled()
    assert json.loads(settled.text) == {
        "email": "a@b.example", "version": 3, "vip": True, "preferences": OFF
    }  # fmt: skip
    assert on_record(settled, own(1, entry), 0) is settled, "read before"


def test_a_record_that_did_not_know_our_change_is_merged_with_it_and_written_again(known: Entry) -> None:
    entry = on_record(acknowledged(switched(known)), foreign(1, email="new@b.example", version=4), 9)
    assert json.loads(entry.text) == {"email": "new@b.example", "version": 4, "preferences": OFF}
    assert (entry.state, entry.since_ms) == (State.WRITING, 9)
    assert entry.revision > switched(known).revision


def test_the_owner_s_next_profile_has_the_last_say(known: Entry) -> None:
    entry = switched(known)
    entry = on_record(on_record(entry, own(1, entry), 0), foreign(2, email="a@b.example", version=4), 0)
    assert entry.is_settled()
    assert texts.read(entry.text).preferences.categories == {}


def test_a_late_copy_of_ours_is_put_right(known: Entry) -> None:
    first = switched(known)
    settled = on_record(first, own(1, first), 0)
    second = changed(settled, Change(text(email="b@b.example"), ("email",)), 5)
    settled = on_record(second, own(2, second), 0)
    again = on_record(settled, own(3, first), 7)
    assert (again.state, again.text) == (State.WRITING, second.text)


def test_a_profile_that_the_gate_refuses_is_put_right(known: Entry) -> None:
    """One of a lower version must not stay the last of the topic, for compaction would keep it."""
    entry = on_record(known, foreign(1, email="old@b.example", version=2), 0)
    assert (entry.state, entry.text) == (State.WRITING, known.text)


def test_what_is_no_profile_changes_nothing(known: Entry) -> None:
    for value in (b"{", b"7", b'{"op": "u"}', b"\xff"):
        assert on_record(known, record(1, value), 0).text == known.text


def test_a_correction_of_an_older_text_is_left_to_the_gate(known: Entry) -> None:
    corrected = (CORRECTED_HEADER, base_of(known).encode())
    fits = on_record(known, record(1, text(email="a@b.example", version=3, suppressed=[]), corrected), 0)
    assert (fits.is_settled(), fits.base) == (True, base_of(known))
    entry = switched(known)
    newer = on_record(entry, own(1, entry), 0)
    assert on_record(newer, record(2, text(email="a@b.example", version=3), corrected), 0).text == newer.text


def test_an_erasure_wins_over_a_change_that_did_not_know_it(known: Entry) -> None:
    entry = on_record(acknowledged(switched(known)), record(1, None), 0)
    assert (entry.text, entry.state, entry.version) == (b"", State.WRITING, 0)
    late = on_record(on_record(entry, own(2, switched(known)), 0), own(3, entry), 0)
    assert (late.text, late.is_settled()) == (b"", True)


def test_an_erased_user_may_come_back_with_a_new_first_version(known: Entry) -> None:
    entry = on_record(known, record(1, None), 0)
    entry = on_record(entry, foreign(2, email="c@b.example", version=1), 0)
    entry = on_record(entry, foreign(3, email="d@b.example", version=2), 0)
    assert (texts.read(entry.text).email, entry.is_settled()) == ("d@b.example", True)


def test_an_entry_survives_its_encoding(known: Entry) -> None:
    assert unpacked(packed(switched(known))) == switched(known)
    assert unpacked(None) == Entry()


class World:
    """One partition of the topic, the view, processes that may be slow or die, and what is right."""

    def __init__(self) -> None:
        self.log: list[RawRecord] = []
        self.entry = Entry()
        self.read = 0
        self.flying: list[Entry] = []
        self.begun: dict[int, tuple[int, int]] = {}
        self.number = 0

    def foreign(self, step: int) -> None:
        """Another producer writes a whole profile (of a new version, a late one, or none), or erases."""
        self.number += 1
        version = {0: 0, 1: self.number, 2: 1}.get(step % 4, 0)
        value = None if step % 4 == 3 else text(n=self.number, preferences={}, version=version)
        self.log.append(record(len(self.log), value))

    def begin(self, _step: int) -> None:
        if self.entry.state == State.WRITING:
            return
        self.number += 1
        value = texts.with_fields(self.entry.text, {"mine": self.number})
        self.entry = changed(self.entry, Change(value, ("mine",)), 0)
        self.flying.append(self.entry)
        self.begun[self.entry.revision] = (self.number, self.entry.offset)

    def land(self, step: int) -> None:
        """A write reaches the topic, perhaps one whose process was given up."""
        if self.flying:
            self._write(self.flying.pop(step % len(self.flying)))

    def help(self, _step: int) -> None:
        if self.entry.state == State.WRITING:
            self._write(self.entry)

    def die(self, _step: int) -> None:
        self.flying.clear()

    def _write(self, entry: Entry) -> None:
        self.log.append(own(len(self.log), entry))
        if self.entry == entry:
            self.entry = acknowledged(entry)

    def feed(self, _step: int) -> None:
        if self.read < len(self.log):
            self.entry = on_record(self.entry, self.log[self.read], 0)
            self.read += 1

    def drain(self) -> None:
        while self.flying:
            self.land(0)
        while self.read < len(self.log) or not self.entry.is_settled():
            self.feed(0)
            if self.read == len(self.log):
                self.help(0)

    def right(self) -> dict[str, int] | None:
        """What must hold: profiles of others in their turn, changes of ours from their first record."""
        fields: dict[str, int] | None = None
        version, seen = 0, set()
        for raw in self.log:
            revision = int(dict(raw.headers).get("tocsin-revision", 0))
            if not revision and raw.value is None:
                fields, version = None, 0
            elif not revision:
                found = json.loads(raw.value or b"")
                if not 0 < found["version"] < version:
                    version = max(version, found["version"])
                    fields = {"n": found["n"]}
            elif revision in self.begun and revision not in seen:
                seen.add(revision)
                number, base = self.begun[revision]
                if not any(self._erases(each) for each in self.log[base + 1 : raw.offset]):
                    fields = {**(fields or {}), "mine": number}
        return fields

    @staticmethod
    def _erases(raw: RawRecord) -> bool:
        return raw.value is None and not raw.headers


STEPS = st.lists(
    st.tuples(st.sampled_from(["foreign", "begin", "begin", "land", "feed", "feed"]), st.integers(0, 7)),
    max_size=40,
)


@settings(max_examples=150)
@given(STEPS)
def test_topic_and_view_end_with_what_is_right(steps: list[tuple[str, int]]) -> None:
    world = World()
    for name, step in steps:
        getattr(world, name)(step)
    world.drain()
    _same(world)
    found = json.loads(world.entry.text) if world.entry.text else None
    right = world.right()
    assert (found is None) == (right is None)
    assert found is None or {name: found[name] for name in ("n", "mine") if name in found} == right


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["foreign", "begin", "begin", "land", "help", "die", "feed", "feed"]),
            st.integers(0, 7),
        ),
        max_size=40,
    )
)
def test_topic_and_view_agree_whatever_dies_or_comes_late(steps: list[tuple[str, int]]) -> None:
    world = World()
    for name, step in steps:
        getattr(world, name)(step)
    world.drain()
    _same(world)


def _same(world: World) -> None:
    """The gate, which takes the records of the topic in their order, has the profile of the view."""
    version, value = 0, None
    for raw in world.log:
        given = json.loads(raw.value)["version"] if raw.value and b"version" in raw.value else 0
        if raw.value is None:
            version, value = 0, None
        elif not 0 < given < version:
            version, value = max(version, given), raw.value
    assert (value or b"") == world.entry.text
    assert not world.log or (world.log[-1].value or b"") == world.entry.text, "compaction keeps the last one"
