"""Opens one provider account for a command, and says what it is and what became of a call."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from tocsin.app.settings import Settings, environment
from tocsin.delivery.redis_client import open_client
from tocsin.errors import DeliveryError, Unknown
from tocsin.providers.accounts import Accounts, build, load_account
from tocsin.providers.base import Provider
from tocsin.providers.registry import vendors
from tocsin.providers.vendor import Account

T = TypeVar("T")
Ask = Callable[[Provider], Awaitable[T]]

NEXT = {
    "Throttled": "the account pauses, and the message is tried again",
    "LimitReached": "another account is tried; with none left the message waits",
    "Transient": "the message is tried again, or by another account",
    "Unknown": "it may have been sent; TOCSIN_ON_UNKNOWN decides whether it is sent again",
    "Rejected": "the message is dead; the address is not blocked",
    "Declined": "another account is tried; with none left the message is dead",
    "OptedOut": "the message is dead, and the address is blocked",
    "RecipientGone": "the message is dead, and the address is blocked",
    "Misconfigured": "another account is tried, and this one counts as suspect: correct its entry",
}
"""Class of an error to what Tocsin does after it."""


class OneAccount(NamedTuple):
    """An account of the file, under its name; `accounts` has no other."""

    name: str
    accounts: Accounts

    @property
    def account(self) -> Account:
        """Return its settings."""
        return self.accounts.accounts[self.name]

    @property
    def channel(self) -> str:
        """Return the channel that it carries."""
        return vendors()[self.account.vendor].channel_of(self.account)

    def facts(self) -> dict[str, str]:
        """Say what it is: vendor, channel, sender and the address of the API. No credential is among them."""
        address = getattr(self.account, "endpoint", "") or getattr(self.account, "base_url", "")
        found = {
            "vendor": self.account.vendor,
            "channel": self.channel,
            "sender": str(getattr(self.account, "sender", "")),
            "environment": address or str(getattr(self.account, "host", "")),
        }
        return {name: value for name, value in found.items() if value}

    def ask(self, settings: Settings, question: Ask[T]) -> T:
        """Open the account, ask the question, and close it.

        Raises:
            DeliveryError: as the question.
        """
        return asyncio.run(self._ask(settings, question))

    async def _ask(self, settings: Settings, question: Ask[T]) -> T:
        async with self._open(settings) as provider:
            try:
                return await asyncio.wait_for(question(provider), provider.limits.timeout_s + 5)
            except TimeoutError:
                msg = f"no answer within {provider.limits.timeout_s:g} s"
                raise Unknown(msg, code="timeout") from None

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Provider]:
        redis = open_client(settings.redis, timeout_s=2)
        provider = build(self.accounts, clock=time.time, redis=redis)[self.name]
        try:
            yield provider
        finally:
            await provider.close()
            await redis.aclose()


def one_account(settings: Settings, name: str) -> OneAccount:
    """Read one account of the file.

    Raises:
        SettingsError: there is none of that name, or it has a mistake; the text names those that there are.
    """
    return OneAccount(name, load_account(settings.providers, environment(), name))


def error_facts(error: DeliveryError) -> dict[str, Any]:
    """Say what a failed call means."""
    kind = type(error).__name__
    found: dict[str, Any] = {
        "class": kind,
        "reason": error.reason.value,
        "code": error.code,
        "text": str(error),
        "next": NEXT.get(kind, ""),
    }
    return found | ({"retry_after_s": error.retry_after_s} if error.retry_after_s is not None else {})
