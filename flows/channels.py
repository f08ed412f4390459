"""The channels that an installation uses: those of its catalog and of its provider accounts."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from sources.topics import TopicAdmin
from tocsin.app.settings import Settings, environment
from tocsin.catalog.loader import Catalog, load_apart
from tocsin.errors import CatalogError, TocsinError
from tocsin.model import topics
from tocsin.model.channels import CHANNELS, in_order
from tocsin.providers.accounts import load_accounts
from tocsin.providers.registry import vendors


def of_catalog(catalog: Catalog) -> frozenset[str]:
    """Return the channels that notifications use, and those that tenants declare."""
    tenants = catalog.tenants.values()
    return frozenset().union(*[{*tenant.channels, *tenant.spec.channels} for tenant in tenants])


def check_topics(admin: TopicAdmin) -> Callable[[Catalog], None]:
    """Make what refuses a catalog whose channels have no topics for their messages."""

    def check(catalog: Catalog) -> None:
        there = admin.partitions()
        missing = [name for name in topics.messages_of(in_order(of_catalog(catalog))) if name not in there]
        if missing:
            msg = f"topics of its channels are missing: {', '.join(missing)}; run `tocsin topics create`"
            raise CatalogError(msg)

    return check


def channels_of_accounts(path: Path) -> Mapping[str, str]:
    """Return the channel of each account of a file; none without the file.

    Raises:
        SettingsError: as `load_accounts`, where the file is there.
    """
    if not path.exists():
        return {}
    known = vendors()
    found = load_accounts(path, environment()).accounts
    return {name: known[account.vendor].channel_of(account) for name, account in found.items()}


def used_channels(settings: Settings) -> tuple[str, ...]:
    """Return the channels that the catalog and the accounts use, in the order of the table.

    Raises:
        CatalogError: the catalog has a mistake in what tenants share, or in every tenant.
        SettingsError: an account is wrong.
    """
    accounts = channels_of_accounts(settings.providers)
    return in_order({*of_catalog(load_apart(settings.catalog)), *accounts.values()})


def known_channels(settings: Settings) -> tuple[str, ...]:
    """Return the channels that can be named: Tocsin's, and those in use, as far as these can be read."""
    try:
        return in_order({*CHANNELS, *used_channels(settings)})
    except TocsinError:
        return in_order(CHANNELS)


def delivered_channels(used: Collection[str], there: Iterable[str]) -> tuple[str, ...]:
    """Return the channels that a process delivers: those in use, and those whose topics are there.

    A topic may hold messages of a channel that the catalog has stopped to use.
    """
    return in_order({*used, *[channel for name in there if (channel := topics.channel_of(name))]})
