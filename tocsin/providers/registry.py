"""The registry of vendors: each module of this folder registers the adapter it holds.

```python
@provider("sendgrid", Channel.EMAIL, SendGridAccount)
class SendGrid: ...
```

Nothing else lists the vendors: the file of accounts, `tocsin check` and the tests read `vendors()`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Set
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, get_args

from redis.asyncio import Redis

import tocsin.providers
from tocsin.model.engagement import Level
from tocsin.providers.base import Provider
from tocsin.providers.http import Clock, HttpPolicy, Transport
from tocsin.providers.vendor import Account, HttpAccount

A = TypeVar("A", bound=Account)
P = TypeVar("P", bound=Provider)
OpenTransport = Callable[[HttpPolicy], Transport]


class Parts(NamedTuple):
    """What an adapter can be built from, beside its account.

    Attributes:
        clock: wall time in seconds.
        redis: None where the process has none.
        open_transport: opens an HTTP transport that belongs to the adapter.
        owned_platforms: push platforms that a vendor of the file of accounts owns.
        secret: `TOCSIN_SECRET`, which seals return paths; empty where the process only looks.
    """

    clock: Clock
    redis: Redis | None
    open_transport: OpenTransport
    owned_platforms: Set[str]
    secret: bytes = b""


class Vendor(NamedTuple):
    """One vendor, as its module registers it.

    Attributes:
        name: the value of `vendor:` in the file of accounts.
        channel: the channel its adapter carries; empty where the account's field `channel` names it.
        account: the model of its settings.
        build: makes the adapter from the account's name, its settings and the parts.
        owns: push platforms that vendors of several platforms leave to this one.
        reports: levels of receipts that its webhooks, or the app that shows its messages, can report.
    """

    name: str
    channel: str
    account: type[Account]
    build: Callable[[str, Any, Parts], Provider]
    owns: frozenset[str]
    reports: frozenset[Level]

    def channel_of(self, account: Account) -> str:
        """Return the channel of one account."""
        return self.channel or str(account.model_dump(include={"channel"})["channel"])


VENDORS: dict[str, Vendor] = {}
"""What the imported modules have registered. Read `vendors()`, which imports them all."""


def provider(
    name: str,
    channel: str,
    account: type[A],
    *,
    build: Callable[[str, A, Parts], Provider] | None = None,
    owns: Set[str] = frozenset(),
    reports: Set[Level] = frozenset(),
) -> Callable[[type[P]], type[P]]:
    """Register the decorated class as the adapter of a vendor.

    Args:
        name: what `vendor:` says; the model's field `vendor` is `Literal[name]`.
        channel: the class's own `channel`; empty where each account names one in its field `channel`.
        account: the model of its settings.
        build: makes the adapter. Without it, the class is called with name, account, transport and clock.
        owns: push platforms that vendors of several platforms leave to this one.
        reports: levels of receipts that its webhooks, or the app that shows its messages, can report.

    Raises:
        TypeError: at import, if the entry does not fit the class or the model, or the name is taken.
    """

    def register(adapter: type[P]) -> type[P]:
        made_by = build or _over_http(adapter, account)
        entry = Vendor(name, channel, account, made_by, frozenset(owns), frozenset(reports))
        _check(entry, adapter)
        VENDORS[name] = entry
        return adapter

    return register


def vendors() -> Mapping[str, Vendor]:
    """Import every module of this folder, and return the vendors by name, in the order of their names."""
    package = tocsin.providers
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return MappingProxyType(dict(sorted(VENDORS.items())))


def _over_http(adapter: type[P], account: type[A]) -> Callable[[str, Any, Parts], Provider]:
    if not issubclass(account, HttpAccount):
        msg = f"{adapter.__qualname__}: {account.__name__} is no HttpAccount, so the entry needs `build=`"
        raise TypeError(msg)
    make: Callable[..., Provider] = adapter

    def build(name: str, account: HttpAccount, parts: Parts) -> Provider:
        return make(name, account, parts.open_transport(account.http_policy()), parts.clock)

    return build


def _check(entry: Vendor, adapter: type[Provider]) -> None:
    field = entry.account.model_fields["vendor"]
    if get_args(field.annotation) != (entry.name,):
        msg = f'{entry.account.__name__}: needs the field `vendor: Literal["{entry.name}"]`'
        raise TypeError(msg)
    if not entry.channel and "channel" not in entry.account.model_fields:
        msg = f"{entry.account.__name__}: needs the field `channel`, since the entry names none"
        raise TypeError(msg)
    own = getattr(adapter, "channel", "")
    if entry.channel and own != entry.channel:
        msg = f"{adapter.__qualname__}: its channel is {own}, its entry says {entry.channel}"
        raise TypeError(msg)
    if entry.name in VENDORS:
        msg = f"{adapter.__qualname__}: another class is registered as vendor {entry.name}; use another name"
        raise TypeError(msg)
