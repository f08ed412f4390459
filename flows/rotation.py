"""Rotation of credentials: an account whose settings change gets a new adapter while the process runs.

A key that lies in a file (`api_key_file`) is rotated by writing the file anew. Messages that are at the
provider end with the old adapter, which is closed when none of them can still be out.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, MutableMapping
from pathlib import Path

from tocsin.delivery.runtime import Runtime
from tocsin.errors import SettingsError
from tocsin.providers.account_version import version_of
from tocsin.providers.accounts import Accounts, load_accounts
from tocsin.providers.base import Provider
from tocsin.providers.vendor import Account

Loaded = Callable[[str, Mapping[str, Account]], None]
"""Told the version and the accounts, once they are in force."""

_log = logging.getLogger("tocsin.accounts")
_GRACE_S = 60.0  # a message may wait for its claim before it calls the adapter that was chosen for it


class Rotation:
    """Looks at the file of accounts, and puts new adapters in the places of old ones.

    Accounts that come, go or change their vendor, and fields that are read once (`rate_per_s`, `weight`,
    `only`), want a restart; the log says so. A file with a mistake leaves every account as it is.

    Args:
        path: the file of accounts.
        variables: the environment.
        accounts: those in force.
        providers: their adapters, by name; changed in place, one item at a time.
        build: makes the adapters of those accounts that are named.
        runtime: closes old adapters.
        secret: `TOCSIN_SECRET`, which versions of accounts are named with.
        note: told the version and the accounts, once they are in force.
    """

    def __init__(
        self,
        path: Path,
        variables: Mapping[str, str],
        accounts: Accounts,
        providers: MutableMapping[str, Provider],
        *,
        build: Callable[[Accounts, Collection[str]], Mapping[str, Provider]],
        runtime: Runtime,
        secret: bytes,
        note: Loaded,
    ) -> None:
        self._path = path
        self._variables = variables
        self._built = dict(accounts.accounts)  # what each adapter was made of
        self._providers = providers
        self._build = build
        self._secret = secret
        self._note = note
        self._version = version_of(accounts.accounts, secret)
        self._retired = runtime.tasks(_retire, _closed)
        self._moved = ""  # what only a restart puts in force
        self.problem = ""
        """What is wrong with the file now; empty if nothing is."""

    def poll(self) -> None:
        """Look once; called by one thread."""
        try:
            self._look()
        except SettingsError as error:
            self._say(f"provider accounts stay as they are; the new ones have mistakes:\n{error}")

    def _look(self) -> None:
        found = load_accounts(self._path, self._variables)
        version = version_of(found.accounts, self._secret)
        if version == self._version:
            self._say(self._moved)
            return
        self._replace(found)
        self._version = version
        self._note(version, found.accounts)

    def _replace(self, found: Accounts) -> None:
        now, built = found.accounts, self._built
        same = {name for name in built.keys() & now.keys() if built[name].vendor == now[name].vendor}
        changed = [name for name in now if name in same and built[name] != now[name]]
        for name, provider in self._build(found, changed).items():
            self._retired.submit([self._providers[name]])
            self._providers[name], built[name] = provider, now[name]
            _log.warning("account %s has new settings", name)
        self._retired.drain()
        moved = ", ".join(sorted((built.keys() | now.keys()) - same))
        self._moved = f"accounts that came, went or changed vendors want a restart: {moved}" if moved else ""
        self._say(self._moved)

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.error("%s", problem)
        self.problem = problem


async def _retire(provider: Provider) -> None:
    await asyncio.sleep(provider.limits.timeout_s + _GRACE_S)
    await provider.close()


def _closed(provider: Provider) -> None:
    """Give up one whose closing failed: its connections end with the process."""
    _log.warning("the old adapter of account %s could not be closed", provider.name)
