"""The writer: where librdkafka ends a producer for good, another one takes over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sources.topics import TopicAdmin, TopicPlan
from tests.gateway.disagreeing_broker import DisagreeingBroker
from tocsin.gateway.problems import Problem
from tocsin.gateway.writer import Placed, Record, Writer, WriterPolicy

_MOST_S = 30
RECORD = Record("events", b"default/ada", b"{}")


@asynccontextmanager
async def writing(kafka: str, prefix: str) -> AsyncIterator[Writer]:
    """Run a writer; it ends with what is in flight."""
    writer = Writer(WriterPolicy(kafka, prefix))
    writer.start()
    try:
        yield writer
    finally:
        await writer.close()


async def until_written(writer: Writer) -> Placed:
    """Write again for as long as the answer is that Kafka is away, as a client does."""
    async with asyncio.timeout(_MOST_S):
        while True:
            (result,) = await writer.write_all([RECORD])
            if isinstance(result, Placed):
                return result
            assert (result.problem.status, result.problem.headers) == (503, {"retry-after": "2"})
            await asyncio.sleep(0.05)


async def test_a_producer_that_ended_for_good_is_replaced(kafka: str, topic_prefix: str) -> None:
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(1), ["events"])
    with DisagreeingBroker(kafka, f"{topic_prefix}events") as broker:
        async with writing(broker.address, topic_prefix) as writer:
            first = await until_written(writer)
            broker.to_refuse = 1
            async with asyncio.timeout(_MOST_S):
                with pytest.raises(Problem, match="Kafka did not acknowledge"):
                    await writer.write(RECORD)
            again = await until_written(writer)
            assert (writer.replaced, writer.is_away) == (1, False)
    assert again.offset > first.offset


async def test_no_second_producer_follows_within_a_second(kafka: str, topic_prefix: str) -> None:
    """Where each producer ends at once, requests get 503, and no time is lost on producers."""
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(1), ["events"])
    with DisagreeingBroker(kafka, f"{topic_prefix}events") as broker:
        async with writing(broker.address, topic_prefix) as writer:
            await until_written(writer)
            began_s = asyncio.get_running_loop().time()
            broker.to_refuse = 2
            await until_written(writer)
            assert asyncio.get_running_loop().time() - began_s > 1
            assert writer.replaced == 2
