"""Delivery of a shard, by its settings: the ledger, the provider accounts and the channels."""

import os
from collections.abc import Mapping
from contextlib import ExitStack

import msgspec

from flows.content import CatalogInForce, on_unknown_of, provider_order
from tocsin.app.metrics import Meters
from tocsin.app.settings import Settings, environment
from tocsin.delivery.channel import ChannelDelivery, ChannelPolicy, channel_policy
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.runtime import Runtime
from tocsin.formats.marks import Marks
from tocsin.model.statuses import Channel
from tocsin.providers.accounts import build, load_accounts
from tocsin.providers.base import Provider

_CLOSE_S = 5.0


def ledger_policy(settings: Settings) -> LedgerPolicy:
    """Make the policy of the send ledger."""
    return LedgerPolicy(settings.redis, settings.topic_prefix, settings.ledger_ttl_s, settings.without_redis)


def open_ledger(settings: Settings, runtime: Runtime, stack: ExitStack) -> Ledger:
    """Open the send ledger; the stack closes it."""
    ledger = Ledger(ledger_policy(settings), incarnation())
    stack.callback(lambda: runtime.run(ledger.close(), _CLOSE_S))
    return ledger


def incarnation() -> str:
    """Make an id of this start of the process: 16 characters that no other start has."""
    return os.urandom(8).hex()


def open_channels(
    settings: Settings,
    names: tuple[str, ...],
    *,
    runtime: Runtime,
    ledger: Ledger,
    content: CatalogInForce,
    meters: Meters,
    stack: ExitStack,
) -> dict[str, ChannelDelivery]:
    """Open provider accounts and make the delivery of each channel; the stack closes the accounts.

    Args:
        settings: of the process.
        names: channels to deliver; without any, no account is opened.
        runtime: runs provider calls.
        ledger: remembers what was sent.
        content: the catalog and templates in force.
        meters: counts provider calls.
        stack: closes what was opened.

    Raises:
        SettingsError: an account is wrong; the text names file, line and cure.
    """
    if not names:
        return {}
    providers = _open_providers(settings, runtime, stack)
    marks = Marks(settings.secret_bytes())
    order = provider_order(lambda: content.catalog, providers)
    return {
        name: ChannelDelivery(
            _policy(settings, Channel(name)),
            runtime=runtime,
            ledger=ledger,
            render=content.render,
            providers_for=order,
            stats=meters,
            known_providers=[each for each in providers.values() if each.channel == name],
            mark_of=marks.of,
            on_unknown=on_unknown_of(lambda: content.catalog),
        )
        for name in names
    }


def _policy(settings: Settings, channel: Channel) -> ChannelPolicy:
    policy = channel_policy(channel, in_flight=settings.in_flight, on_unknown=settings.on_unknown)
    return msgspec.structs.replace(policy, stream_clock=settings.clock == "stream")


def _open_providers(settings: Settings, runtime: Runtime, stack: ExitStack) -> Mapping[str, Provider]:
    accounts = load_accounts(settings.providers, environment())
    redis = open_client(settings.redis)
    providers = build(accounts, clock=lambda: runtime.now_ms() / 1000, redis=redis)

    async def close() -> None:
        for provider in providers.values():
            await provider.close()
        await redis.aclose()

    stack.callback(lambda: runtime.run(close(), _CLOSE_S))
    return providers
