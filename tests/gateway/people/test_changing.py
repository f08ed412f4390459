"""A process is killed at each point of a change: what was acknowledged is in Kafka; view and topic agree."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisAway

from tests.gateway.people.conftest import until
from tests.gateway.people.test_users import ADA, Api, newest
from tests.gateway.running import Running
from tocsin.gateway.people import texts
from tocsin.gateway.people.changing import OPEN_MS, Changes, record_of
from tocsin.gateway.people.entry import Change, Entry, changed
from tocsin.gateway.people.feeding import Feeding
from tocsin.gateway.people.people import changes_of
from tocsin.gateway.people.view import ProfileView, Swap
from tocsin.gateway.problems import Problem
from tocsin.gateway.writer import Record
from tocsin.model.raw import RawRecord

POINTS = ("note_open", "swap", "write_all", "look", "swap again", "note_done")


class Killed(BaseException):
    """The process is no more."""


class Dying:
    """Counts down to the point at which a process dies: before a step, or after it."""

    def __init__(self, point: str, after: bool) -> None:
        self.point, self.after = point, after
        self.seen: list[str] = []

    def pass_(self, step: str, after: bool) -> None:
        named = (
            f"{step} again"
            if (after and step in self.seen[:-1]) or (not after and step in self.seen)
            else step
        )
        if not after:
            self.seen.append(step)
        if named == self.point and after == self.after and (step != "look" or "write_all" in self.seen):
            raise Killed


class DyingView(ProfileView):
    """The view of a process that dies."""

    def __init__(self, running: Running, dying: Dying) -> None:
        super().__init__(running.gateway.redis, running.gateway.settings.topic_prefix)
        self._dying = dying

    async def look(self, owner: str) -> Any:
        if "write_all" not in self._dying.seen:
            return await super().look(owner)
        return await self._step("look", super().look(owner))

    async def note_open(self, owner: str, revision: int, at_ms: int) -> None:
        await self._step("note_open", super().note_open(owner, revision, at_ms))

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        found: list[bool] = await self._step("swap", super().swap(swaps))
        return found

    async def note_done(self, owner: str, revision: int) -> None:
        await self._step("note_done", super().note_done(owner, revision))

    async def _step(self, name: str, work: Any) -> Any:
        try:
            self._dying.pass_(name, after=False)
        except Killed:
            work.close()
            raise
        found = await work
        self._dying.pass_(name, after=True)
        return found


class DyingWriter:
    """The writer of a process that dies."""

    def __init__(self, running: Running, dying: Dying) -> None:
        self._writer, self._dying = running.gateway.writer, dying

    async def write_all(self, records: Sequence[Record]) -> Any:
        self._dying.pass_("write_all", after=False)
        found = await self._writer.write_all(records)
        self._dying.pass_("write_all", after=True)
        return found


def to_german(entry: Entry) -> Change:
    return Change(texts.with_fields(entry.text, {"locale": "de"}), ("locale",))


async def is_settled(view: ProfileView, owner: str) -> bool:
    return (await view.look(owner))[0].entry.is_settled()


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Event]:
    """Give an event that lets the view follow the topic; while it is cleared, it reads nothing."""
    take, may_read = Feeding.take, asyncio.Event()
    may_read.set()

    async def held(feeding: Feeding, records: Sequence[RawRecord], now_ms: int) -> None:
        await may_read.wait()
        await take(feeding, records, now_ms)

    monkeypatch.setattr(Feeding, "take", held)
    yield may_read
    may_read.set()


async def test_whenever_a_process_dies_nothing_is_lost(people: Running, unread: asyncio.Event) -> None:
    api, clock_ms = Api(people), people.gateway.clock_ms
    view = changes_of(people.gateway).view
    cases = [(point, after) for point in POINTS for after in (False, True)]
    for number, (point, after) in enumerate(cases):
        owner = f"default/u{number}"
        await api("PUT", f"users/u{number}", ADA)
        await until(partial(is_settled, view, owner))  # else the view may change between look and swap
        unread.clear()  # else the view may have the change before the process dies
        dying = Dying(point, after)
        doomed = Changes(DyingView(people, dying), DyingWriter(people, dying), clock_ms)  # type: ignore[arg-type]  # doubles
        with pytest.raises(Killed):
            await doomed.change(owner, to_german)
        unread.set()
    another = Changes(view, people.gateway.writer, lambda: clock_ms() + OPEN_MS + 1_000)
    while await another.finish():
        pass
    for number, (point, after) in enumerate(cases):
        owner = f"default/u{number}"
        await until(partial(is_settled, view, owner))
        entry = (await view.look(owner))[0].entry
        written = await newest(people, f"u{number}")
        assert written is not None
        assert written == json.loads(entry.text), (point, after)
        happened = written["locale"] == "de"
        made = POINTS.index(point) > POINTS.index("swap") or (point, after) == ("swap", True)
        assert happened == made, f"killed {'after' if after else 'before'} {point}"
    assert await view.open_before(clock_ms() + 2 * OPEN_MS, 10) == []


async def test_a_change_waits_for_the_one_before_and_helps_it_when_it_is_late(people: Running) -> None:
    await Api(people)("PUT", "users/ada", ADA)
    view, now_ms = changes_of(people.gateway).view, people.gateway.clock_ms()
    changes = Changes(view, people.gateway.writer, lambda: now_ms)
    await until(partial(is_settled, view, "default/ada"))
    seen, _ = await view.look("default/ada")
    text = texts.with_fields(seen.entry.text, {"locale": "fr"})
    stuck = changed(seen.entry, Change(text, ("locale",)), now_ms)
    assert await view.swap([Swap("default/ada", seen, stuck)]) == [True]
    with pytest.raises(Problem) as refused:
        await changes.change("default/ada", lambda _: Change(b'{"phone":"+1"}', ("phone",)))
    assert (refused.value.status, "retry-after" in refused.value.headers) == (503, True)
    later = Changes(view, people.gateway.writer, lambda: now_ms + OPEN_MS + 1)
    await later.change(
        "default/ada", lambda entry: Change(texts.with_fields(entry.text, {"phone": None}), ("phone",))
    )
    found = await newest(people)
    assert found is not None
    assert (found["locale"], "phone" in found) == ("fr", False), "both, in their order"


async def test_many_at_once_change_one_user_and_none_is_lost(people: Running) -> None:
    api = Api(people)
    await api("PUT", "users/ada", ADA)
    tokens = [f"a-token-of-device-number-{number}" for number in range(12)]
    answers = await asyncio.gather(
        *(api("POST", "users/ada/devices", {"platform": "ios", "token": token}) for token in tokens)
    )
    assert [each.status_code for each in answers] == [201] * 12
    found = await newest(people)
    assert found is not None
    assert sorted(each["token"] for each in found["devices"]) == sorted(tokens)


async def test_other_producers_and_an_empty_redis(people: Running) -> None:
    """The view follows the topic. A Redis that forgot everything is filled again, and nothing is lost."""
    api, view = Api(people), changes_of(people.gateway).view
    await people.gateway.writer.write(Record("profiles", b"default/bob", b'{"locale": "fr", "vip": 7}'))

    async def known() -> bool:
        return (await api("GET", "users/bob")).status_code == 200

    await until(known)
    assert (await api("PATCH", "users/bob", {"timezone": "Europe/Paris"})).status_code == 200
    assert await newest(people, "bob") == {"locale": "fr", "vip": 7, "timezone": "Europe/Paris"} | {
        "version": 0
    }
    await people.gateway.redis.flushdb()
    assert (await api("PUT", "users/bob", {})).status_code == 503
    await until(view.is_ready)
    assert (await api("GET", "users/bob")).json()["timezone"] == "Europe/Paris"
    await people.gateway.writer.write(Record("profiles", b"default/bob", None))

    async def gone() -> bool:
        return (await api("GET", "users/bob")).status_code == 404

    await until(gone)


async def test_a_view_that_was_lost_while_it_was_filled_is_not_complete(people: Running) -> None:
    view = changes_of(people.gateway).view
    await people.gateway.redis.flushdb()
    assert not await view.set_ready({"profiles/0": 7})
    assert not await view.is_ready()


async def test_redis_away_is_said(people: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_args: Any, **_options: Any) -> None:
        raise RedisAway

    api = Api(people)
    await api("PUT", "users/ada", ADA)
    monkeypatch.setattr(people.gateway.redis, "execute_command", away)
    for method, path, body in (
        ("GET", "users/ada", None),
        ("PUT", "users/ada", {}),
        ("DELETE", "users/ada", None),
    ):
        answer = await api(method, path, body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path


def test_a_record_of_an_erased_user_is_a_tombstone() -> None:
    assert record_of("t/u", Entry(revision=3)).value is None
