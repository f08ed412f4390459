"""What vendors have in common: the settings of an account, and small checks before a request is made."""

from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tocsin.errors import Rejected
from tocsin.formats.marks import MARK_FIELD
from tocsin.model.content import Content, Outgoing
from tocsin.model.domains import ascii_url, dns_host
from tocsin.model.message import Message
from tocsin.providers.base import Limits
from tocsin.providers.http import HttpPolicy

C = TypeVar("C", bound=Content)


class Account(BaseModel):
    """Settings every account has. Frozen, strict about unknown fields, and its errors show no values.

    Attributes:
        vendor: name of the vendor; each model narrows it to its own.
        timeout_s: deadline of one call; 0 keeps the vendor's default.
        rate_per_s: requests a second this account may make; 0 keeps the vendor's default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    vendor: str
    timeout_s: float = Field(0, ge=0, le=600)
    rate_per_s: float = Field(0, ge=0)

    def limits(self, defaults: Limits) -> Limits:
        """Lay this account's own figures over the vendor's."""
        return msgspec.structs.replace(
            defaults,
            timeout_s=self.timeout_s or defaults.timeout_s,
            rate_per_s=self.rate_per_s or defaults.rate_per_s,
        )


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        msg = "must be a URL like https://host or http://host:port, without a query"
        raise ValueError(msg)
    dns_host(parts.hostname)
    return ascii_url(value).rstrip("/")


Host = Annotated[str, AfterValidator(dns_host)]
"""A server's name, in ASCII once it is read."""

Url = Annotated[str, AfterValidator(_base_url)]


class HttpAccount(Account):
    """An account reached over HTTP.

    Attributes:
        max_connections: requests in flight at once.
        ca: further root certificates, PEM text (`ca_file` in the file reads it from there).
    """

    max_connections: int = Field(1024, ge=1)
    connect_timeout_s: float = Field(3, gt=0, le=60)
    ca: str = ""

    def http_policy(self) -> HttpPolicy:
        """Build the transport's policy from this account."""
        return HttpPolicy(
            max_connections=self.max_connections,
            connect_timeout_s=self.connect_timeout_s,
            ca_pem=self.ca.encode(),
        )


def content_of(outgoing: Outgoing, kind: type[C]) -> C:
    """Take the content if it is of the kind this vendor carries.

    Raises:
        Rejected: it is of another kind: the message was routed to the wrong channel.
    """
    if isinstance(outgoing.content, kind):
        return outgoing.content
    msg = f"content is {type(outgoing.content).__name__}, this provider carries {kind.__name__}"
    raise Rejected(msg, code="wrong_content")


def marked(message: Message, mark: str) -> dict[str, str]:
    """Build what a vendor gives back with each report: no user id and no address is in it."""
    fields = {"message_id": message.message_id}
    return fields | {MARK_FIELD: mark} if mark else fields


def check_size(size: int, limit: int, what: str) -> None:
    """Refuse what the vendor would refuse, before a request is spent on it.

    Raises:
        Rejected: `size` is over a `limit` that is not 0.
    """
    if limit and size > limit:
        msg = f"{what} is {size}, the provider takes {limit}"
        raise Rejected(msg, code="too_large")
