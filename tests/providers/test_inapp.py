"""The adapter of the inbox on a real Redis: idempotent, and clear about what Redis refuses."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.providers.samples import CONTENTS, leaks, outgoing
from tests.providers.scripted_http import Refusing
from tocsin.errors import DeliveryError, Misconfigured, Rejected, Transient
from tocsin.model.content import InAppContent
from tocsin.providers.base import Receipt
from tocsin.providers.inapp import InApp, InAppAccount
from tocsin.providers.inbox import Entry, Inbox, InboxPolicy

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
    await inbox.act(USER, "read")
    again = await adapter.send(outgoing("inapp", InAppContent("other", "text")))
    assert again.code == "present"
    [shown] = await inbox.newest(USER)
    assert (shown.unread, shown.entry.title) == (False, "Gate B12 moved")


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
