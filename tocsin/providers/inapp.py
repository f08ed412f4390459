"""In-app notifications: an entry in the user's inbox in Redis."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from tocsin.errors import DeliveryError, Misconfigured, SettingsError, Transient
from tocsin.model.content import InAppContent, Outgoing
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.accounts import load_accounts, load_accounts_of
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.inbox import Entry, Inbox, InboxPolicy
from tocsin.providers.registry import Parts, provider
from tocsin.providers.vendor import Account, content_of

LIMITS = Limits(timeout_s=5)


class InAppAccount(Account):
    """Settings of the inbox.

    Attributes:
        cap: entries kept a user; the oldest go first.
        keep_days: an inbox that got nothing for so long is forgotten.
    """

    vendor: Literal["inapp"]
    prefix: str = "tocsin:"
    cap: int = Field(200, ge=1, le=10_000)
    keep_days: int = Field(90, ge=1)

    def policy(self) -> InboxPolicy:
        """Build the inbox's policy from this account."""
        return InboxPolicy(self.prefix, self.cap, self.keep_days * 86_400)


def inbox_policies(path: Path, variables: Mapping[str, str]) -> list[InboxPolicy]:
    """List the policies of the in-app accounts; without a file of accounts, the default policy.

    Raises:
        SettingsError: as `load_accounts`, where the file is there.
    """
    if not path.exists():
        return [InboxPolicy()]
    accounts = load_accounts(path, variables).accounts.values()
    return [account.policy() for account in accounts if isinstance(account, InAppAccount)]


def inboxes_by_name(path: Path, variables: Mapping[str, str]) -> dict[str, InboxPolicy]:
    """List the policies of the in-app accounts by name; other accounts may be incomplete.

    Raises:
        SettingsError: the file cannot be read, or an in-app account in it is wrong.
    """
    if not path.exists():
        return {}
    accounts = load_accounts_of(path, variables, "inapp").accounts
    return {name: each.policy() for name, each in accounts.items() if isinstance(each, InAppAccount)}


def _build(name: str, account: InAppAccount, parts: Parts) -> "InApp":
    if parts.redis is None:
        msg = f"account {name}: in-app notifications need Redis; set TOCSIN_REDIS or remove the account"
        raise SettingsError(msg)
    return InApp(name, account, Inbox(parts.redis, account.policy()))


@provider(
    "inapp", Channel.INAPP, InAppAccount, build=_build, reports={Level.OPENED, Level.CLICKED, Level.READ}
)
class InApp:
    """Puts messages into inboxes. A repeat of a message id changes nothing, so no outcome is ever in doubt.

    That is why a broken connection is `Transient` here even after the command was written.
    """

    channel = Channel.INAPP

    def __init__(self, name: str, account: InAppAccount, inbox: Inbox) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._inbox = inbox

    def accepts(self, message: Message) -> bool:
        """Carry every in-app message."""
        return message.channel == Channel.INAPP

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Add one entry; see `Provider.send`."""
        message, content = outgoing.message, content_of(outgoing, InAppContent)
        try:
            added = await self._inbox.add(f"{message.tenant}/{message.user}", _entry(message, content))
        except (RedisError, OSError) as error:
            failure = _failure(error)
        else:
            return Receipt(message.message_id, "added" if added else "present")
        raise failure

    async def verify(self) -> str:
        """Ask Redis whether it answers; see `Verifiable.verify`."""
        try:
            await self._inbox.counts("tocsin-check")
        except (RedisError, OSError) as error:
            failure = _failure(error)
        else:
            return "Redis answers; `tocsin check` names the rights that inboxes need"
        raise failure

    async def close(self) -> None:
        """Do nothing: the connection is its owner's."""


def _entry(message: Message, content: InAppContent) -> Entry:
    return Entry(
        message_id=message.message_id,
        notification_id=message.notification_id,
        notification=message.notification,
        category=message.category,
        title=content.title,
        body=content.body,
        url=content.url,
        at_ms=message.decided_ms,
        expires_ms=message.expires_ms,
    )


def _failure(error: Exception) -> DeliveryError:
    """Class a failure without its text: Redis quotes commands, and so texts, in its messages."""
    kind = type(error).__name__
    if isinstance(error, AuthenticationError | AuthorizationError):
        return Misconfigured("Redis refuses the login", code=kind)
    if isinstance(error, NoPermissionError) or "ACL failure in script" in str(error):
        return Misconfigured("Redis denies a right that the inbox needs: `tocsin check` names it", code="acl")
    if isinstance(error, ResponseError) and not isinstance(error, OutOfMemoryError):
        return Transient("Redis refuses the command", code=kind)
    return Transient("Redis is away or full", code=kind)
