"""The fixtures of tests/services.py, on whatever servers this run has."""

import clickhouse_connect
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.waiting import PATIENCE_S


def test_kafka_answers(kafka: str, topic_prefix: str) -> None:
    delivered: list[object] = []
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(f"{topic_prefix}x", b"value", on_delivery=lambda error, _m: delivered.append(error))
    producer.flush(PATIENCE_S)
    assert delivered == [None]
    assert (
        f"{topic_prefix}x" in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=PATIENCE_S).topics
    )


def test_redis_database_is_empty(redis_db: str) -> None:
    with redis.Redis.from_url(redis_db) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_keeps_what_the_ledger_needs(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendonly")["appendonly"] == "yes"


def test_clickhouse_database_is_empty(clickhouse_db: str) -> None:
    client = clickhouse_connect.get_client(dsn=clickhouse_db)
    assert client.command("SHOW TABLES") in ("", [])
    assert client.database == clickhouse_db.rpartition("/")[2]
    client.close()
