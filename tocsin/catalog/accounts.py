"""Checks a catalog against the provider accounts that exist.

Both functions take a folder that `tocsin.catalog.loader.check` finds nothing wrong with, and the channel of
each account by its name.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tocsin.catalog.files import Document, Problem, read
from tocsin.catalog.loader import load


def check_accounts(path: Path, accounts: Mapping[str, str]) -> list[Problem]:
    """List the accounts that tenants name and that are not there, or are of another channel.

    Names under a channel that has no account at all are no mistake: a catalog may be ahead of its accounts
    (`channels_without_account` tells).
    """
    files = sorted(file for file in (path / "tenants").glob("*") if file.suffix in {".yaml", ".yml"})
    documents = [read(file, file.relative_to(path).as_posix())[0] for file in files]
    return [problem for document in documents for problem in _problems(document, accounts)]


def channels_without_account(path: Path, accounts: Mapping[str, str]) -> list[str]:
    """Name the channels that notifications use and no account serves."""
    found = [each for tenant in load(path).tenants.values() for each in tenant.notifications.values()]
    used = {channel.name for each in found for channel in each.all_channels}
    return sorted(used - set(accounts.values()))


def _problems(document: Document, accounts: Mapping[str, str]) -> Iterator[Problem]:
    for channel, names in ((document.data or {}).get("providers") or {}).items():
        for at, name in enumerate(names):
            text = _mistake(name, channel, accounts)
            if text:
                yield document.problem(("providers", channel, at), text)


def _mistake(name: str, channel: str, accounts: Mapping[str, str]) -> str:
    there = accounts.get(name)
    if there is not None:
        wrong = f"account `{name}` is for {there}, not for {channel}, move or remove it here"
        return "" if there == channel else wrong
    others = sorted(other for other, of in accounts.items() if of == channel)
    if not others:
        return ""
    close = difflib.get_close_matches(name, others, 1)
    cure = f"did you mean `{close[0]}`?" if close else f"write one of {', '.join(others)} or add the account"
    return f"no {channel} account is called `{name}`, {cure}"
