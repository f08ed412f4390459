"""The ledger against a real server: what a claim answers, before and after crashes of either side."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import redis

from tests.providers.messages import message
from tests.providers.valkey import OwnValkey
from tests.waiting import PATIENCE_S, soon
from tocsin.delivery.claim import Claim, ClaimResult, Output
from tocsin.delivery.ledger import Ledger, LedgerPolicy, version_key
from tocsin.model.message import Message

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


async def test_a_fresh_message_is_claimed(open_ledger: Open) -> None:
    assert await open_ledger().claim(message()) == Claim(ClaimResult.FRESH, attempt=1)


async def test_a_repeated_claim_of_the_same_incarnation_is_not_an_open_one(open_ledger: Open) -> None:
    ledger = open_ledger()
    await ledger.claim(message())
    assert (await ledger.claim(message())).result is ClaimResult.CONTINUE


async def test_a_claim_left_by_another_incarnation_is_open(open_ledger: Open) -> None:
    await open_ledger(FIRST).claim(message())
    assert await open_ledger(SECOND).claim(message()) == Claim(ClaimResult.OPEN, attempt=1)


async def test_looking_leaves_no_open_claim(open_ledger: Open) -> None:
    assert (await open_ledger(FIRST).claim(message(), only_look=True)).result is ClaimResult.FRESH
    assert (await open_ledger(SECOND).claim(message())).result is ClaimResult.FRESH


async def test_a_recorded_attempt_is_continued_with_its_outputs(open_ledger: Open) -> None:
    first = open_ledger(FIRST)
    await first.claim(message())
    await first.record(message(), 2, [LINE], unknown=False)
    assert await open_ledger(SECOND).claim(message()) == Claim(ClaimResult.CONTINUE, 2, (LINE,))
    assert await open_ledger("3" * 16).claim(message()) == Claim(ClaimResult.OPEN, 2, (LINE,)), (
        "claimed by two"
    )


async def test_a_finished_message_gives_its_outputs_back_to_everyone(open_ledger: Open) -> None:
    first = open_ledger(FIRST)
    await first.claim(message())
    await first.finish(message(), 1, [LINE, LETTER], returned=False, unknown=False)
    for incarnation in (FIRST, SECOND):
        claim = await open_ledger(incarnation).claim(message())
        assert claim == Claim(ClaimResult.DONE, 1, (LINE, LETTER))


async def test_what_was_handed_back_starts_again_with_the_next_pass(open_ledger: Open) -> None:
    ledger = open_ledger()
    await ledger.claim(message())
    await ledger.finish(message(), 4, [LINE], returned=True, unknown=True)
    later = message(attempt=4, decided_ms=9_000)
    assert await ledger.claim(message()) == Claim(ClaimResult.DONE, 4, (LINE,), unknown=True)
    assert await ledger.claim(later) == Claim(ClaimResult.CONTINUE, 4, (), unknown=True), (
        "remembers the doubt"
    )
    assert (await ledger.claim(message())).result is ClaimResult.OLD, "all it put out is out"
    await ledger.finish(later, 4, [LETTER], returned=False, unknown=False)
    assert (await ledger.claim(message())).outputs == (LETTER,)


@pytest.mark.parametrize(
    "later",
    [{"attempt": 2}, {"decided_ms": 3_001}, {"attempt": 2, "decided_ms": 1}],
)
async def test_a_later_decision_is_a_later_pass(open_ledger: Open, later: dict[str, Any]) -> None:
    ledger = open_ledger()
    await ledger.finish(message(), 1, [], returned=True, unknown=False)
    assert (await ledger.claim(message(**later))).result is ClaimResult.CONTINUE


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (2, ClaimResult.FRESH),
        (3, ClaimResult.FRESH),
        (4, ClaimResult.STALE),
        (10, ClaimResult.STALE),
        (-1, ClaimResult.STALE),
    ],
)
async def test_a_newer_profile_stops_the_message(
    open_ledger: Open, redis_db: str, version: int, answer: ClaimResult
) -> None:
    with redis.Redis.from_url(redis_db) as client:
        client.set(version_key("t:", "acme/ann"), version)
    claim = await open_ledger(FIRST).claim(message(profile_version=3))
    assert claim.result is answer
    if answer is ClaimResult.STALE:
        assert (await open_ledger(SECOND).claim(message(profile_version=99))).result is not ClaimResult.OPEN


@pytest.mark.parametrize(
    ("known", "version", "decided_ms", "answer"),
    [
        ("0/5000", 3, 4_999, ClaimResult.STALE),
        ("0/5000", 0, 4_999, ClaimResult.STALE),
        ("0/5000", 3, 5_000, ClaimResult.STALE),
        ("0/5000", 0, 5_000, ClaimResult.FRESH),  # to an inline recipient: a farewell may follow at once
        ("0/5000", 1, 5_001, ClaimResult.FRESH),
        ("2/5000", 5, 4_999, ClaimResult.STALE),  # came back with a version below the old one
        ("2/5000", 1, 5_001, ClaimResult.STALE),
        ("2/5000", 2, 5_001, ClaimResult.FRESH),
        (str((1 << 53) - 1), (1 << 53) - 2, 5_000, ClaimResult.STALE),
    ],
)
async def test_what_was_decided_before_an_erasure_is_stale(
    open_ledger: Open, redis_db: str, known: str, version: int, decided_ms: int, answer: ClaimResult
) -> None:
    with redis.Redis.from_url(redis_db) as client:
        client.set(version_key("t:", "acme/ann"), known)
    claim = await open_ledger().claim(message(profile_version=version, decided_ms=decided_ms))
    assert claim.result is answer


async def test_a_profile_change_between_attempts_stops_the_next(open_ledger: Open, redis_db: str) -> None:
    ledger = open_ledger()
    await ledger.claim(message())
    await ledger.record(message(), 2, [LINE], unknown=False)
    with redis.Redis.from_url(redis_db) as client:
        client.set(version_key("t:", "acme/ann"), 4)
    assert await ledger.claim(message()) == Claim(ClaimResult.STALE, 2, (LINE,))


async def test_a_sent_message_is_done_although_the_profile_is_newer(open_ledger: Open, redis_db: str) -> None:
    ledger = open_ledger()
    await ledger.finish(message(), 1, [LINE], returned=False, unknown=False)
    with redis.Redis.from_url(redis_db) as client:
        client.set(version_key("t:", "acme/ann"), -1)
    assert (await ledger.claim(message())).result is ClaimResult.DONE


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


def commands_until(monitor: Any, last: str) -> Iterator[dict[str, Any]]:
    """What the server hears from anybody, for other tests may use it now."""
    for said in monitor.listen():
        if said["command"] == last:
            return
        yield said


async def test_a_server_without_the_script_is_given_it_again(open_ledger: Open, redis_db: str) -> None:
    ledger = open_ledger()
    await ledger.claim(message(number=1))
    with redis.Redis.from_url(redis_db) as client:
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
    assert (await asyncio.wait_for(ledger.claim(message(number=2)), 2)).result is ClaimResult.FRESH
    assert not ledger.away, "the channel goes on"
    await asyncio.wait_for(ledger.finish(message(number=2), 1, [LINE], returned=False, unknown=False), 2)
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


async def test_passes_compare_like_numbers(open_ledger: Open) -> None:
    """Lua compares them as text: width and digits must keep the order."""
    ledger = open_ledger()

    async def later(a: Message, b: Message) -> bool:
        await ledger.finish(a, 1, [], returned=True, unknown=False)
        return (await ledger.claim(b, only_look=True)).result is not ClaimResult.OLD

    numbers = [0, 9, 10, 15, 16, 255, 256, 2**31, struct.unpack(">q", b"\x7f" + b"\xff" * 7)[0]]
    for number, (low, high) in enumerate(pairwise(numbers)):
        small, large = message(number=number, decided_ms=low), message(number=number, decided_ms=high)
        assert await later(small, large)
        assert not await later(large, small)
