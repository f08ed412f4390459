"""Bodies within limits of size and memory, and as they were signed."""

import asyncio
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import pytest

from tests.gateway.running import Running
from tocsin.gateway.body import Body
from tocsin.gateway.body_budget import BodyBudget
from tocsin.gateway.connections import shed
from tocsin.gateway.problems import Problem

MB = 1 << 20


class Client:
    """Sends a body in parts.

    Attributes:
        received: how many of them were taken.
    """

    def __init__(self, parts: Iterable[bytes], *, goes: bool = False) -> None:
        self._parts = list(parts)
        self._goes = goes
        self.received = 0

    async def receive(self) -> dict[str, Any]:
        """Give the next part; or tell that the client has gone."""
        self.received += 1
        if not self._parts:
            return {"type": "http.disconnect"}
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": self._goes or bool(self._parts)}


def body_of(
    client: Client, budget: BodyBudget | None = None, declared: int | None = None, most: int = 16 * MB
) -> Body:
    headers = {} if declared is None else {"content-length": str(declared)}
    return Body(client.receive, headers, most, budget or BodyBudget(16 * MB))


async def refused(body: Body) -> tuple[int, dict[str, str]]:
    with pytest.raises(Problem) as caught:
        await body.whole()
    return caught.value.status, caught.value.headers


async def test_a_body_is_its_parts() -> None:
    assert await body_of(Client([b"ab", b"", b"c"])).whole() == b"abc"
    assert [part async for part in body_of(Client([b"ab", b"", b"c"])).parts()] == [b"ab", b"c"]


async def test_a_body_that_does_not_fit_beside_others_is_refused_before_it_is_read() -> None:
    budget, second = BodyBudget(16 * MB), Client([b"x" * MB] * 10)
    first = body_of(Client([b"x" * MB] * 10), budget, 10 * MB)
    assert len(await first.whole()) == 10 * MB
    before = shed["bodies"]
    headers = {"retry-after": "1", "connection": "close"}
    assert await refused(body_of(second, budget, 10 * MB)) == (503, headers)
    assert (second.received, shed["bodies"]) == (0, before + 1)
    first.free()
    assert len(await body_of(second, budget, 10 * MB).whole()) == 10 * MB


async def test_a_body_of_no_declared_length_is_refused_as_soon_as_it_does_not_fit() -> None:
    budget, client = BodyBudget(16 * MB), Client([b"x" * MB] * 10)
    first = body_of(Client([b"x" * MB] * 10), budget)
    await first.whole()
    second = body_of(client, budget)
    assert (await refused(second))[0] == 503
    assert (client.received, budget.held_bytes) == (7, 16 * MB)
    second.free()
    first.free()
    assert budget.held_bytes == 0


async def test_a_body_that_comes_in_small_parts_does_not_fit_beside_others_either() -> None:
    budget = BodyBudget(MB)
    await body_of(Client([b"x" * 16_384] * 32), budget).whole()
    second = body_of(Client([b"x" * 16_384] * 48), budget)
    assert (await refused(second))[0] == 503
    assert budget.held_bytes == MB
    second.free()
    assert budget.held_bytes == MB // 2


async def test_what_is_declared_and_does_not_come_takes_nothing_from_others() -> None:
    budget = BodyBudget(16 * MB)
    assert await refused(body_of(Client([b"x"], goes=True), budget, 16 * MB)) == (400, {})
    assert budget.held_bytes == 0


async def test_small_bodies_are_taken_though_large_ones_fill_the_memory() -> None:
    budget = BodyBudget(16 * MB)
    await body_of(Client([b"x" * MB] * 16), budget).whole()
    assert await body_of(Client([b"x" * 65_536]), budget, 65_536).whole() == b"x" * 65_536
    assert (await refused(body_of(Client([b"x" * 65_537]), budget)))[0] == 503


async def test_the_memory_of_a_body_is_free_once_it_is_answered(gateway: Running) -> None:
    answer = await gateway.client.post(
        "/v1/notifications", content=b"{" + b" " * 15 * MB, headers=gateway.bearing()
    )
    assert (answer.status_code, gateway.gateway.bodies.held_bytes) == (400, 0)


@pytest.mark.parametrize("declared", [None, 11])
async def test_a_body_over_the_limit_of_its_endpoint_is_refused(declared: int | None) -> None:
    client = Client([b"x" * 6, b"x" * 5, b"x"])
    assert await refused(body_of(client, declared=declared, most=10)) == (413, {"connection": "close"})
    assert client.received == (2 if declared is None else 0)


@pytest.mark.parametrize(("parts", "is_signed"), [([b"a", b"b"], True), ([b"a", b"c"], False)])
async def test_a_body_that_was_not_signed_ends_before_its_last_part(
    parts: list[bytes], is_signed: bool
) -> None:
    body = body_of(Client(parts))
    body.hold_against(sha256(b"ab").hexdigest())
    found = []
    try:
        async for part in body.parts():
            found.append(part)
        status = 0
    except Problem as problem:
        status = problem.status
    assert (found, status) == (([b"a", b"b"], 0) if is_signed else ([b"a"], 401))


async def test_a_part_that_comes_too_slowly_is_refused() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    body = Body(never, {}, 10, BodyBudget(16 * MB))
    with pytest.raises(Problem, match=r"send each part within 0\.01 s"):
        await anext(body.parts(0.01))


async def test_a_small_rest_is_read_away_and_a_large_one_is_not() -> None:
    rest = Client([b"ab", b"c"])
    assert await body_of(rest, declared=3).drained()
    assert rest.received == 2
    assert not await body_of(Client([b"ab", b"c"]), declared=1 << 20).drained()
    assert not await body_of(Client([b"ab"], goes=True), declared=3).drained()
    assert await body_of(Client([])).drained()
