"""Questions to a real ClickHouse: read-only, in limited time, and asked once for all who ask the same."""

import asyncio
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from dashboards.web.pool import CLIENTS, Asker, Pool
from dashboards.web.problem import Problem

pytestmark = pytest.mark.integration


def question(sql: str, **bound: Any) -> Any:
    return lambda client: client.query(sql, parameters=bound).result_rows


async def test_a_question_that_takes_too_long_is_ended_with_the_cure(clickhouse_url: str) -> None:
    asker = Asker(Pool(clickhouse_url, limit_s=1))
    with pytest.raises(Problem, match="more than 1 s: choose a shorter time") as ended:
        await asker.ask(
            ("slow", {}),
            question("SELECT sum(sleepEachRow(0.5)) FROM numbers(60) SETTINGS max_block_size = 1"),
        )
    assert ended.value.status == 504


async def test_nothing_can_be_written(clickhouse_url: str) -> None:
    def write(client: Client) -> Any:
        return client.command("CREATE TABLE written (number UInt8) ENGINE = Memory")

    with pytest.raises(Problem, match="readonly") as refused:
        await Asker(Pool(clickhouse_url)).ask(("write", {}), write)
    assert refused.value.status == 503


async def test_those_who_ask_the_same_share_one_answer(clickhouse_url: str) -> None:
    asked = []

    def ask(client: Client) -> Any:
        asked.append(1)
        return client.query("SELECT 1").result_rows

    asker = Asker(Pool(clickhouse_url))
    answers = await asyncio.gather(*(asker.ask(("one", {"tenant": "a"}), ask) for _ in range(20)))
    assert (len(asked), answers) == (1, [[(1,)]] * 20)
    await asker.ask(("one", {"tenant": "b"}), ask)
    assert len(asked) == 2, "another tenant's answer is another one"


async def test_more_questions_than_clients_are_all_answered(clickhouse_url: str) -> None:
    pool = Pool(clickhouse_url)
    asker = Asker(pool, shared_s=0)
    asks = [asker.ask(("n", {"n": n}), question("SELECT {n:UInt8}", n=n)) for n in range(CLIENTS * 3)]
    assert await asyncio.gather(*asks) == [[(n,)] for n in range(CLIENTS * 3)]
    pool.close()


async def test_a_refused_question_leaves_the_pool_whole(clickhouse_url: str) -> None:
    asker = Asker(Pool(clickhouse_url), shared_s=0)
    for number in range(CLIENTS * 2):
        with pytest.raises(Problem, match="tocsin db migrate"):
            await asker.ask(("bad", {"n": number}), question("SELECT * FROM no_such_table"))
    assert await asker.ask(("good", {}), question("SELECT 1")) == [(1,)]
