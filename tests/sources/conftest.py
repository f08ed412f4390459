"""Topics of each test's own."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from sources.consumer import KafkaConsumer
from tests.sources.rig import World
from tocsin.model import topics


@pytest.fixture
def world(kafka: str, topic_prefix: str) -> World:
    """Make the gate's input topics."""
    return World(kafka, topic_prefix)


@pytest.fixture
def full_world(kafka: str, topic_prefix: str) -> World:
    """Make all keyed topics."""
    return World(kafka, topic_prefix, topics.KEYED)


@pytest.fixture
def start() -> Iterator[Callable[..., KafkaConsumer]]:
    """Start a consumer, and close it when the test is over."""
    with contextlib.ExitStack() as stack:

        def begin(consumer: KafkaConsumer, resume: object = None, **options: object) -> KafkaConsumer:
            consumer.start(resume, **options)  # type: ignore[arg-type]  # tests hand on what the consumer gave them
            stack.callback(consumer.close)
            return consumer

        yield begin
