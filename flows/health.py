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
    still_s: Callable[[], float] = lambda: 0.0,
) -> HealthChecks:
    """Make the checks of what the flow uses.

    `flow`, `kafka`, `catalog`, `tenants`, `redis`; `accounts` where it delivers, `clickhouse` where it keeps
    outcomes.
    """
    checks = HealthChecks()
    checks.register("flow", _flow(still_s))
    checks.register("kafka", _kafka(consumer))
    checks.register("catalog", _sentence(lambda: content.problem and f"catalog: {content.problem}"))
    checks.register("tenants", _sentence(lambda: content.tenant_problem, Severity.WARNING))
    checks.register("redis", _redis(ledger))
    if channels:
        checks.register("accounts", _accounts(channels))
    if writer is not None:
        checks.register("clickhouse", _sentence(lambda: writer.problem, Severity.WARNING))
    return checks


_REDIS_AWAY = "Redis is away: the send ledger cannot be read"
_STILL_S = 60.0
"""An epoch is at most 10 s long; a shard that cannot publish ends itself after 30 s."""


def _flow(still_s: Callable[[], float]) -> Check:
    def check() -> list[Fact]:
        if (seconds := still_s()) <= _STILL_S:
            return []
        sentence = f"the flow stands still: its last epoch ended {seconds:.0f} s ago; restart the process"
        return [Fact(sentence, Severity.STALLED)]

    return check


def _redis(ledger: Ledger) -> Check:
    """Redis away is an error where messages wait for it, and a warning where they go out without it."""

    def check() -> list[Fact]:
        return [] if ledger.up else [Fact(_REDIS_AWAY, Severity.ERROR if ledger.away else Severity.WARNING)]

    return check


def _kafka(consumer: KafkaConsumer) -> Check:
    def check() -> list[Fact]:
        found = (
            consumer.paused,
            consumer.health.sentences,
            consumer.gaps.sentences,
            consumer.waiting.sentences,
        )
        return [Fact(sentence) for sentences in found for sentence in list(sentences.values())]

    return check


def _accounts(channels: Mapping[str, ChannelDelivery]) -> Check:
    """Name each account that is not OK. It fails no probe: this process works, a restart helps nothing."""

    def check() -> list[Fact]:
        conditions = [found for channel in channels.values() for found in channel.gauges().accounts.items()]
        return [
            Fact(f"account {name} is {condition.sentence()}", Severity.WARNING)
            for name, condition in conditions
            if condition.state is not AccountState.OK
        ]

    return check


def _sentence(ask: Callable[[], str], severity: Severity = Severity.ERROR) -> Check:
    """Make a check of a function that returns a sentence, empty if all is well."""

    def check() -> list[Fact]:
        sentence = ask()
        return [Fact(sentence, severity)] if sentence else []

    return check
