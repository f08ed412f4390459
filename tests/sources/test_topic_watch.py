"""A topic that is deleted and created anew stops the consumer, before it reads on in the middle."""

import time
from collections.abc import Callable, Collection

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from sources.consumer import KafkaConsumer
from sources.topic_watch import TopicWatch
from sources.topics import TopicPlan
from tests.sources.rig import PARTITIONS, World, read, wait_for
from tocsin.errors import SourceError, StateError
from tocsin.model import topics

SENTENCE = "topics were deleted and created anew since the state was written: events; start with an empty"
_FETCH_S = 1.0
"""Longer than a fetch is open at the broker."""


class Ids:
    """A cluster's topic ids, as the test sets them; None while Kafka is away."""

    def __init__(self, **ids: str) -> None:
        self.ids: dict[str, str] | None = ids

    def topic_ids(self, names: Collection[str]) -> dict[str, str]:
        if self.ids is None:
            raise SourceError("cluster: no broker answers")
        return {name: self.ids[name] for name in names if name in self.ids}


def test_another_id_is_refused_and_its_topic_named() -> None:
    heard: list[str] = []
    cluster = Ids(events="t1", bulk="t2")
    watch = TopicWatch(cluster, {"events": "t1", "bulk": "t2"}, heard.append)
    watch.look()
    cluster.ids = None
    watch.look()
    cluster.ids = {"bulk": "t2"}
    watch.look()
    assert heard == []
    cluster.ids = {"events": "t3", "bulk": "t2"}
    watch.look()
    assert len(heard) == 1
    assert heard[0].startswith(SENTENCE)


def test_a_topic_created_anew_stops_the_consumer(world: World, start: Callable[..., KafkaConsumer]) -> None:
    """The new topic is already longer than the next offset, so Kafka has no complaint.

    The consumer has paused the topic before, and no fetch of it is open: librdkafka 2.16.0 now and then ends
    the process with SIGSEGV while it is answered for a topic that is deleted. A broker answers one request
    of a connection after the other: one that is answered later than the pause was the last.
    """
    world.write(topics.EVENTS, 3)
    consumer = start(world.consumer())
    watch = TopicWatch(world.admin, world.admin.topic_ids(world.names), consumer.refuse)
    assert len(read(consumer, 3)) == 3
    watch.look()
    consumer.take()
    for partition in range(PARTITIONS):
        consumer.pause(topics.EVENTS, partition, "this test")
    time.sleep(_FETCH_S)
    place = TopicPartition(world.prefix + topics.EVENTS, 0)
    consumer._client.get_watermark_offsets(place, timeout=60)  # noqa: SLF001 -- on the connection of fetches
    _create_anew(world, topics.EVENTS)
    world.write(topics.EVENTS, 10)
    watch.look()
    with pytest.raises(StateError, match=SENTENCE):
        consumer.take()


def _create_anew(world: World, topic: str) -> None:
    full = world.prefix + topic
    admin = AdminClient({"bootstrap.servers": world.kafka})
    admin.delete_topics([full])[full].result(30)
    wait_for(lambda: topic not in world.admin.partitions())
    world.admin.create(TopicPlan(PARTITIONS, replication=1), [topic])
