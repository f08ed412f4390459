"""Redis did what it was asked and its answer is lost: every use of Redis comes to the same end."""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest
import redis
from redis.asyncio import Redis

from tests.dropping_proxy import DroppingProxy
from tests.providers.messages import message
from tests.providers.samples import outgoing
from tests.waiting import PATIENCE_S, until
from tocsin.delivery.claim import Claim, ClaimResult, Output
from tocsin.delivery.ledger import Ledger, LedgerPolicy, version_key
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.versions import VersionWriter
from tocsin.errors import Transient
from tocsin.model.raw import VersionNote
from tocsin.providers.apple_token import RedisTokenShare, Signed
from tocsin.providers.inapp import InApp, InAppAccount
from tocsin.providers.inbox import Entry, Inbox, InboxPolicy

FIRST, SECOND = "1" * 16, "2" * 16
LINE: Output = ("o", b'{"outcome":1}', ())
ENTRY = Entry("m1", "n1", "welcome", "account", "t", "b", 1)
TIMES = 12
"""More often than any client repeats a command by itself."""
PAUSE_S = 0.02


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger ask again sooner than it does: what is tested is how often."""
    monkeypatch.setattr("tocsin.delivery.ledger._PAUSES_S", (PAUSE_S,))


@pytest.fixture
def proxy(redis_db: str) -> Iterator[DroppingProxy]:
    """Stand between a client and the test's Redis; scripts are what may lose their answer."""
    with DroppingProxy(redis_db, b"EVAL") as between:
        yield between


def ledger_at(url: str, incarnation: str = FIRST) -> Ledger:
    return Ledger(LedgerPolicy(url=url, prefix="t:"), incarnation)


async def test_a_claim_whose_answers_are_lost_is_ours_and_not_an_open_one(proxy: DroppingProxy) -> None:
    """`SET NX`, asked again, would answer that somebody else has it."""
    ledger = ledger_at(proxy.url)
    proxy.to_drop = TIMES
    claim = await ledger.claim(message())
    assert claim == Claim(ClaimResult.CONTINUE, 1)
    assert proxy.dropped == TIMES
    await ledger.close()


async def test_an_end_whose_answers_are_lost_is_written_once_and_stays(proxy: DroppingProxy) -> None:
    ledger, other = ledger_at(proxy.url), ledger_at(proxy.url, SECOND)
    await ledger.claim(message())
    proxy.to_drop = TIMES
    await ledger.record(message(), 2, [LINE], unknown=False)
    proxy.to_drop = TIMES
    await ledger.finish(message(), 2, [LINE], returned=False, unknown=False)
    assert proxy.dropped == 2 * TIMES
    assert await other.claim(message()) == Claim(ClaimResult.DONE, 2, (LINE,))
    await ledger.close()
    await other.close()


async def test_calls_of_many_messages_keep_their_own_answers(proxy: DroppingProxy) -> None:
    ledger = ledger_at(proxy.url)
    await ledger.finish(message(number=7), 3, [LINE], returned=False, unknown=False)
    proxy.to_drop = 2
    claims = await asyncio.gather(*[ledger.claim(message(number=n)) for n in range(10)])
    assert [claim.attempt for claim in claims] == [3 if n == 7 else 1 for n in range(10)]
    assert [n for n, claim in enumerate(claims) if claim.result is ClaimResult.DONE] == [7]
    await ledger.close()


def test_versions_and_erasures_stand_whatever_is_lost(
    proxy: DroppingProxy, redis_db: str, runtime: Runtime
) -> None:
    writer = VersionWriter(runtime, LedgerPolicy(url=proxy.url, prefix="t:"), [InboxPolicy(prefix="t:")])
    with redis.Redis.from_url(redis_db) as client:
        client.hset("t:inbox:{acme/ann}:entries", "m1", "{}")
        for note, stands in ((5, b"5"), (-7_000, b"0/7000"), (2, b"2/7000")):
            proxy.to_drop = 2
            writer.publish([VersionNote("acme/ann", note)])
            until(lambda: proxy.to_drop == 0, "the lost answers")
            until(partial(_stands, client, stands), "the version")
        until(lambda: not client.exists("t:inbox:{acme/ann}:entries"), "the erasure")
    runtime.run(writer.close(), PATIENCE_S)


def _stands(client: redis.Redis, version: bytes) -> bool:
    return client.get(version_key("t:", "acme/ann")) == version


async def test_an_entry_is_added_and_counted_once(proxy: DroppingProxy, redis_db: str) -> None:
    account = InAppAccount.model_validate({"vendor": "inapp", "prefix": "t:"})
    async with open_client(proxy.url) as client, Redis.from_url(redis_db) as direct:
        inbox = Inbox(direct, account.policy())
        await inbox.add("acme/bob", ENTRY)  # the server knows the script from now on
        inapp = InApp("inapp", account, Inbox(client, account.policy()))
        proxy.to_drop = 1
        with pytest.raises(Transient):
            await inapp.send(outgoing("inapp"))
        assert (await inapp.send(outgoing("inapp"))).code == "present"
        letter = outgoing("inapp").message
        user = f"{letter.tenant}/{letter.user}"
        assert await inbox.counts(user) == (1, 1)


async def test_a_client_of_ours_never_repeats_a_command(proxy: DroppingProxy, redis_db: str) -> None:
    """A counter would count eleven: redis-py repeats up to ten times where nobody tells it not to."""
    async with open_client(proxy.url) as client, Redis.from_url(redis_db) as direct:
        proxy.to_drop = 1
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.eval("return redis.call('INCR', KEYS[1])", 1, "counter")
        assert await direct.get("counter") == b"1"


async def test_entries_marked_read_are_not_marked_twice(proxy: DroppingProxy) -> None:
    async with open_client(proxy.url) as client:
        inbox = Inbox(client, InboxPolicy(prefix="t:"))
        await inbox.add("acme/ann", ENTRY)
        await inbox.act("acme/bob", "read", ["m1"])  # the server knows the script from now on
        proxy.to_drop = 1
        with pytest.raises(redis.exceptions.ConnectionError):
            await inbox.act("acme/ann", "read", ["m1"])
        again = await inbox.act("acme/ann", "read", ["m1"])
        assert (again.changed, again.counts.unread) == ([], 0)
        assert [report.kind for report in again.reports] == ["read"], "not yet in Kafka: it comes again"


async def test_a_process_whose_answer_is_lost_signs_with_the_token_of_all(
    proxy: DroppingProxy, redis_db: str
) -> None:
    """Apple refuses a second token of a key for 20 minutes."""
    async with open_client(redis_db) as direct, open_client(proxy.url) as client:
        held = await RedisTokenShare(direct, "t:").settle("key", Signed("first", 1_000), "")
        proxy.to_drop = 1
        share = RedisTokenShare(client, "t:")
        assert await share.settle("key", Signed("second", 1_001), "") == held
        assert proxy.dropped == 1
