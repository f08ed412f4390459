"""The inbox on a real Redis: idempotent, capped, counted, live."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.providers.samples import CONTENTS, leaks, outgoing
from tests.providers.scripted_http import Refusing
from tocsin.errors import DeliveryError, Misconfigured, Rejected, Transient
from tocsin.model.content import InAppContent
from tocsin.providers.base import Receipt
from tocsin.providers.inapp import InApp, InAppAccount
from tocsin.providers.inbox import Change, Entry, Inbox, InboxPolicy

USER = "acme/u-1"
POLICY = InboxPolicy(prefix="t:", cap=5, keep_s=60)


@pytest.fixture
async def redis(redis_db: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_db)
    yield client
    await client.aclose()


@pytest.fixture
def inbox(redis: Redis) -> Inbox:
    return Inbox(redis, POLICY)


def entry(name: str, at_ms: int = 1_000) -> Entry:
    return Entry(name, f"n-{name}", "gate_moved", "travel", f"title {name}", "body", at_ms)


async def ids(inbox: Inbox, **page: int) -> list[str]:
    return [shown.entry.message_id for shown in await inbox.newest(USER, **page)]


def provider(redis: Redis, **fields: Any) -> InApp:
    account = InAppAccount.model_validate({"vendor": "inapp", "prefix": "t:", **fields})
    return InApp("inapp", account, Inbox(redis, account.policy()))


async def test_a_message_becomes_an_entry(redis: Redis, inbox: Inbox) -> None:
    adapter = provider(redis)
    message = outgoing("inapp").message
    receipt = await adapter.send(outgoing("inapp"))
    assert receipt == Receipt(message.message_id, "added")
    [shown] = await inbox.newest(USER)
    assert shown.unread
    assert shown.entry == Entry(
        message.message_id,
        message.notification_id,
        "gate_moved",
        "travel",
        "Gate B12 moved",
        "wherefore art thou",
        message.decided_ms,
        "https://example.com/f",
    )
    assert adapter.accepts(message)
    assert not adapter.accepts(outgoing("push").message)
    await adapter.close()
    assert await redis.ping(), "the connection is its owner's"


async def test_a_repeat_changes_nothing(redis: Redis, inbox: Inbox) -> None:
    adapter = provider(redis)
    await adapter.send(outgoing("inapp"))
    await inbox.mark_all_read(USER)
    again = await adapter.send(outgoing("inapp", InAppContent("other", "text")))
    assert again.code == "present"
    [shown] = await inbox.newest(USER)
    assert (shown.unread, shown.entry.title) == (False, "Gate B12 moved")


async def test_newest_first_by_the_time_of_the_decision(inbox: Inbox) -> None:
    for name, at_ms in (("b", 20), ("d", 40), ("a", 10), ("c", 30)):
        await inbox.add(USER, entry(name, at_ms))
    assert await ids(inbox) == ["d", "c", "b", "a"]
    assert await ids(inbox, start=1, count=2) == ["c", "b"]
    assert await ids(inbox, start=9) == []


async def test_keeps_the_newest_up_to_the_cap(inbox: Inbox) -> None:
    for number in range(8):
        await inbox.add(USER, entry(str(number), number))
    assert await ids(inbox) == ["7", "6", "5", "4", "3"]
    assert await inbox.unread(USER) == 5
    await inbox.add(USER, entry("late", 0))
    assert "late" not in await ids(inbox), "older than all that are kept"
    assert await inbox.unread(USER) == 5


async def test_reading_counts_each_entry_once(inbox: Inbox) -> None:
    for name in "abc":
        await inbox.add(USER, entry(name))
    assert await inbox.mark_read(USER, ["a", "a", "unknown"]) == ["a"]
    assert await inbox.mark_read(USER, ["a"]) == []
    assert await inbox.mark_read(USER, []) == []
    assert await inbox.unread(USER) == 2
    assert sorted(await inbox.mark_all_read(USER)) == ["b", "c"]
    assert await inbox.unread(USER) == 0
    assert not any(shown.unread for shown in await inbox.newest(USER))


async def test_removing_and_erasing(redis: Redis, inbox: Inbox) -> None:
    for name in "abc":
        await inbox.add(USER, entry(name))
    assert await inbox.remove(USER, ["b", "unknown"]) == 2
    assert sorted(await ids(inbox)) == ["a", "c"]
    await inbox.erase(USER)
    assert await ids(inbox) == []
    assert await redis.keys("*") == []


async def test_users_do_not_see_each_other(inbox: Inbox) -> None:
    await inbox.add("acme/u-1", entry("mine"))
    await inbox.add("acme/u-2", entry("yours"))
    await inbox.erase("acme/u-2")
    assert await ids(inbox) == ["mine"]


async def test_everything_expires(redis: Redis, inbox: Inbox) -> None:
    await inbox.add(USER, entry("a"))
    keys = await redis.keys("*")
    assert len(keys) == 3
    for key in keys:
        assert 0 < await redis.ttl(key) <= POLICY.keep_s
    assert all(b"{acme/u-1}" in key for key in keys), "one node of a cluster holds them together"


async def test_every_change_is_told_live(redis: Redis, inbox: Inbox) -> None:
    async with redis.pubsub() as feed:
        await feed.subscribe(inbox.live_channel(USER))
        await inbox.add(USER, entry("a"))
        await inbox.add(USER, entry("a"))
        await inbox.add(USER, entry("b"))
        await inbox.mark_read(USER, ["a"])
        await inbox.remove(USER, ["b"])
        heard: list[Change] = []
        while len(heard) < 4:
            said = await feed.get_message(ignore_subscribe_messages=True, timeout=1)
            if said is not None:
                heard.append(msgspec.json.decode(said["data"], type=Change))
        assert await feed.get_message(timeout=0.05) is None
    assert heard == [
        Change("added", 1, entry=entry("a")),
        Change("added", 2, entry=entry("b")),
        Change("read", 1, message_ids=["a"]),
        Change("removed", 0, message_ids=["b"]),
    ]


async def test_many_at_once_are_all_counted(inbox: Inbox, redis: Redis) -> None:
    big = Inbox(redis, msgspec.structs.replace(POLICY, cap=1000))
    await asyncio.gather(*[big.add(USER, entry(str(number % 100), number)) for number in range(300)])
    assert await big.unread(USER) == 100
    assert len(await big.newest(USER, count=1000)) == 100


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "read", "all", "remove"]), st.integers(0, 12), st.integers(0, 50)),
    max_size=30,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
async def test_behaves_like_a_plain_dict(redis: Redis, operations: list[tuple[str, int, int]]) -> None:
    await redis.flushdb()
    inbox = Inbox(redis, POLICY)
    model: dict[str, tuple[int, bool]] = {}
    for what, number, at_ms in operations:
        name = str(number)
        if what == "add" and await inbox.add(USER, entry(name, at_ms)):
            model[name] = (at_ms, True)
            kept = sorted(model, key=lambda each: (model[each][0], each))[-POLICY.cap :]
            model = {each: model[each] for each in kept}
        elif what == "read":
            changed = await inbox.mark_read(USER, [name])
            assert changed == ([name] if model.get(name, (0, False))[1] else [])
            model |= {name: (model[name][0], False)} if name in model else {}
        elif what == "all":
            await inbox.mark_all_read(USER)
            model = {each: (at, False) for each, (at, _) in model.items()}
        elif what == "remove":
            await inbox.remove(USER, [name])
            model.pop(name, None)
    shown = {each.entry.message_id: (each.entry.at_ms, each.unread) for each in await inbox.newest(USER)}
    assert shown == model
    assert await inbox.unread(USER) == sum(unread for _, unread in model.values())


async def test_a_redis_that_is_away_is_transient_and_quotes_nothing() -> None:
    with Refusing(full=False) as url:
        redis = Redis.from_url(url.replace("http", "redis"), retry_on_timeout=False)
        with pytest.raises(Transient) as caught:
            await provider(redis).send(outgoing("inapp"))
        assert not leaks(f"{caught.value!r} {caught.value.__context__!r}")
        await redis.aclose()


async def refused(redis: Redis) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await provider(redis).send(outgoing("inapp"))
    assert not leaks(f"{caught.value!r} {caught.value.__context__!r}")
    return caught.value


async def test_keys_of_another_kind_are_an_error_of_ours(redis: Redis) -> None:
    await redis.set("t:inbox:{acme/u-1}:entries", "not a hash")
    assert isinstance(await refused(redis), Transient)


async def test_a_wrong_password_is_configuration(redis_db: str) -> None:
    client = Redis.from_url(redis_db, username="nobody", password="wrong")
    assert isinstance(await refused(client), Misconfigured)
    await client.aclose()


async def test_content_of_another_channel_is_refused(redis: Redis) -> None:
    with pytest.raises(Rejected):
        await provider(redis).send(outgoing("inapp", CONTENTS["sms"]))
