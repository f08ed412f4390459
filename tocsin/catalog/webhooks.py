"""Endpoints that a tenant declares for its delivery reports.

webhooks:
  orders:
    url: https://api.shop.example/tocsin
    secret: env:SHOP_WEBHOOK_SECRET          # or file:/run/secrets/shop; a list while it is rotated
    statuses: [sent, delivered, bounced, dead]
    notifications: [order_shipped]           # default: all
    give_up_after: 12h                       # default: 24h
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from tocsin.catalog.files import Document, Problem
from tocsin.catalog.scalars import STRICT, Duration
from tocsin.model.statuses import Status

_KINDS: Final = ("env:", "file:")
WEBHOOK_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _reference(value: str) -> str:
    kind, _, name = value.partition(":")
    if f"{kind}:" not in _KINDS or not name:
        msg = "not a reference to a secret: write env:NAME or file:PATH, never the secret itself"
        raise ValueError(msg)
    return value


def _status(value: str) -> str:
    if value not in set(Status):
        msg = f"no status: write one of {', '.join(Status)}"
        raise ValueError(msg)
    return value


def url_problem(url: str, *, allow_private: bool = False) -> str:
    """Say what is wrong with the URL of an endpoint; empty if nothing is.

    Whether its host leads into a private network shows only when it is called: names change what they mean.

    >>> url_problem("https://api.shop.example/tocsin"), url_problem("http://api.shop.example/")
    ('', 'write an https:// URL')
    """
    schemes = ("https", "http") if allow_private else ("https",)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "write a URL such as https://api.shop.example/tocsin"
    if parts.scheme not in schemes or not parts.hostname:
        return f"write an {schemes[0]}:// URL"
    if parts.username is not None or parts.password is not None:
        return "leave user and password away: the signature proves who sends"
    if parts.fragment or not url.isascii() or not url.isprintable() or " " in url or port == 0:
        return "write a URL without blanks, accents and `#`"
    return ""


def _url(value: str) -> str:
    """Refuse what is no URL of any endpoint; http:// is for a setting of the process to allow."""
    if problem := url_problem(value, allow_private=True):
        msg = f"no URL of an endpoint: {problem}"
        raise ValueError(msg)
    return value


Reference = Annotated[str, AfterValidator(_reference)]


class WebhookSpec(BaseModel):
    """An endpoint: where reports go, which references its secrets have, and which outcomes it wants."""

    model_config = STRICT

    url: Annotated[str, Field(max_length=2_048), AfterValidator(_url)]
    secret: Annotated[
        list[Reference],
        Field(min_length=1, max_length=4),
        BeforeValidator(lambda one: one if isinstance(one, list) else [one]),
    ]
    statuses: list[Annotated[str, AfterValidator(_status)]] = []
    notifications: list[str] = []
    give_up_ms: Duration | None = Field(default=None, alias="give_up_after")


def webhook_problems(
    document: Document, webhooks: Mapping[str, WebhookSpec], notifications: Mapping[str, object] | None
) -> Iterator[Problem]:
    """Find names that cannot be, and notifications that an endpoint names and the tenant lacks.

    Args:
        document: the tenant's file.
        webhooks: its endpoints.
        notifications: the tenant's; None where some could not be read.
    """
    for name, spec in webhooks.items():
        if not WEBHOOK_NAME.fullmatch(name):
            text = f"`{name}` is no name, use letters, digits, dot, dash and underscore, at most 64"
            yield document.problem(("webhooks", name), text)
        for at, notification in enumerate(spec.notifications):
            if notifications is not None and notification not in notifications:
                text = f"there is no notification `{notification}`, correct it or remove it here"
                yield document.problem(("webhooks", name, "notifications", at), text)
