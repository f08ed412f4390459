"""The ledger against a real server: its form, its commands, and Redis away or killed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis

from tests.providers.messages import message
from tests.providers.valkey import OwnValkey
from tests.waiting import PATIENCE_S, soon
from tocsin.delivery.claim import Claim, ClaimResult, Output
from tocsin.delivery.ledger import Ledger, LedgerPolicy

FIRST, SECOND = "1" * 16, "2" * 16
LINE: Output = ("o", b'{"outcome":1}\xff\x00', ())
LETTER: Output = ("d", b"", (("tocsin-reason", b"rejected"),))
Open = Callable[..., Ledger]


@pytest.fixture
async def open_ledger(redis_db: str) -> AsyncIterator[Open]:
    opened: list[Ledger] = []

    def make(incarnation: str = FIRST, **settings: Any) -> Ledger:
        policy = LedgerPolicy(**({"url": redis_db, "prefix": "t:"} | settings))
        opened.append(Ledger(policy, incarnation))
        return opened[-1]

    yield make
    for ledger in opened:
        await ledger.close()


async def test_keys_expire(open_ledger: Open, redis_db: str) -> None:
    ledger = open_ledger(ttl_s=77)
    await ledger.claim(message(number=1))
    await ledger.finish(message(number=2), 1, [], returned=False, unknown=False)
    with redis.Redis.from_url(redis_db) as client:
        ttls = [client.ttl(key) for key in client.scan_iter("t:ledger:*")]
    assert len(ttls) == 2
    assert all(70 <= ttl <= 77 for ttl in ttls)


async def test_calls_are_gathered_into_few_commands(open_ledger: Open, redis_db: str) -> None:
    ledger = open_ledger()
    await ledger.claim(message("warm"))
    with redis.Redis.from_url(redis_db) as client, client.monitor() as monitor:
        claims = await asyncio.gather(*[ledger.claim(message(number=i)) for i in range(500)])
        client.echo("end")
        database = client.get_connection_kwargs()["db"]
        heard = [said["command"] for said in commands_until(monitor, "ECHO end") if said["db"] == database]
    assert {claim.result for claim in claims} == {ClaimResult.FRESH}
    assert 1 <= sum(command.startswith("EVALSHA") for command in heard) <= 4


async def test_calls_that_come_while_one_is_out_share_the_next(
    open_ledger: Open, own_valkey: OwnValkey
) -> None:
    """A pause is of the whole server: it would stop tests beside this one."""
    ledger = open_ledger(url=own_valkey.url, timeout_s=PATIENCE_S)
    await ledger.claim(message("warm"))
    with own_valkey.client() as client:
        before = script_calls(client)
        client.client_pause(60_000, all=False)
        first = asyncio.create_task(ledger.claim(message(number=0)))
        await turns_of_the_loop()
        many = [asyncio.create_task(ledger.claim(message(number=1 + i))) for i in range(20)]
        await turns_of_the_loop()
        client.client_unpause()
        await asyncio.gather(first, *many)
        assert script_calls(client) - before == 2


async def turns_of_the_loop() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def script_calls(client: redis.Redis) -> int:
    stats: Any = client.info("commandstats")
    calls: int = stats["cmdstat_evalsha"]["calls"]
    return calls


def commands_until(monitor: Any, last: str) -> Iterator[dict[str, Any]]:
    """What the server hears from anybody, for other tests may use it now."""
    for said in monitor.listen():
        if said["command"] == last:
            return
        yield said


async def test_a_server_without_the_script_is_given_it_again(
    open_ledger: Open, own_valkey: OwnValkey
) -> None:
    """Scripts are of the whole server: tests beside this one count on theirs."""
    ledger = open_ledger(url=own_valkey.url)
    await ledger.claim(message(number=1))
    with own_valkey.client() as client:
        client.script_flush()
    assert (await ledger.claim(message(number=2))).result is ClaimResult.FRESH


def test_an_incarnation_has_a_fixed_length() -> None:
    with pytest.raises(ValueError, match="16"):
        Ledger(LedgerPolicy(url="redis://127.0.0.1:1/0"), "short")


async def test_with_wait_calls_last_until_redis_is_back(own_valkey: OwnValkey) -> None:
    ledger = Ledger(LedgerPolicy(url=own_valkey.url, timeout_s=0.3), FIRST)
    await ledger.claim(message(number=1))
    own_valkey.kill()
    waiting = asyncio.create_task(ledger.claim(message(number=2)))
    writing = asyncio.create_task(ledger.record(message(number=1), 2, [LINE], unknown=False))
    await soon(lambda: ledger.away)
    assert not waiting.done()
    assert not writing.done()
    await asyncio.to_thread(own_valkey.start)
    assert (await asyncio.wait_for(waiting, PATIENCE_S)).result is ClaimResult.FRESH
    await asyncio.wait_for(writing, PATIENCE_S)
    assert not ledger.away
    again = Ledger(LedgerPolicy(url=own_valkey.url), SECOND)
    assert (await again.claim(message(number=1))).outputs == (LINE,)
    await ledger.close()
    await again.close()


async def test_with_send_nobody_waits_and_ends_are_written_later(own_valkey: OwnValkey) -> None:
    ledger = Ledger(LedgerPolicy(url=own_valkey.url, without_redis="send", timeout_s=0.3), FIRST)
    await ledger.claim(message(number=1))
    own_valkey.kill()
    assert (await asyncio.wait_for(ledger.claim(message(number=2)), PATIENCE_S)).result is ClaimResult.FRESH
    assert not ledger.away, "the channel goes on"
    await asyncio.wait_for(
        ledger.finish(message(number=2), 1, [LINE], returned=False, unknown=False), PATIENCE_S
    )
    await asyncio.to_thread(own_valkey.start)
    await soon(lambda: ledger.up)
    again = Ledger(LedgerPolicy(url=own_valkey.url), SECOND)
    assert await again.claim(message(number=2)) == Claim(ClaimResult.DONE, 1, (LINE,))
    await ledger.close()
    await again.close()


async def test_a_claim_survives_kill_of_the_server(own_valkey: OwnValkey) -> None:
    own_valkey.kill()
    await asyncio.to_thread(own_valkey.start, "--appendfsync", "always")
    ledger = Ledger(LedgerPolicy(url=own_valkey.url), FIRST)
    await ledger.claim(message())
    own_valkey.kill()
    await asyncio.to_thread(own_valkey.start)
    again = Ledger(LedgerPolicy(url=own_valkey.url), SECOND)
    assert (await again.claim(message())).result is ClaimResult.OPEN
    await ledger.close()
    await again.close()


def body_of(value: bytes) -> object:
    return msgspec.msgpack.decode(value[38:])


async def test_the_stored_form_is_fixed(open_ledger: Open, redis_db: str) -> None:
    """Golden: an older release's entries must be readable; a change here needs a migration."""
    stored = message(attempt=2, decided_ms=5)
    await open_ledger().finish(stored, 3, [LETTER], returned=True, unknown=True)
    with redis.Redis.from_url(redis_db) as client:
        value = client.get(f"t:ledger:{stored.message_id}")
    assert value[:38] == b"H1" + b"1" * 16 + b"0002" + b"0000000000000005"
    assert body_of(value) == [3, [["d", b"", [["tocsin-reason", b"rejected"]]]]]
