"""What vendors have in common: the settings of an account, and small checks before a request is made."""

import re
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from tocsin.errors import Declined, Rejected
from tocsin.formats.marks import MARK_FIELD
from tocsin.model.content import Content, Outgoing
from tocsin.model.domains import ascii_url, dns_host, url_host
from tocsin.model.message import Message
from tocsin.providers.base import Limits
from tocsin.providers.choice import Only
from tocsin.providers.http import POOL_TIMEOUT_S, HttpPolicy
from tocsin.providers.http_connect import read_proxy

C = TypeVar("C", bound=Content)

MAX_SENDER_NAME = 11
"""Characters of a sender's name in an SMS (3GPP TS 23.040); what is longer is an id."""


class Account(BaseModel):
    """Settings every account has. Frozen, strict about unknown fields, and its errors show no values.

    Attributes:
        vendor: name of the vendor; each model narrows it to its own.
        timeout_s: deadline of one call; 0 keeps the vendor's default.
        rate_per_s: requests a second this account may make; 0 keeps the vendor's default.
        weight: its share among accounts with a weight that stand next to it; None keeps its place.
        only: the messages that it is for; None for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    vendor: str
    timeout_s: float = Field(0, ge=0, le=600)
    rate_per_s: float = Field(0, ge=0)
    weight: int | None = Field(None, ge=1, le=1_000_000)
    only: Only | None = None

    @field_validator("*")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse an empty required field: its variable is set to nothing, or its file is being written."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text == "" and cls.model_fields[info.field_name or ""].is_required():
            msg = "is empty; is the variable or file that it comes from?"
            raise ValueError(msg)
        return value

    def limits(self, defaults: Limits) -> Limits:
        """Lay this account's own figures over the vendor's."""
        return msgspec.structs.replace(
            defaults,
            timeout_s=self.timeout_s or defaults.timeout_s,
            rate_per_s=self.rate_per_s or defaults.rate_per_s,
            at_once=getattr(self, "max_connections", 0),
        )

    def until_request_s(self, usual_s: float) -> float:
        """Bound a step before the request: nothing is sent yet, and the deadline of the call must not end it.

        Two such steps and the request share a deadline that is set.
        """
        return min(usual_s, 0.4 * self.timeout_s) if self.timeout_s else usual_s


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        msg = "must be a URL like https://host or http://host:port, without a query"
        raise ValueError(msg)
    dns_host(parts.hostname)
    url = ascii_url(value).rstrip("/")
    return urlsplit(url)._replace(netloc=url_host(url)).geturl()


Host = Annotated[str, AfterValidator(dns_host)]
"""A server's name, in ASCII once it is read."""

Url = Annotated[str, AfterValidator(_base_url)]


def _proxy_url(value: SecretStr) -> SecretStr:
    read_proxy(value.get_secret_value())
    return value


ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy_url)]


class HttpAccount(Account):
    """An account reached over HTTP.

    Attributes:
        max_connections: requests in flight at once.
        connect_timeout_s: DNS, TCP and TLS together; at most 40 % of a `timeout_s` that is set, since a
            call that its deadline ends counts as one that may have been sent.
        first_byte_timeout_s: from the end of a request to the first byte of its answer. An account with a
            `timeout_s` of its own waits that long, unless it sets both.
        ca: further root certificates, PEM text (`ca_file` in the file reads it from there).
        proxy: `http://user:password@host:port` of the HTTP proxy that leads to the provider; empty for none.
    """

    max_connections: int = Field(1024, ge=1)
    connect_timeout_s: float = Field(3, gt=0, le=60)
    first_byte_timeout_s: float = Field(10, gt=0, le=600)
    ca: str = ""
    proxy: ProxyUrl = SecretStr("")

    def http_policy(self) -> HttpPolicy:
        """Build the transport's policy from this account."""
        return HttpPolicy(
            max_connections=self.max_connections,
            connect_timeout_s=self.until_request_s(self.connect_timeout_s),
            pool_timeout_s=self.until_request_s(POOL_TIMEOUT_S),
            first_byte_timeout_s=self._first_byte_s(),
            ca_pem=self.ca.encode(),
            proxy=self.proxy.get_secret_value(),
        )

    def _first_byte_s(self) -> float:
        set_itself = "first_byte_timeout_s" in self.model_fields_set
        return self.first_byte_timeout_s if set_itself else self.timeout_s or self.first_byte_timeout_s


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


def sender_of(named: str, own: str) -> str:
    """Choose the sender of an SMS, between the one the content names and the account's own.

    A name is the tenant's at every vendor. A number or a service belongs to one vendor, so the account's own
    is taken: a message that fails over must not name another vendor's number.
    """
    is_name = len(named) <= MAX_SENDER_NAME and bool(re.search("[A-Za-z]", named))
    return named if is_name or not own else own


def check_mail_size(size: int, limit: int, outgoing: Outgoing) -> None:
    """Refuse a mail that is too large for the vendor.

    Raises:
        Declined: because of its attachments: another account may take more.
        Rejected: whatever it brings.
    """
    if outgoing.attachments and limit and size > limit:
        msg = f"the mail with its attachments has {size} bytes, the provider takes {limit}"
        raise Declined(msg, code="too_large")
    check_size(size, limit, "the mail in bytes")


def check_size(size: int, limit: int, what: str) -> None:
    """Refuse what the vendor would refuse, before a request is spent on it.

    Raises:
        Rejected: `size` is over a `limit` that is not 0.
    """
    if limit and size > limit:
        msg = f"{what} is {size}, the provider takes {limit}"
        raise Rejected(msg, code="too_large")
