"""Renders a message with the catalog's templates."""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pkgutil import resolve_name
from typing import Any, NamedTuple

import jinja2
import msgspec

from tocsin.catalog.attachments import AttachmentSpec
from tocsin.catalog.sandbox import without_nulls
from tocsin.catalog.spec import Senders, TenantSpec
from tocsin.errors import RenderError
from tocsin.model.channels import spec_of
from tocsin.model.content import AttachmentRef, Content
from tocsin.model.locales import family
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.render.content import Builder, ContentContext, Parts, clean_senders
from tocsin.render.formats import knows_locale, zone_or
from tocsin.render.link_tracking import LinkTracking, tracking_of
from tocsin.render.preference_link import (
    MAIL_MS,
    PATH,
    UNSUBSCRIBE_PATH,
    PreferenceLink,
    PreferenceTokens,
)
from tocsin.render.quick import QuickTemplate
from tocsin.render.sandbox import NULL_ITEM, compiled, compiled_text, rendered, sandbox, shorter_way
from tocsin.render.templates import LAST_LOCALE, chosen_parts
from tocsin.render.unsubscribe import Subscription, UnsubscribeTokens

MEMO = 4096  # combinations of template, channel and locale kept ready
MAX_NAME_CHARS = 80  # each may be 12 characters of a mail's header line, which has 998 at most
_NOTHING: Mapping[str, Any] = {}
_PATH = dict.fromkeys(map(ord, '/\\:*?"<>|'), "-") | dict.fromkeys([*range(32), 127], " ")


@cache
def _builder(channel: str) -> Builder:
    found: Builder = resolve_name(spec_of(channel).content)
    return found


class _Part(NamedTuple):
    template: jinja2.Template
    shorter: QuickTemplate | None


class _Plan(NamedTuple):
    parts: dict[str, _Part]
    locale: str


class _Book:
    """One set of templates: its environment, and the parts it found for a template, channel and language."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = templates
        self._environment = sandbox(templates)
        self.globals = dict(self._environment.globals)
        self.plan = lru_cache(MEMO)(self._find_plan)
        self.text = lru_cache(MEMO)(self._compile_text)

    def _find_plan(self, template: str, channel: str, locale: str, tenant_locale: str) -> _Plan:
        found = chosen_parts(self._templates, template, channel, (locale, tenant_locale))
        if found is not None:
            parts = {part: self._part(name) for part, name in found.names.items()}
            language = next((tag for tag in family(found.locale) if knows_locale(tag)), LAST_LOCALE)
            return _Plan(parts, language)
        msg = f"template {template}: {channel} lacks a part in every language; `tocsin check` names it"
        raise RenderError(msg)

    def _compile_text(self, source: str, what: str) -> jinja2.Template:
        return compiled_text(self._environment, source, what)

    def _part(self, name: str) -> _Part:
        template = compiled(self._environment, name)
        return _Part(template, shorter_way(template))


class _Tenant(NamedTuple):
    spec: TenantSpec
    senders: Senders
    brand: dict[str, str]
    book: _Book
    tracking: LinkTracking | None


Attachments = Mapping[str, Mapping[str, Sequence[AttachmentSpec]]]


class Renderer:
    """Renders messages. Pure: the same message, templates and settings give the same content.

    Built anew when the catalog is reloaded. Templates are compiled at their first use and kept. The language
    is the recipient's (`de-AT`, then `de`), else the tenant's, else English, for the whole message.

    Args:
        templates: as `tocsin.render.templates.load_templates` gives them.
        tenants: name -> settings.
        secret: at least 16 bytes; unsubscribe links are sealed with it.
        apart: tenant -> all its templates, where they are not the shared ones.
        attachments: tenant -> notification -> what its e-mails bring.
        gateway_url: public address of the gateway, for links to its pages; empty for none.
    """

    def __init__(
        self,
        templates: Mapping[str, str],
        tenants: Mapping[str, TenantSpec],
        secret: bytes,
        apart: Mapping[str, Mapping[str, str]] | None = None,
        attachments: Attachments | None = None,
        gateway_url: str = "",
    ) -> None:
        self._attachments = attachments or {}
        shared, own = _Book(templates), {name: _Book(all_of) for name, all_of in (apart or {}).items()}
        self._tenants = {
            name: _Tenant(
                spec,
                clean_senders(spec.senders),
                spec.branding.model_dump(),
                own.get(name, shared),
                tracking_of(spec, secret, gateway_url.rstrip("/")),
            )
            for name, spec in tenants.items()
        }
        self._tokens = UnsubscribeTokens(secret)
        self._preference_tokens = PreferenceTokens(secret)
        self._gateway_url = gateway_url.rstrip("/")

    def render(self, message: Message) -> Content:
        """Render one message for its channel.

        Raises:
            RenderError: template, part and variable that do not fit; never a value (law 7).
        """
        return built(*self.parts(message))

    def parts(self, message: Message) -> tuple[Parts, ContentContext]:
        """Render the parts of one message, and what content is built of beside them.

        Raises:
            RenderError: as `render`.
        """
        tenant = self._tenants.get(message.tenant)
        if tenant is None:
            msg = "the tenant of this message has no catalog; `tocsin check` names mistakes in its files"
            raise RenderError(msg)
        plan = tenant.book.plan(message.template, message.channel, message.locale, tenant.spec.locale)
        unsubscribe_url = self._unsubscribe_url(message, tenant)
        links = {"unsubscribe_url": unsubscribe_url, "preferences_url": self._preferences_url(message)}
        context = _context(message, tenant, plan.locale, links)
        parts: Parts = {
            part: rendered(one.template, context, one.shorter) for part, one in plan.parts.items()
        }
        if tenant.tracking is not None:
            parts = tenant.tracking.changed(parts, message, tenant.spec.sms)
        stop_text = _stop_text(message, tenant, plan.locale)
        sms = tenant.spec.sms
        carrying = ContentContext(message, tenant.senders, unsubscribe_url, sms, stop_text, plan.locale)
        if self._attachments and message.channel == Channel.EMAIL:
            brought = self._brought(message, tenant.book, context)
            carrying = msgspec.structs.replace(carrying, attachments=brought)
        return parts, carrying

    def _brought(self, message: Message, book: _Book, context: dict[str, Any]) -> tuple[AttachmentRef, ...]:
        specs = self._attachments.get(message.tenant, {}).get(message.notification, ())
        return tuple([_reference(book, spec, context, number) for number, spec in enumerate(specs, 1)])

    def _unsubscribe_url(self, message: Message, tenant: _Tenant) -> str:
        base = tenant.senders.unsubscribe_url.rstrip("/")
        if not base and self._gateway_url:
            base = self._gateway_url + UNSUBSCRIBE_PATH
        if message.channel != Channel.EMAIL or not base or _required(message, tenant):
            return ""
        token = self._tokens.make(Subscription(message.tenant, message.user, message.category))
        return f"{base}/{token}"

    def _preferences_url(self, message: Message) -> str:
        """Return the link to the page of a user with a profile."""
        if not self._gateway_url or not message.profile_version:
            return ""
        link = PreferenceLink(message.tenant, message.user, message.decided_ms + MAIL_MS)
        return self._gateway_url + PATH + self._preference_tokens.make(link)


def built(parts: Parts, context: ContentContext) -> Content:
    """Build the content of a message from its parts, as `Renderer.parts` gives them; raises `RenderError`."""
    return _builder(context.message.channel)(parts, context)


def _reference(book: _Book, spec: AttachmentSpec, context: dict[str, Any], number: int) -> AttachmentRef:
    """Write where an attachment is and how it is called; a name holds no path and no line end."""
    what = f"attachment {number}"
    written = rendered(book.text(spec.file_name, what), context)
    name = " ".join(written.translate(_PATH).split())[:MAX_NAME_CHARS].lstrip(".") or "attachment"
    source = spec.file or rendered(book.text(spec.url or "", what), context).strip()
    return AttachmentRef(source, spec.file is not None, name, spec.media_type, spec.cid)


def _stop_text(message: Message, tenant: _Tenant, locale: str) -> str:
    """Say how to stop text messages, where the category needs it: in the language of the text."""
    settings = tenant.spec.sms
    if message.channel != Channel.SMS or not settings.stop_text:
        return ""
    category = tenant.spec.categories.get(message.category)
    marketing = category is not None and category.marketing
    named = settings.stop_categories
    needed = marketing if named is None else message.category in named
    return settings.stop_text_in(locale, tenant.spec.locale) if needed else ""


def _required(message: Message, tenant: _Tenant) -> bool:
    category = tenant.spec.categories.get(message.category)
    return category is not None and category.required


def _context(message: Message, tenant: _Tenant, locale: str, links: Mapping[str, str]) -> dict[str, Any]:
    try:
        raw = bytes(message.data)
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        msg = f"template {message.template}: the data of the event is not JSON"
        raise RenderError(msg) from None
    if b"null" in raw:
        data = without_nulls(data, NULL_ITEM)
    timezone = zone_or(message.timezone, tenant.spec.timezone)
    digest = {"digest": data} if message.digest else _NOTHING
    return {
        **tenant.book.globals,
        **digest,
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
        **links,
    }
