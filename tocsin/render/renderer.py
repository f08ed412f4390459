"""Renders a message with the catalog's templates."""

from collections.abc import Mapping
from functools import lru_cache
from pkgutil import resolve_name
from typing import Any, NamedTuple

import jinja2
import msgspec

from tocsin.catalog.sandbox import without_nulls
from tocsin.catalog.spec import Senders, TenantSpec
from tocsin.errors import RenderError
from tocsin.model.channels import DELIVERED
from tocsin.model.content import Content
from tocsin.model.locales import family
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.render.content import Builder, ContentContext, clean_senders
from tocsin.render.formats import knows_locale, zone_or
from tocsin.render.sandbox import NULL_ITEM, compiled, rendered, sandbox
from tocsin.render.templates import LAST_LOCALE, REQUIRED_PARTS, find_parts
from tocsin.render.unsubscribe import Subscription, UnsubscribeTokens

MEMO = 4096  # combinations of template, channel and locale kept ready
BUILDERS: Mapping[str, Builder] = {name: resolve_name(spec.content) for name, spec in DELIVERED.items()}


class _Plan(NamedTuple):
    parts: dict[str, jinja2.Template]
    locale: str


class _Book:
    """One set of templates: its environment, and the parts it found for a template, channel and language."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = templates
        self._environment = sandbox(templates)
        self.globals = dict(self._environment.globals)
        self.plan = lru_cache(MEMO)(self._find_plan)

    def _find_plan(self, template: str, channel: str, locale: str, tenant_locale: str) -> _Plan:
        if channel not in REQUIRED_PARTS:
            raise RenderError(_unknown(channel))
        for wanted in (locale, tenant_locale, LAST_LOCALE):
            found = find_parts(self._templates, template, channel, wanted)
            if found is not None:
                parts = {part: compiled(self._environment, name) for part, name in found.items()}
                return _Plan(parts, next((tag for tag in family(wanted) if knows_locale(tag)), LAST_LOCALE))
        msg = f"template {template}: {channel} lacks a part in every language; `tocsin check` names it"
        raise RenderError(msg)


class _Tenant(NamedTuple):
    spec: TenantSpec
    senders: Senders
    brand: dict[str, str]
    book: _Book


class Renderer:
    """Renders messages. Pure: the same message, templates and settings give the same content.

    Built anew when the catalog is reloaded. Templates are compiled at their first use and kept. The language
    is the recipient's (`de-AT`, then `de`), else the tenant's, else English, for the whole message.

    Args:
        templates: as `tocsin.render.templates.load_templates` gives them.
        tenants: name -> settings.
        secret: at least 16 bytes; unsubscribe links are sealed with it.
        apart: tenant -> all its templates, where they are not the shared ones.
    """

    def __init__(
        self,
        templates: Mapping[str, str],
        tenants: Mapping[str, TenantSpec],
        secret: bytes,
        apart: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        shared, own = _Book(templates), {name: _Book(all_of) for name, all_of in (apart or {}).items()}
        self._tenants = {
            name: _Tenant(
                spec, clean_senders(spec.senders), spec.branding.model_dump(), own.get(name, shared)
            )
            for name, spec in tenants.items()
        }
        self._tokens = UnsubscribeTokens(secret)

    def render(self, message: Message) -> Content:
        """Render one message for its channel.

        Raises:
            RenderError: template, part and variable that do not fit; never a value (law 7).
        """
        tenant = self._tenants.get(message.tenant)
        if tenant is None:
            msg = "the tenant of this message has no catalog; `tocsin check` names mistakes in its files"
            raise RenderError(msg)
        plan = tenant.book.plan(message.template, message.channel, message.locale, tenant.spec.locale)
        unsubscribe_url = self._unsubscribe_url(message, tenant)
        context = tenant.book.globals | _context(message, tenant, plan.locale, unsubscribe_url)
        parts = {part: rendered(template, context) for part, template in plan.parts.items()}
        carrying = ContentContext(message, tenant.senders, unsubscribe_url, tenant.spec.sms)
        return BUILDERS[message.channel](parts, carrying)

    def _unsubscribe_url(self, message: Message, tenant: _Tenant) -> str:
        base = tenant.senders.unsubscribe_url.rstrip("/")
        if message.channel != Channel.EMAIL or not base or _required(message, tenant):
            return ""
        token = self._tokens.make(Subscription(message.tenant, message.user, message.category))
        return f"{base}/{token}"


def _required(message: Message, tenant: _Tenant) -> bool:
    category = tenant.spec.categories.get(message.category)
    return category is not None and category.required


def _context(message: Message, tenant: _Tenant, locale: str, unsubscribe_url: str) -> dict[str, Any]:
    try:
        raw = bytes(message.data)
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        msg = f"template {message.template}: the data of the event is not JSON"
        raise RenderError(msg) from None
    if b"null" in raw:
        data = without_nulls(data, NULL_ITEM)
    timezone = zone_or(message.timezone, tenant.spec.timezone)
    context = {"digest": data} if message.digest else {}
    return context | {
        "data": data,
        "event": {
            "id": message.event_id,
            "source": message.event_source,
            "type": message.event_type,
            "time_ms": message.event_time_ms,
        },
        "user": {"id": message.user, "locale": message.locale, "timezone": timezone},
        "brand": tenant.brand,
        "notification": message.notification,
        "category": message.category,
        "required": _required(message, tenant),
        "locale": locale,
        "timezone": timezone,
        "unsubscribe_url": unsubscribe_url,
    }


def _unknown(channel: str) -> str:
    return f"channel {channel}: nothing is rendered for it in this release; remove it from the notification"
