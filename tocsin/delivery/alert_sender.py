"""Sends alerts to operators through provider accounts, beside all channels: no queue, no retry, no outcome.

An alert that fails is a line in the log and a count; it makes no further alert. It never goes by an account
that is down. Processes agree by Redis who sends it; without Redis each sends its own.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from html import escape
from pkgutil import resolve_name

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.catalog.spec import Senders
from tocsin.delivery.alerts import Alert
from tocsin.delivery.breaker import AccountState, Condition
from tocsin.errors import DeliveryError, RenderError
from tocsin.model import ids
from tocsin.model.channels import spec_of
from tocsin.model.content import Content, Outgoing
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.providers.alert_settings import AlertSettings, AlertTarget
from tocsin.providers.base import Provider
from tocsin.render.content import ContentContext

_log = logging.getLogger("tocsin.alerts")


class AlertSender:
    """Sends alerts.

    Args:
        settings: whom to tell.
        providers: adapters of the accounts that the settings name, of this sender alone.
        redis: where processes agree who sends.
        prefix: put before keys in Redis.
        owner: names this process.
        counts: counts alerts by their fate: `sent`, `failed`, `skipped`, or `told` by another process.
    """

    def __init__(
        self,
        settings: AlertSettings,
        providers: Mapping[str, Provider],
        redis: Redis,
        prefix: str,
        owner: str,
        counts: Counter[tuple[str]],
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._redis = redis
        self._prefix = prefix
        self._owner = owner
        self._counts = counts

    async def send(self, alert: Alert, accounts: Mapping[str, Condition], now_ms: int) -> bool:
        """Tell everybody of an alert, unless another process did; return False if nobody could be told."""
        key = alert_key(self._prefix, alert)
        if not await self._is_ours(key):
            self._counts["told",] += 1
            return True
        _log.warning("alert: %s. %s", alert.subject, alert.text)
        told = [await self._tell(target, alert, accounts, now_ms) for target in self._settings.to]
        if not any(told):
            await self._give_back(key)
        return any(told)

    async def close(self) -> None:
        """Give connections back."""
        for provider in self._providers.values():
            await provider.close()

    async def _is_ours(self, key: str) -> bool:
        """Ask Redis who tells; a repeated request of ours gets the same answer."""
        try:
            before = await self._redis.set(
                key, self._owner, nx=True, get=True, px=round(self._settings.window_s * 1_000)
            )
        except (RedisError, OSError):
            return True  # told twice is better than not at all
        return before is None or before == self._owner.encode()

    async def _give_back(self, key: str) -> None:
        try:
            await self._redis.delete(key)
        except (RedisError, OSError):
            _log.warning("alert: Redis is away, so other processes do not tell it before its window is over")

    async def _tell(
        self, target: AlertTarget, alert: Alert, accounts: Mapping[str, Condition], now_ms: int
    ) -> bool:
        name = target.account
        condition = accounts.get(name)
        if (name == alert.account and not alert.resolved) or (
            condition is not None and condition.state is not AccountState.OK
        ):
            self._counts["skipped",] += 1
            return False
        result = await self._send(self._providers[name], target, alert, now_ms)
        self._counts[result,] += 1
        return result == "sent"

    async def _send(self, provider: Provider, target: AlertTarget, alert: Alert, now_ms: int) -> str:
        message = _message(provider.channel, target, alert, now_ms)
        try:
            await provider.send(Outgoing(message, _content(message, alert, target.sender)))
        except (DeliveryError, RenderError) as error:
            _log.error("alert: account %s did not take it: %s", provider.name, error)
            return "failed"
        except Exception as error:  # an alert that fails must fail nothing else
            _log.error("alert: the adapter of account %s failed: %s", provider.name, type(error).__name__)
            return "failed"
        return "sent"


def alert_key(prefix: str, alert: Alert) -> str:
    """Name the key by which processes agree."""
    return f"{prefix}alert:{'resolved' if alert.resolved else 'raised'}:{alert.key}"


def _message(channel: str, target: AlertTarget, alert: Alert, now_ms: int) -> Message:
    name = ids.digest("alert", alert.key, str(alert.resolved), str(now_ms), target.account, target.address)
    return Message(
        message_id=name,
        notification_id=name,
        tenant="tocsin",
        user="operators",
        channel=channel,
        target=Target(target.address),
        notification="alert",
        category="alerts",
        template="alert",
        data=msgspec.Raw(b"{}"),
        locale="en",
        priority="critical",
        event_id=alert.key,
        event_source="/tocsin/alerts",
        event_type="alert",
        event_time_ms=now_ms,
        received_ms=now_ms,
        decided_ms=now_ms,
        origin=Origin("alerts", 0, 0),
    )


def _content(message: Message, alert: Alert, sender: str) -> Content:
    """Build what the channel carries, from the parts that a template would have."""
    subject = f"Tocsin: {alert.subject}"
    parts = dict.fromkeys(spec_of(message.channel).parts, f"{subject}. {alert.text}")
    texts = {"subject": subject, "title": subject, "text": alert.text, "body": alert.text}
    texts["html"] = f"<p>{escape(alert.text)}</p>"
    parts |= {name: text for name, text in texts.items() if name in parts}
    build = resolve_name(spec_of(message.channel).content)
    senders = Senders(email=sender, sms=sender, whatsapp=sender, voice=sender)
    content: Content = build(parts, ContentContext(message, senders))
    return content
