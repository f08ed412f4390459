"""Which accounts of a channel a message may go by, and in which order: by conditions and by weight. Pure.

```yaml
accounts:
  uk: {vendor: twilio, …, only: {countries: ["+44"]}}
  main: {vendor: twilio, …, weight: 3}
  second: {vendor: vonage, …, weight: 1}
```

A number in Britain goes by `uk` first. Of all others, three of four go by `main` first and one by `second`,
and by the other one if that fails. The draw is by message id: a message has the same order in every process,
at each attempt and after a restart.
"""

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from tocsin.model.domains import ascii_host, dns_host
from tocsin.model.message import Message

Prefix = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{0,6}$")]
Priority = Literal["critical", "high", "normal", "low"]


def _domain(value: str) -> str:
    bare = value.removeprefix("*.")
    if not bare or "@" in bare or "*" in bare:
        msg = "must be a domain like example.com, or *.example.com for all below it"
        raise ValueError(msg)
    return value[: len(value) - len(bare)] + dns_host(bare).lower()


Domain = Annotated[str, AfterValidator(_domain)]


class Only(BaseModel):
    """The messages that an account is for. Each field that has entries must have one that fits.

    Attributes:
        countries: how the number begins, as `+44`.
        tenants: names of tenants.
        categories: names of categories.
        priorities: of the notification.
        domains: of the mail address; `*.example.com` is every domain below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    countries: tuple[Prefix, ...] = ()
    tenants: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    priorities: frozenset[Priority] = frozenset()
    domains: frozenset[Domain] = frozenset()

    def takes(self, message: Message) -> bool:
        """Tell whether the account is for this message.

        Args:
            message: the message; its address may have any spelling of a domain.
        """
        return (
            (not self.countries or message.target.address.startswith(self.countries))
            and (not self.tenants or message.tenant in self.tenants)
            and (not self.categories or message.category in self.categories)
            and (not self.priorities or message.priority in self.priorities)
            and (not self.domains or self._has_domain(message.target.address))
        )

    def _has_domain(self, address: str) -> bool:
        domain = ascii_host(address.rpartition("@")[2]).lower()
        parents = domain.split(".")
        above = [f"*.{'.'.join(parents[place:])}" for place in range(1, len(parents))]
        return not self.domains.isdisjoint((domain, *above))

    def sentence(self) -> str:
        """Say for what it is."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        said = [f"{name} {', '.join(sorted(values))}" for name, values in fields.items() if values]
        return f"only {' and '.join(said)}" if said else "everything"


class Chosen(Protocol):
    """The fields of an account that decide whether and when it is used."""

    @property
    def only(self) -> Only | None:
        """Return what it is for; None for everything."""
        ...

    @property
    def weight(self) -> int | None:
        """Return its share among neighbours with a weight; None keeps its place."""
        ...


class Named(Protocol):
    """Anything with the name of an account."""

    @property
    def name(self) -> str:
        """Return the name."""
        ...


N = TypeVar("N", bound=Named)


class Choice:
    """Orders the accounts of a message.

    Accounts with a weight that stand next to each other share the messages by their weights; each other
    account keeps its place. An account that is added or removed changes the order of its share only.
    """

    def __init__(self, accounts: Mapping[str, Chosen]) -> None:
        self._only = {name: one.only for name, one in accounts.items() if one.only is not None}
        self._weights = {name: one.weight for name, one in accounts.items() if one.weight}

    def order(self, message: Message, providers: Sequence[N]) -> Sequence[N]:
        """Return those of the providers that are for the message, first choice first."""
        if self._only:
            only = self._only
            providers = [one for one in providers if one.name not in only or only[one.name].takes(message)]
        if not self._weights or len(providers) < 2:
            return providers
        found: list[N] = []
        for _, run in groupby(providers, key=lambda one: one.name in self._weights):
            found += sorted(run, key=lambda one: self._arrival(message.message_id, one.name))
        return found

    def _arrival(self, message_id: str, name: str) -> float:
        return _arrival(message_id, name, self._weights[name]) if name in self._weights else 0.0


def _arrival(message_id: str, name: str, weight: int) -> float:
    """Draw when an account would arrive in a race in which its chance to be first is its share.

    Arrivals are exponential with the weight as their rate (Efraimidis and Spirakis, 2006).
    """
    digest = blake2b(f"{message_id}/{name}".encode(), digest_size=8).digest()
    return -math.log((int.from_bytes(digest, "big") + 1) / 2**64) / weight
