"""Tells people of an endpoint that was given up: by the audit log, and by the alerts of operators."""

import asyncio
import logging
from collections import Counter

from confluent_kafka import Producer
from redis.asyncio import Redis

from flows.reports.clock import wall_ms
from tocsin.app.settings import Settings, environment
from tocsin.delivery.alert_sender import AlertSender
from tocsin.delivery.alerts import Alert
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.audit import Action, AuditRecord
from tocsin.model.ids import digest
from tocsin.model.outcome import Outcome
from tocsin.providers.accounts import build, load_accounts

_log = logging.getLogger("tocsin.reports")
_FLUSH_S = 5.0


class Teller:
    """Writes audit records, and sends alerts if the accounts file names somebody.

    Args:
        producer: writes to Kafka.
        prefix: of the topics.
        actor: names this process.
        sender: sends alerts; None if nobody is to be told.
        alerts: counts them.
    """

    def __init__(
        self,
        producer: Producer,
        prefix: str,
        actor: str,
        sender: AlertSender | None,
        alerts: Counter[tuple[str]],
    ) -> None:
        self._producer = producer
        self._prefix = prefix
        self._actor = actor
        self._sender = sender
        self.alerts = alerts

    async def switched_off(self, endpoint: Endpoint, why: str, outcome: Outcome) -> None:
        """Tell that an endpoint was switched off."""
        hours = endpoint.give_up_ms / 3_600_000
        _log.warning("endpoint %s is switched off: %s", endpoint.key, why)
        self._enter(Action.WEBHOOK_SWITCHED_OFF, endpoint, why, outcome)
        if self._sender is None:
            return
        text = (
            f"The endpoint {endpoint.key} gets no delivery reports any more: {why}."
            f" It is switched off at once if it says that it is gone, else after {hours:g} h without success."
            f" Its reports wait in Kafka as long as the topic keeps them. Once the cause is fixed:"
            f" `tocsin webhooks retry {endpoint.key}`."
        )
        alert = Alert(f"webhook/{endpoint.key}", f"endpoint {endpoint.key} is switched off", text)
        await self._sender.send(alert, {}, wall_ms())

    async def dropped(self, endpoint: Endpoint, why: str, outcome: Outcome) -> None:
        """Tell that one report was given up."""
        _log.warning("endpoint %s refuses report %s: %s", endpoint.key, outcome.outcome_id, why)
        self._enter(Action.WEBHOOK_REPORT_DROPPED, endpoint, why, outcome)

    def _enter(self, action: Action, endpoint: Endpoint, why: str, outcome: Outcome) -> None:
        at_ms = wall_ms()
        record = AuditRecord(
            audit_id=digest("audit", action, endpoint.key, outcome.outcome_id, str(at_ms)),
            at_ms=at_ms,
            action=action,
            actor=self._actor,
            tenant=endpoint.tenant,
            subject=endpoint.name,
            detail={"why": why, "outcome_id": outcome.outcome_id},
        )
        self._producer.produce(
            self._prefix + topics.AUDIT, key=f"{endpoint.tenant}/{endpoint.name}", value=encode(record)
        )
        self._producer.poll(0)

    async def close(self) -> None:
        """Write what waits, and close connections."""
        await asyncio.to_thread(self._producer.flush, _FLUSH_S)
        if self._sender is not None:
            await self._sender.close()


def open_teller(settings: Settings, redis: Redis, actor: str) -> Teller:
    """Open what tells people, by the part `alerts` of the accounts file if there is one."""
    producer = Producer(
        {"bootstrap.servers": settings.kafka, "enable.idempotence": True, **settings.kafka_options},
        logger=logging.getLogger("tocsin.kafka"),
    )
    counts: Counter[tuple[str]] = Counter()
    sender = None
    if settings.providers.exists():
        accounts = load_accounts(settings.providers, environment())
        if accounts.alerts is not None:
            named = {target.account for target in accounts.alerts.to}
            mine = accounts.model_copy(
                update={"accounts": {name: one for name, one in accounts.accounts.items() if name in named}}
            )
            providers = build(mine, clock=lambda: wall_ms() / 1000, redis=redis)
            sender = AlertSender(accounts.alerts, providers, redis, settings.topic_prefix, actor, counts)
    return Teller(producer, settings.topic_prefix, actor, sender, counts)
