"""What every send ledger answers, before and after a crash of its owner: in Redis and in memory."""

import struct
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, Protocol

import pytest
import redis

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.providers.messages import message
from tocsin.delivery.claim import Claim, ClaimResult, Output, SendLedger
from tocsin.delivery.ledger import Ledger, LedgerPolicy, version_key
from tocsin.model.message import Message

FIRST, SECOND = "1" * 16, "2" * 16
LINE: Output = ("o", b'{"outcome":1}\xff\x00', ())
LETTER: Output = ("d", b"", (("tocsin-reason", b"rejected"),))


class World(Protocol):
    """Opens ledgers over one store, and changes profiles."""

    def open(self, incarnation: str = FIRST) -> SendLedger: ...

    def know(self, user_key: str, version: str) -> None: ...


class InMemory(MemoryStore):
    def open(self, incarnation: str = FIRST) -> SendLedger:
        return MemoryLedger(self, incarnation)


class InRedis:
    def __init__(self, url: str) -> None:
        self._url = url
        self.opened: list[Ledger] = []

    def open(self, incarnation: str = FIRST) -> SendLedger:
        self.opened.append(Ledger(LedgerPolicy(url=self._url, prefix="t:"), incarnation))
        return self.opened[-1]

    def know(self, user_key: str, version: str) -> None:
        with redis.Redis.from_url(self._url) as client:
            client.set(version_key("t:", user_key), version)


@pytest.fixture(params=["redis", "memory"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield InMemory()
        return
    made = InRedis(request.getfixturevalue("redis_db"))
    yield made
    for ledger in made.opened:
        await ledger.close()


async def test_a_fresh_message_is_claimed(world: World) -> None:
    assert await world.open().claim(message()) == Claim(ClaimResult.FRESH, attempt=1)


async def test_a_repeated_claim_of_the_same_incarnation_is_not_an_open_one(world: World) -> None:
    ledger = world.open()
    await ledger.claim(message())
    assert (await ledger.claim(message())).result is ClaimResult.CONTINUE


async def test_a_claim_left_by_another_incarnation_is_open(world: World) -> None:
    await world.open(FIRST).claim(message())
    assert await world.open(SECOND).claim(message()) == Claim(ClaimResult.OPEN, attempt=1)


async def test_looking_leaves_no_open_claim(world: World) -> None:
    assert (await world.open(FIRST).claim(message(), only_look=True)).result is ClaimResult.FRESH
    assert (await world.open(SECOND).claim(message())).result is ClaimResult.FRESH


async def test_a_recorded_attempt_is_continued_with_its_outputs(world: World) -> None:
    first = world.open(FIRST)
    await first.claim(message())
    await first.record(message(), 2, [LINE], unknown=False)
    assert await world.open(SECOND).claim(message()) == Claim(ClaimResult.CONTINUE, 2, (LINE,))
    assert await world.open("3" * 16).claim(message()) == Claim(ClaimResult.OPEN, 2, (LINE,)), (
        "claimed by two"
    )


async def test_a_finished_message_gives_its_outputs_back_to_everyone(world: World) -> None:
    first = world.open(FIRST)
    await first.claim(message())
    await first.finish(message(), 1, [LINE, LETTER], returned=False, unknown=False)
    for incarnation in (FIRST, SECOND):
        claim = await world.open(incarnation).claim(message())
        assert claim == Claim(ClaimResult.DONE, 1, (LINE, LETTER))


async def test_what_was_handed_back_starts_again_with_the_next_pass(world: World) -> None:
    ledger = world.open()
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
async def test_a_later_decision_is_a_later_pass(world: World, later: dict[str, Any]) -> None:
    ledger = world.open()
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
async def test_a_newer_profile_stops_the_message(world: World, version: int, answer: ClaimResult) -> None:
    world.know("acme/ann", str(version))
    claim = await world.open(FIRST).claim(message(profile_version=3))
    assert claim.result is answer
    if answer is ClaimResult.STALE:
        assert (await world.open(SECOND).claim(message(profile_version=99))).result is not ClaimResult.OPEN


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
    world: World, known: str, version: int, decided_ms: int, answer: ClaimResult
) -> None:
    world.know("acme/ann", known)
    claim = await world.open().claim(message(profile_version=version, decided_ms=decided_ms))
    assert claim.result is answer


async def test_a_profile_change_between_attempts_stops_the_next(world: World) -> None:
    ledger = world.open()
    await ledger.claim(message())
    await ledger.record(message(), 2, [LINE], unknown=False)
    world.know("acme/ann", "4")
    assert await ledger.claim(message()) == Claim(ClaimResult.STALE, 2, (LINE,))


async def test_a_sent_message_is_done_although_the_profile_is_newer(world: World) -> None:
    ledger = world.open()
    await ledger.finish(message(), 1, [LINE], returned=False, unknown=False)
    world.know("acme/ann", "-1")
    assert (await ledger.claim(message())).result is ClaimResult.DONE


async def test_passes_compare_like_numbers(world: World) -> None:
    """Lua compares them as text: width and digits must keep the order."""
    ledger = world.open()

    async def later(a: Message, b: Message) -> bool:
        await ledger.finish(a, 1, [], returned=True, unknown=False)
        return (await ledger.claim(b, only_look=True)).result is not ClaimResult.OLD

    numbers = [0, 9, 10, 15, 16, 255, 256, 2**31, struct.unpack(">q", b"\x7f" + b"\xff" * 7)[0]]
    for number, (low, high) in enumerate(pairwise(numbers)):
        small, large = message(number=number, decided_ms=low), message(number=number, decided_ms=high)
        assert await later(small, large)
        assert not await later(large, small)


SENT: Output = ("o", b'{"status":"sent"}', ())
DEAD: Output = ("o", b'{"status":"dead","reason":"render_error"}', ())


def replayed(number: int = 2) -> Message:
    return message(number=number, unless_sent=message().message_id)


async def test_a_replay_of_what_was_sent_is_done_before_it_begins(world: World) -> None:
    ledger = world.open()
    await ledger.finish(message(), 1, [SENT], returned=False, unknown=False)
    assert await ledger.claim(replayed()) == Claim(ClaimResult.DONE, 1)


@pytest.mark.parametrize("outputs", [[DEAD], [LINE, LETTER]])
async def test_a_replay_of_what_is_dead_is_claimed(world: World, outputs: list[Output]) -> None:
    ledger = world.open()
    await ledger.finish(message(), 3, outputs, returned=False, unknown=False)
    assert await ledger.claim(replayed()) == Claim(ClaimResult.FRESH, 1)


async def test_a_replay_of_what_is_being_sent_is_done(world: World) -> None:
    await world.open(FIRST).claim(message())
    assert await world.open(SECOND).claim(replayed()) == Claim(ClaimResult.DONE, 1)


async def test_a_replay_of_what_returned_to_the_gate_is_claimed(world: World) -> None:
    ledger = world.open()
    await ledger.finish(message(), 2, [LINE], returned=True, unknown=False)
    assert (await ledger.claim(replayed())).result is ClaimResult.FRESH


async def test_a_replay_of_what_nobody_knows_the_end_of_says_so(world: World) -> None:
    ledger = world.open()
    await ledger.finish(message(), 2, [DEAD], returned=False, unknown=True)
    assert await ledger.claim(replayed()) == Claim(ClaimResult.CONTINUE, 1, unknown=True)


async def test_once_a_replay_is_sent_neither_the_first_nor_another_replay_is(world: World) -> None:
    ledger = world.open()
    await ledger.finish(message(), 2, [DEAD], returned=False, unknown=False)
    await ledger.claim(replayed())
    await ledger.finish(replayed(), 1, [SENT], returned=False, unknown=False)
    assert await ledger.claim(replayed(3)) == Claim(ClaimResult.DONE, 1)
    assert (await ledger.claim(message())).outputs == ()
    assert (await ledger.claim(replayed())).outputs == (SENT,), "the replay itself says the same again"


async def test_what_ended_as_already_sent_counts_as_sent(world: World) -> None:
    ledger = world.open()
    told: Output = ("o", b'{"status":"suppressed","reason":"already_sent"}', ())
    await ledger.finish(message(), 1, [told], returned=False, unknown=False)
    assert (await ledger.claim(replayed())).result is ClaimResult.DONE
