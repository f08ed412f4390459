"""Checks and explains the conditions and weights of provider accounts, each with its file and line."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import groupby

from flows.delivery import reporting
from tocsin.app.settings import Settings, environment
from tocsin.catalog.files import Document, Problem, read
from tocsin.catalog.loader import load
from tocsin.providers.account_lines import Lines
from tocsin.providers.accounts import load_accounts
from tocsin.providers.choice import Only
from tocsin.providers.registry import vendors
from tocsin.providers.vendor import Account

_ADDRESSES = {"countries": {"sms", "whatsapp", "voice"}, "domains": {"email"}}
"""Fields of `only` that look at the address, and the channels whose addresses they fit."""


def choice_mistakes(settings: Settings) -> list[str]:
    """List the names in conditions that the catalog does not have, and fields that fit no address."""
    accounts = load_accounts(settings.providers, environment()).accounts
    if not any(account.only for account in accounts.values()):
        return []
    tenants = load(settings.catalog).tenants
    categories = {name for tenant in tenants.values() for name in tenant.spec.categories}
    known: dict[str, set[str]] = {"tenants": set(tenants), "categories": categories}
    return [
        f"{_lines(settings).at(('accounts', name, 'only', field))}: accounts.{name}.only.{field}: {said}"
        for name, account in accounts.items()
        if account.only is not None
        for field, said in _mistakes(account.only, vendors()[account.vendor].channel_of(account), known)
    ]


def choice_notes(settings: Settings) -> Iterator[str]:
    """Say by which accounts each channel's messages go, where conditions or weights decide."""
    accounts = load_accounts(settings.providers, environment()).accounts
    by_channel: dict[str, list[str]] = {}
    for name, account in accounts.items():
        by_channel.setdefault(vendors()[account.vendor].channel_of(account), []).append(name)
    for channel, names in sorted(by_channel.items()):
        decided = [name for name in names if accounts[name].only or accounts[name].weight]
        if decided:
            place = _lines(settings).at(("accounts", decided[0]))
            yield f"{place}: {channel} goes by {_order(names, accounts)}"
        if decided and all(accounts[name].only for name in names):
            text = f"every account of {channel} has `only`: a message that fits none ends as dead"
            yield f"{place}: {text} `misconfigured`; add an account without conditions"


def failover_notes(settings: Settings) -> Iterator[Problem]:
    """Say where `failover_after` of a tenant has no effect: no second account, or no reports."""
    accounts = load_accounts(settings.providers, environment())
    reports = reporting(accounts)
    channels = {
        name: vendors()[account.vendor].channel_of(account) for name, account in accounts.accounts.items()
    }
    for name, tenant in sorted(load(settings.catalog).tenants.items()):
        document = _document(settings, name)
        for channel in tenant.spec.failover_after:
            named = tenant.spec.providers.get(channel) or [
                one for one in channels if channels[one] == channel
            ]
            text = _without_effect([one for one in named if one in channels], reports)
            if text:
                yield document.problem(("failover_after", channel), f"failover_after.{channel}: {text}")


def _without_effect(names: Sequence[str], reports: Set[str]) -> str:
    if len(names) < 2:
        return "has no effect with fewer than two accounts"
    silent = [name for name in names if name not in reports]
    said = "reports no deliveries" if len(silent) == 1 else "report no deliveries"
    return f"{', '.join(silent)} {said}: what they send is sent by no other account" if silent else ""


def _document(settings: Settings, tenant: str) -> Document:
    folder = settings.catalog / "tenants"
    file = next(file for file in folder.glob(f"{tenant}.y*ml") if file.suffix in {".yaml", ".yml"})
    return read(file, file.relative_to(settings.catalog).as_posix())[0]


def _mistakes(only: Only, channel: str, known: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    for field, names in known.items():
        for name in sorted(getattr(only, field) - names):
            close = difflib.get_close_matches(name, sorted(names), 1)
            cure = f"did you mean `{close[0]}`?" if close else "correct or remove it"
            yield field, f"the catalog has no `{name}`; {cure}"
    for field, channels in _ADDRESSES.items():
        if getattr(only, field) and channel not in channels:
            yield field, f"does not fit the addresses of {channel}; remove it"


def _order(names: Iterable[str], accounts: Mapping[str, Account]) -> str:
    """Write the order of a channel's accounts: those that share messages stand together."""
    said: list[str] = []
    for weighted, run in groupby(names, key=lambda name: accounts[name].weight is not None):
        found = list(run)
        whole = sum(accounts[name].weight or 0 for name in found)
        each = [_said(name, accounts[name], whole) for name in found]
        said.append(" and ".join(each) if weighted else ", then ".join(each))
    return ", then ".join(said)


def _said(name: str, account: Account, whole: int) -> str:
    share = f" {account.weight * 100 / whole:.3g} %" if account.weight else ""
    return f"{name}{share} ({account.only.sentence()})" if account.only else f"{name}{share}"


def _lines(settings: Settings) -> Lines:
    return Lines(settings.providers, settings.providers.read_text(encoding="utf-8"))
