"""A running gateway: its client, keys for its callers, and what it wrote to Kafka."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from sources.client import reader_config, take
from sources.errors import EOF
from sources.topics import TopicAdmin, TopicPlan
from tests.serving import serving
from tests.waiting import PATIENCE_S
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.catalog.catalog import Catalog
from tocsin.catalog.content_files import content_version
from tocsin.catalog.loader import load_apart
from tocsin.gateway.app import Application
from tocsin.gateway.gateway import Gateway, wall_ms
from tocsin.gateway.keys import SCOPES, Key, Secret, bearer, hashed, new_id, new_secret
from tocsin.gateway.server import Server
from tocsin.gateway.writer import Writer, WriterPolicy

PARTITIONS = 2
SECRET = "a secret of the tests of the gateway"
_catalogs: dict[str, Catalog] = {}


class Written(NamedTuple):
    """A record of Kafka."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Running:
    """A gateway that runs.

    Attributes:
        application: the ASGI application.
        gateway: what its handlers share.
        client: calls it through ASGI, without a socket; sends no key by itself.
    """

    def __init__(self, application: Application, client: httpx2.AsyncClient) -> None:
        self.application = application
        self.gateway = application.gateway
        self.client = client

    def key(self, tenant: str = "default", *scopes: str) -> str:
        """Make a bearer key; with all scopes unless some are named."""
        key_id, secret = new_id(), new_secret()
        made = Key(
            key_id=key_id,
            tenant=tenant,
            scopes=scopes or tuple(SCOPES),
            secrets=(Secret(hashed(secret)),),
            created_ms=wall_ms(),
        )
        self.gateway.keys.add(made)
        return bearer(key_id, secret)

    def bearing(self, tenant: str = "default", *scopes: str) -> dict[str, str]:
        """Make the headers of a caller."""
        return {"authorization": f"Bearer {self.key(tenant, *scopes)}"}

    async def records(self, topic: str) -> list[Written]:
        """Read all that a topic holds now."""
        return await asyncio.to_thread(read_all, self.gateway.settings, topic)


def settings_for(kafka: str, prefix: str, redis: str, clickhouse: str, folder: Path) -> Settings:
    """Make the settings of a gateway; ClickHouse is away without an address."""
    return Settings(
        kafka=kafka,
        topic_prefix=prefix,
        redis=redis,
        clickhouse=clickhouse or "http://default:@127.0.0.1:9/tocsin",
        catalog=example_catalog(),
        state_dir=folder / "state",
        secret=SECRET,
        partitions=PARTITIONS,
    )


def _loaded(folder: Path) -> Catalog:
    """Load a catalog, each content once a run: that takes most of the start of a gateway."""
    version = content_version(folder)
    if version not in _catalogs:
        _catalogs[version] = load_apart(folder)
    return _catalogs[version]


def _gateway(settings: Settings) -> Gateway:
    """Make a gateway whose first record waits for nothing, and to which a slow Redis is not away.

    librdkafka's idempotent producer waits half a second for its id, or a whole one. What that producer
    promises is tested where brokers fail and processes die, with the writer as it is.
    """
    gateway = Gateway(settings, loads=_loaded, redis_s=PATIENCE_S)
    options = {**settings.kafka_options, "enable.idempotence": "false"}
    gateway.writer = Writer(WriterPolicy(settings.kafka, settings.topic_prefix, options))
    return gateway


@contextlib.asynccontextmanager
async def running(settings: Settings, topics: Sequence[str] = ()) -> AsyncIterator[Running]:
    """Create the topics, and run the application without a socket."""
    if topics:
        admin = TopicAdmin(settings.kafka, settings.topic_prefix)
        await asyncio.to_thread(admin.create, TopicPlan(settings.partitions), list(topics))
    application = Application(_gateway(settings))
    async with application.lifespan():
        transport = httpx2.ASGITransport(app=application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield Running(application, client)


@contextlib.asynccontextmanager
async def served(application: Application) -> AsyncIterator[str]:
    """Serve a running application on a port; gives its address. For WebSockets, browsers and limits."""
    async with serving(Server(application, "off")) as port:
        yield f"http://127.0.0.1:{port}"


def read_all(settings: Settings, topic: str) -> list[Written]:
    """Read a topic from its beginning to its present end."""
    consumer = Consumer(reader_config(settings.kafka, "reader"))
    try:
        return _read(consumer, settings.topic_prefix + topic, settings.partitions)
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, partitions: int) -> list[Written]:
    """Read until each partition has told its end: a high watermark may be too low."""
    consumer.list_topics(topic, PATIENCE_S)  # else it looks for the beginnings only half a second later
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])
    unread = set(range(partitions))
    found: list[Written] = []
    until = time.monotonic() + PATIENCE_S
    while unread and time.monotonic() < until:
        for message in take(consumer, 500, 0.2):
            if (error := message.error()) is None:
                found.append(_written(message))
            elif error.code() == EOF:
                unread.discard(message.partition())
    assert not unread, f"partitions {unread} of {topic} were not read to their ends"
    return found


def _written(message: Any) -> Written:
    return Written(message.partition(), message.key(), message.value(), tuple(message.headers() or ()))
