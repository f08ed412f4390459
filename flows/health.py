"""Health checks of a shard: one for each system that its flow needs."""

from collections.abc import Callable

from flows.content import CatalogInForce
from sinks.clickhouse import OutcomeWriter
from sources.consumer import KafkaConsumer
from tocsin.app.health import Check, Fact, HealthChecks
from tocsin.delivery.ledger import Ledger


def shard_checks(
    consumer: KafkaConsumer, content: CatalogInForce, writer: OutcomeWriter | None, ledger: Ledger
) -> HealthChecks:
    """Make the checks `kafka`, `catalog`, `redis` and, where outcomes are stored, `clickhouse`."""
    checks = HealthChecks()
    checks.register("kafka", _kafka(consumer))
    checks.register("catalog", _sentence(lambda: content.problem and f"catalog: {content.problem}"))
    checks.register("redis", _sentence(lambda: "" if ledger.up else _REDIS_AWAY))
    if writer is not None:
        checks.register("clickhouse", _sentence(lambda: writer.problem))
    return checks


_REDIS_AWAY = "Redis is away: the send ledger cannot be read"


def _kafka(consumer: KafkaConsumer) -> Check:
    def check() -> list[Fact]:
        found = (consumer.paused, consumer.health.sentences, consumer.gaps.sentences)
        return [Fact(sentence) for sentences in found for sentence in list(sentences.values())]

    return check


def _sentence(ask: Callable[[], str]) -> Check:
    """Make a check of a function that returns a sentence, empty if all is well."""

    def check() -> list[Fact]:
        sentence = ask()
        return [Fact(sentence)] if sentence else []

    return check
