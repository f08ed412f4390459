"""The inbox on a real Redis: idempotent, capped, counted, live, and nothing owed is forgotten."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from tests.clock import ManualClock
from tests.waiting import PATIENCE_S
from tocsin.providers.inbox import NEVER, Action, Change, Counts, Entry, Inbox, InboxPolicy, Place, State

USER = "acme/u-1"
POLICY = InboxPolicy(prefix="i:", cap=5, keep_s=60, kept_changes=10)


@pytest.fixture
async def redis(redis_db: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_db)
    yield client
    await client.aclose()


@pytest.fixture
def inbox(redis: Redis, clock: ManualClock) -> Inbox:
    return Inbox(redis, POLICY, clock)


def entry(name: str, at_ms: int = 1_000, expires_ms: int = 0) -> Entry:
    about = (f"n-{name}", "gate_moved", "travel", f"title {name}", "body", at_ms)
    return Entry(name, *about, expires_ms=expires_ms)


async def ids(inbox: Inbox, state: State = "open", count: int = 50) -> list[str]:
    return [shown.entry.message_id for shown in (await inbox.page(USER, state=state, count=count)).shown]


async def test_newest_first_by_the_time_of_the_decision(inbox: Inbox) -> None:
    for name, at_ms in (("b", 20), ("d", 40), ("a", 10), ("c", 30)):
        await inbox.add(USER, entry(name, at_ms))
    assert await ids(inbox) == ["d", "c", "b", "a"]
    assert await ids(inbox, count=2) == ["d", "c"]


async def test_pages_are_stable_while_entries_come_and_go(inbox: Inbox) -> None:
    for name, at_ms in (("a", 10), ("b", 20), ("c", 20), ("d", 20), ("e", 30)):
        await inbox.add(USER, entry(name, at_ms))
    first = await inbox.page(USER, count=2)
    assert [shown.entry.message_id for shown in first.shown] == ["e", "d"]
    assert first.rest == Place(20, "d")
    await inbox.act(USER, "delete", ["d"])
    await inbox.add(USER, entry("new", 40))
    second = await inbox.page(USER, count=2, after=first.rest)
    assert [shown.entry.message_id for shown in second.shown] == ["c", "b"]
    last = await inbox.page(USER, count=2, after=second.rest)
    assert [shown.entry.message_id for shown in last.shown] == ["a"]
    assert last.rest is None


async def test_pages_by_state(inbox: Inbox) -> None:
    for number, name in enumerate("abcd"):
        await inbox.add(USER, entry(name, number))
    await inbox.act(USER, "seen", ["b"])
    await inbox.act(USER, "read", ["c"])
    await inbox.act(USER, "archive", ["d"])
    states: list[State] = ["open", "unread", "unseen", "archived", "all"]
    found = {state: await ids(inbox, state) for state in states}
    assert found == {
        "open": ["c", "b", "a"],
        "unread": ["b", "a"],
        "unseen": ["a"],
        "archived": ["d"],
        "all": ["d", "c", "b", "a"],
    }


async def test_keeps_the_newest_up_to_the_cap(inbox: Inbox) -> None:
    for number in range(8):
        await inbox.add(USER, entry(str(number), number))
    assert await ids(inbox) == ["7", "6", "5", "4", "3"]
    assert await inbox.counts(USER) == Counts(5, 5)
    assert await inbox.add(USER, entry("late", 0)), "taken, so that it is sent once"
    assert "late" not in await ids(inbox), "older than all that are kept"
    assert await inbox.counts(USER) == Counts(5, 5)


async def test_what_is_over_is_neither_shown_nor_counted(inbox: Inbox, clock: ManualClock) -> None:
    await inbox.add(USER, entry("short", 1, clock() + 1_000))
    await inbox.add(USER, entry("played", 2, 5_000))
    await inbox.add(USER, entry("long", 3))
    last = (await inbox.page(USER)).last
    clock.advance(s=1)
    assert await inbox.counts(USER) == Counts(2, 2)
    assert await ids(inbox) == ["long", "played"], "one over long ago is of a stream that is played again"
    missed = await inbox.missed(USER, last)
    [(_, text)] = missed.changes
    change = msgspec.json.decode(text, type=Change)
    assert (change.kind, change.message_ids, change.unread) == ("removed", ["short"], 2)


async def test_reading_counts_each_entry_once(inbox: Inbox) -> None:
    for name in "abc":
        await inbox.add(USER, entry(name))
    acted = await inbox.act(USER, "read", ["a", "a", "unknown"])
    assert (acted.changed, acted.counts) == (["a"], Counts(2, 2))
    assert (await inbox.act(USER, "read", ["a"])).changed == []
    assert (await inbox.act(USER, "read", [])).changed == []
    assert sorted((await inbox.act(USER, "read")).changed) == ["b", "c"]
    assert await inbox.counts(USER) == Counts(0, 0)


async def test_all_up_to_a_time_leaves_what_came_later(inbox: Inbox) -> None:
    for number, name in enumerate("abc"):
        await inbox.add(USER, entry(name, number))
    assert (await inbox.act(USER, "seen", until_ms=1)).changed == ["a", "b"]
    assert (await inbox.act(USER, "archive", until_ms=0)).changed == ["a"]
    assert (await inbox.act(USER, "delete", until_ms=1)).changed == ["b"], "what is archived stays"
    assert (await inbox.act(USER, "unarchive")).changed == ["a"]
    assert await ids(inbox) == ["c", "a"]


async def test_what_a_user_does_is_owed_until_it_is_settled(
    inbox: Inbox, redis: Redis, clock: ManualClock
) -> None:
    for name in "ab":
        await inbox.add(USER, entry(name))
    [report] = (await inbox.act(USER, "read", ["a"])).reports
    assert msgspec.structs.astuple(report) == ("read", clock(), "a", "n-a", "gate_moved", "travel")
    crashed = await inbox.act(USER, "read", ["a"])
    assert (crashed.changed, crashed.reports) == ([], [report]), "a repeat brings it again"
    assert (await inbox.act(USER, "read", ["b"])).reports != [report], "another entry's repeat does not"
    assert await inbox.overdue(clock() + 5_000, age_ms=10_000) == []
    assert await inbox.overdue(clock() + 10_000, age_ms=10_000) == [USER]
    assert await inbox.overdue(clock() + 11_000, age_ms=10_000) == [], "one process at a time"
    await inbox.settle(USER, await inbox.owed(USER))
    assert (await inbox.act(USER, "read", ["a", "b"])).reports == []
    assert await inbox.overdue(clock() + 99_000, age_ms=10_000) == []
    assert await redis.exists("i:inbox:owing") == 0


@pytest.mark.parametrize(
    ("actions", "kinds"),
    [
        (["seen"], ["opened"]),
        (["seen", "read", "seen"], ["opened", "read"]),
        (["read", "seen"], ["read"]),
        (["click", "click", "read"], ["clicked", "read"]),
        (["read", "click"], ["read", "clicked"]),
        (["archive", "unarchive", "read"], ["read"]),
        (["delete"], ["read"]),
        (["read", "delete"], ["read"]),
    ],
)
async def test_each_report_is_owed_once(inbox: Inbox, actions: list[Action], kinds: list[str]) -> None:
    await inbox.add(USER, entry("a"))
    found = []
    for action in actions:
        reports = (await inbox.act(USER, action, ["a"])).reports
        found += [report.kind for report in reports]
        await inbox.settle(USER, reports)
    assert found == kinds


async def test_erasing_leaves_nothing_and_tells_who_looks(redis: Redis, inbox: Inbox) -> None:
    for name in "abc":
        await inbox.add(USER, entry(name, expires_ms=1 << 50))
    await inbox.act(USER, "archive", ["a"])
    await inbox.act(USER, "click", ["b"])
    async with redis.pubsub() as feed:
        await feed.subscribe(inbox.live_channel(USER))
        await inbox.erase(USER)
        await inbox.erase(USER)
        assert [change.kind for change in await heard(feed, 1)] == ["erased"]
    assert await redis.keys("*") == []


async def test_users_do_not_see_each_other(inbox: Inbox) -> None:
    await inbox.add("acme/u-1", entry("mine"))
    await inbox.add("acme/u-2", entry("yours"))
    assert (await inbox.act("acme/u-2", "read", ["mine"])).changed == []
    assert (await inbox.act("acme/u-2", "delete", ["mine"])).changed == []
    await inbox.erase("acme/u-2")
    assert await ids(inbox) == ["mine"]
    assert await inbox.counts(USER) == Counts(1, 1)


async def test_everything_expires(redis: Redis, inbox: Inbox) -> None:
    await inbox.add(USER, entry("a", expires_ms=1 << 50))
    await inbox.add(USER, entry("b"))
    await inbox.act(USER, "archive", ["a"])
    await inbox.act(USER, "click", ["b"])
    keys = [key for key in await redis.keys("*") if key != b"i:inbox:owing"]
    assert len(keys) == 7, "unread and unseen are empty"
    for key in keys:
        assert 0 < await redis.ttl(key) <= POLICY.keep_s, key
    assert all(b"{acme/u-1}" in key for key in keys), "one node of a cluster holds them together"


async def heard(feed: PubSub, count: int) -> list[Change]:
    """Read changes from a channel, and make sure that no other follows."""
    found: list[Change] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            said = await feed.get_message(ignore_subscribe_messages=True, timeout=1)
            if said is not None:
                found.append(msgspec.json.decode(said["data"], type=Change))
    assert await feed.get_message(timeout=0.05) is None
    return found


async def test_every_change_is_told_live(redis: Redis, inbox: Inbox) -> None:
    async with redis.pubsub() as feed:
        await feed.subscribe(inbox.live_channel(USER))
        for name in "aab":
            await inbox.add(USER, entry(name))
        for action in ("seen", "read", "archive", "unarchive"):
            await inbox.act(USER, action, ["a"])
        await inbox.act(USER, "delete", ["b"])
        told = await heard(feed, 7)
    moments = [tuple(map(int, change.id.split("-"))) for change in told]
    assert moments == sorted(set(moments)), "each has a later id"
    assert [msgspec.structs.replace(change, id="") for change in told] == [
        Change("added", 1, 1, entry=entry("a"), message_ids=["a"]),
        Change("added", 2, 2, entry=entry("b"), message_ids=["b"]),
        Change("seen", 2, 1, message_ids=["a"]),
        Change("read", 1, 1, message_ids=["a"]),
        Change("archived", 1, 1, message_ids=["a"]),
        Change("unarchived", 1, 1, message_ids=["a"]),
        Change("removed", 0, 0, message_ids=["b"]),
    ]


async def test_who_comes_back_gets_what_was_missed_or_must_reload(redis: Redis, inbox: Inbox) -> None:
    assert (await inbox.page(USER)).last == NEVER
    assert not (await inbox.missed(USER, NEVER)).is_too_much, "nothing has happened"
    await inbox.add(USER, entry("a"))
    known = (await inbox.page(USER)).last
    assert await inbox.missed(USER, known) == ((1, 1), known, False, [])
    assert [change for change, _ in (await inbox.missed(USER, NEVER)).changes] == [known]
    async with redis.pubsub() as feed:
        await feed.subscribe(inbox.live_channel(USER))
        await inbox.add(USER, entry("b"))
        await inbox.act(USER, "read", ["a", "b"])
        told = await heard(feed, 2)
    missed = await inbox.missed(USER, known)
    assert [msgspec.json.decode(text, type=Change) for _, text in missed.changes] == told
    assert [change_id for change_id, _ in missed.changes] == [change.id for change in told]
    assert missed.last == told[-1].id
    for _ in range(POLICY.kept_changes):
        await inbox.act(USER, "archive", ["a"])
        await inbox.act(USER, "unarchive", ["a"])
    assert (await inbox.missed(USER, known)).is_too_much
    assert (await inbox.missed(USER, NEVER)).is_too_much
    assert await redis.xlen("i:inbox:{acme/u-1}:changes") == POLICY.kept_changes


async def test_many_changed_entries_are_told_in_one_word(redis: Redis, inbox: Inbox) -> None:
    big = Inbox(redis, msgspec.structs.replace(POLICY, cap=1000))
    await asyncio.gather(*[big.add(USER, entry(str(number % 100), number)) for number in range(300)])
    assert await big.counts(USER) == Counts(100, 100)
    async with redis.pubsub() as feed:
        await feed.subscribe(big.live_channel(USER))
        assert len((await big.act(USER, "read")).reports) == 100
        [change] = await heard(feed, 1)
    assert (change.kind, change.unread, change.message_ids) == ("reload", 0, [])


NAMES = st.lists(st.integers(0, 9).map(str), max_size=3)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 9).map(str), st.integers(0, 50), st.integers(0, 5)),
        st.tuples(
            st.sampled_from(["seen", "read", "archive", "unarchive", "delete", "click"]),
            st.one_of(st.none(), NAMES),
        ),
        st.tuples(st.just("wait")),
        st.tuples(st.just("crash")),
    ),
    max_size=30,
)


class Model:
    """What an inbox should be, without Redis."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[int, int]] = {}
        self.states: dict[str, set[str]] = {}
        self.reported: set[tuple[str, str]] = set()
        self.now_ms = 0

    def prune(self) -> None:
        over = [name for name, (_, ends) in self.entries.items() if 0 < ends <= self.now_ms]
        for name in over:
            del self.entries[name]

    def add(self, name: str, at_ms: int, ends_ms: int) -> None:
        if name in self.entries:
            return
        self.entries[name], self.states[name] = (at_ms, ends_ms), {"unread", "unseen"}
        kept = sorted(self.entries, key=lambda each: (self.entries[each][0], each))[-POLICY.cap :]
        self.entries = {each: self.entries[each] for each in kept}
        self.prune()

    def act(self, action: str, names: list[str] | None) -> None:
        self.prune()
        for name in [each for each in self.targets(action, names) if each in self.entries]:
            state = self.states[name]
            if action == "seen" and "unseen" in state:
                self.reported.add(("opened", name))
            if action == "click":
                self.reported.add(("clicked", name))
            if action in {"read", "click", "archive", "delete"} and "unread" in state:
                self.reported.add(("read", name))
                state -= {"unread"}
            if action != "unarchive":
                state -= {"unseen"}
            state |= {"archived"} if action == "archive" else set()
            state -= {"archived"} if action == "unarchive" else set()
            if action == "delete":
                del self.entries[name]

    def targets(self, action: str, names: list[str] | None) -> list[str]:
        if names is not None:
            return names
        is_wanted = action == "unarchive"
        return [name for name in self.entries if ("archived" in self.states[name]) == is_wanted]

    def count(self, state: str) -> int:
        return sum(state in self.states[name] for name in self.entries)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
async def test_behaves_like_a_plain_dict(
    redis: Redis, clock: ManualClock, operations: list[tuple[object, ...]]
) -> None:
    """Counts never drift from the list, whatever two clients do, expires, or is reported by another process.

    A crash is a report that nobody settled: it is found again, and only then forgotten.
    """
    await redis.flushdb()
    start, model, sent = clock(), Model(), set[tuple[str, str]]()
    clients = [Inbox(redis, POLICY, clock) for _ in range(2)]
    for turn, (what, *about) in enumerate(operations):
        inbox = clients[turn % 2]
        model.now_ms = clock() - start
        if what == "add":
            name, at_ms, ends = about
            ends_ms = 0 if not ends else model.now_ms + 1_000 * int(str(ends))
            model.add(str(name), int(str(at_ms)), ends_ms)
            await inbox.add(USER, entry(str(name), int(str(at_ms)), start + ends_ms if ends_ms else 0))
        elif what == "wait":
            clock.advance(s=2)
        elif what == "crash":
            for user in await inbox.overdue(clock() + 1, age_ms=0):
                reports = await inbox.owed(user)
                sent |= {(report.kind, report.message_id) for report in reports}
                await inbox.settle(user, reports)
        else:
            names = about[0]
            assert names is None or isinstance(names, list)
            model.act(str(what), names)
            await inbox.act(USER, what, names)  # type: ignore[arg-type]  # one of the actions
    model.now_ms = clock() - start
    model.prune()
    page = await clients[0].page(USER, state="all")
    found = {
        each.entry.message_id: {
            name
            for name, holds in (
                ("unread", each.unread),
                ("unseen", each.unseen),
                ("archived", each.archived),
            )
            if holds
        }
        for each in page.shown
    }
    assert found == {name: model.states[name] for name in model.entries}
    assert page.counts == Counts(model.count("unread"), model.count("unseen"))
    assert page.counts == await clients[1].counts(USER)
    sent |= {(report.kind, report.message_id) for report in await clients[1].owed(USER)}
    assert sent == model.reported


async def test_two_clients_that_read_at_once_count_right_and_report_once(inbox: Inbox, redis: Redis) -> None:
    other = Inbox(redis, POLICY)
    for name in "abcde":
        await inbox.add(USER, entry(name))
    acted = await asyncio.gather(
        *[client.act(USER, "read", [name]) for name in "abcde" for client in (inbox, other)]
    )
    assert sorted(name for each in acted for name in each.changed) == list("abcde")
    assert await inbox.counts(USER) == Counts(0, 0)
    assert len(await inbox.owed(USER)) == 5
