"""Finds the provider account of a webhook, and the tenants whose messages it sends."""

from collections.abc import Mapping
from typing import NamedTuple

from tocsin.catalog.loader import Catalog
from tocsin.providers.registry import vendors
from tocsin.providers.reports import ReportReader, readers
from tocsin.providers.vendor import Account


class Reporting(NamedTuple):
    """An account whose vendor reports.

    Attributes:
        name: of the account.
        account: its settings.
        channel: that it serves.
        reader: reads its webhooks.
    """

    name: str
    account: Account
    channel: str
    reader: ReportReader


class ReportingAccounts:
    """The accounts of vendors that report, by their name.

    Args:
        accounts: all accounts, as `providers.yaml` has them.
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        known, found = vendors(), readers()
        self._accounts = {
            name: Reporting(name, account, known[account.vendor].channel_of(account), found[account.vendor])
            for name, account in accounts.items()
            if account.vendor in found
        }

    def find(self, vendor: str, name: str) -> Reporting | None:
        """Return an account; None if there is none of that name and vendor."""
        found = self._accounts.get(name)
        return found if found and found.account.vendor == vendor else None


def tenants_of(account: str, catalog: Catalog) -> list[str]:
    """Name the tenants that send with an account, in order."""
    return sorted(
        name
        for name, tenant in catalog.tenants.items()
        if any(account in named for named in tenant.spec.providers.values())
    )
