"""Health checks of a shard: one for each system that its flow needs."""

from collections.abc import Callable, Mapping

from flows.content import CatalogInForce
from sinks.clickhouse import OutcomeWriter
from sources.consumer import KafkaConsumer
from tocsin.app.health import Check, Fact, HealthChecks, Severity
from tocsin.delivery.breaker import AccountState
from tocsin.delivery.channel import ChannelDelivery
from tocsin.delivery.ledger import Ledger


def shard_checks(
    consumer: KafkaConsumer,
    content: CatalogInForce,
    writer: OutcomeWriter | None,
    ledger: Ledger,
    channels: Mapping[str, ChannelDelivery],
) -> HealthChecks:
    """Make the checks of what the flow uses.

    `kafka`, `catalog`, `redis`; `accounts` where it delivers, `clickhouse` where it keeps outcomes.
    """
    checks = HealthChecks()
    checks.register("kafka", _kafka(consumer))
    checks.register("catalog", _sentence(lambda: content.problem and f"catalog: {content.problem}"))
    checks.register("redis", _sentence(lambda: "" if ledger.up else _REDIS_AWAY))
    if channels:
        checks.register("accounts", _accounts(channels))
    if writer is not None:
        checks.register("clickhouse", _sentence(lambda: writer.problem))
    return checks


_REDIS_AWAY = "Redis is away: the send ledger cannot be read"


def _kafka(consumer: KafkaConsumer) -> Check:
    def check() -> list[Fact]:
        found = (consumer.paused, consumer.health.sentences, consumer.gaps.sentences)
        return [Fact(sentence) for sentences in found for sentence in list(sentences.values())]

    return check


_SEVERITY = {AccountState.SUSPECT: Severity.WARNING, AccountState.DISABLED: Severity.ERROR}


def _accounts(channels: Mapping[str, ChannelDelivery]) -> Check:
    """Name each account that is not OK; one that is disabled waits for a person, so the probe fails."""

    def check() -> list[Fact]:
        conditions = [found for channel in channels.values() for found in channel.gauges().accounts.items()]
        return [
            Fact(f"account {name} is {condition.sentence()}", _SEVERITY[condition.state])
            for name, condition in conditions
            if condition.state in _SEVERITY
        ]

    return check


def _sentence(ask: Callable[[], str]) -> Check:
    """Make a check of a function that returns a sentence, empty if all is well."""

    def check() -> list[Fact]:
        sentence = ask()
        return [Fact(sentence)] if sentence else []

    return check
