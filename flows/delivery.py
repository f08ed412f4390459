"""Delivery of a shard, by its settings: the ledger, the provider accounts and the channels."""

import logging
import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack

import msgspec

from flows.content import CatalogInForce, Note, on_unknown_of, provider_order
from flows.housekeeping import every
from flows.rotation import Loaded, Rotation
from tocsin.app.metrics import Meters
from tocsin.app.open_files import allow_files
from tocsin.app.settings import Settings, environment
from tocsin.catalog.attachments import FOLDER
from tocsin.delivery.channel import ChannelDelivery, ChannelPolicy, channel_policy
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.rate_bucket import RateBuckets
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.runtime import Runtime
from tocsin.formats.marks import Marks
from tocsin.model.audit import Action
from tocsin.model.engagement import Level
from tocsin.providers.account_version import facts_of, version_of
from tocsin.providers.accounts import Accounts, build, load_accounts
from tocsin.providers.attachments import AttachmentFetcher, web_policy
from tocsin.providers.base import Provider
from tocsin.providers.choice import Choice
from tocsin.providers.http_asyncio import AsyncioTransport
from tocsin.providers.registry import vendors
from tocsin.providers.vendor import Account

_CLOSE_S = 5.0
_LEASE_TIMEOUT_S = 1.0
_ROTATION_S = 5.0
_OTHER_FILES = 512
"""Open files beside provider calls: Kafka, Redis, the state, health, and connections of accounts at rest."""
_log = logging.getLogger(__name__)


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
    note: Note,
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
        note: enters the accounts into the audit log.

    Raises:
        SettingsError: an account is wrong; the text names file, line and cure.
    """
    if not names:
        return {}
    accounts = load_accounts(settings.providers, environment())

    def loaded(version: str, named: Mapping[str, Account]) -> None:
        note(Action.PROVIDERS_LOADED, version, {"accounts": facts_of(named)})

    loaded(version_of(accounts.accounts, settings.secret_bytes()), accounts.accounts)
    providers = _open_providers(accounts, settings, runtime, stack, loaded)
    buckets = _open_buckets(settings, runtime, stack)
    marks = Marks(settings.secret_bytes())
    in_flight = calls_at_once(settings.in_flight, len(names))
    order = provider_order(lambda: content.catalog, providers, Choice(accounts.accounts))
    fetcher = _open_fetcher(settings, runtime, stack)
    return {
        name: ChannelDelivery(
            _policy(settings, name, in_flight),
            runtime=runtime,
            ledger=ledger,
            render=content.render,
            providers_for=order,
            stats=meters,
            known_providers=[each for each in providers.values() if each.channel == name],
            mark_of=marks.of,
            on_unknown=on_unknown_of(lambda: content.catalog),
            reporting=reporting(accounts),
            buckets=buckets,
            fetch=fetcher.fetch,
        )
        for name in names
    }


def reporting(accounts: Accounts) -> frozenset[str]:
    """Name the accounts whose vendor reports deliveries; one with an empty `status_callback` does not."""
    known = vendors()
    return frozenset(
        [
            name
            for name, account in accounts.accounts.items()
            if Level.DELIVERED in known[account.vendor].reports
            and getattr(account, "status_callback", None) != ""
        ]
    )


def open_fetcher(settings: Settings, runtime: Runtime) -> AttachmentFetcher:
    """Make what fetches the attachments of mails; it opens no connection before it must."""
    return AttachmentFetcher(
        settings.catalog / FOLDER,
        AsyncioTransport(web_policy(public_only=True)),
        AsyncioTransport(web_policy(public_only=False)),
        settings.attachment_host_names(),
        monotonic_s=lambda: runtime.monotonic_ms() / 1_000,
        clock=lambda: runtime.now_ms() / 1_000,
    )


def _open_fetcher(settings: Settings, runtime: Runtime, stack: ExitStack) -> AttachmentFetcher:
    fetcher = open_fetcher(settings, runtime)
    stack.callback(lambda: runtime.run(fetcher.close(), _CLOSE_S))
    return fetcher


def _open_buckets(settings: Settings, runtime: Runtime, stack: ExitStack) -> RateBuckets:
    """Open the token buckets of the accounts, which all processes lease calls from."""
    redis = open_client(settings.redis, timeout_s=_LEASE_TIMEOUT_S)
    stack.callback(lambda: runtime.run(redis.aclose(), _CLOSE_S))
    return RateBuckets(redis, settings.topic_prefix, incarnation())


def calls_at_once(wanted: int, channels: int) -> int:
    """Make room for the connections of calls.

    Returns:
        How many calls each channel may have at once: fewer than wanted where it may open fewer files.
    """
    files = allow_files(_OTHER_FILES + channels * wanted)
    most = max(1, (files - _OTHER_FILES) // channels)
    if most < wanted:
        _log.warning(
            "%d provider calls at once for each channel, not TOCSIN_IN_FLIGHT=%d: this process may open"
            " %d files. Raise `ulimit -n`, or `LimitNOFILE=` of systemd",
            most,
            wanted,
            files,
        )
    return min(most, wanted)


def _policy(settings: Settings, channel: str, in_flight: int) -> ChannelPolicy:
    policy = channel_policy(channel, in_flight=in_flight, on_unknown=settings.on_unknown)
    return msgspec.structs.replace(policy, stream_clock=settings.clock == "stream")


def _open_providers(
    accounts: Accounts, settings: Settings, runtime: Runtime, stack: ExitStack, loaded: Loaded
) -> Mapping[str, Provider]:
    """Make the adapters, and new ones while the process runs of accounts whose settings change."""
    redis = open_client(settings.redis)

    def made(of: Accounts, names: Collection[str] | None = None) -> dict[str, Provider]:
        secret = settings.secret_bytes()
        return build(of, clock=lambda: runtime.now_ms() / 1000, redis=redis, secret=secret, names=names)

    providers = made(accounts)

    async def close() -> None:
        for provider in providers.values():
            await provider.close()
        await redis.aclose()

    stack.callback(lambda: runtime.run(close(), _CLOSE_S))
    rotation = Rotation(
        settings.providers,
        environment(),
        accounts,
        providers,
        build=made,
        runtime=runtime,
        secret=settings.secret_bytes(),
        note=loaded,
    )
    stack.enter_context(every(_ROTATION_S, rotation.poll))
    return providers
