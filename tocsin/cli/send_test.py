"""`tocsin send-test`: one message through one account, without Kafka, and what the vendor says to it."""

import json as jsonlib
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, NamedTuple, NoReturn

import msgspec
import typer
from rich.text import Text

from tocsin.app.settings import Settings
from tocsin.catalog.catalog import Catalog
from tocsin.catalog.loader import load_apart
from tocsin.catalog.spec import Senders
from tocsin.cli.one_account import OneAccount, error_facts, one_account
from tocsin.cli.output import FAULT, complain, console, fail, print_json
from tocsin.errors import CatalogError, Declined, DeliveryError
from tocsin.formats.marks import Marks
from tocsin.model.channels import CHANNELS, ContactKind, spec_of
from tocsin.model.content import Content, Outgoing
from tocsin.model.event import Origin
from tocsin.model.message import ACCOUNT, Message, Target
from tocsin.model.statuses import Channel
from tocsin.providers.base import Provider, Receipt
from tocsin.render.check import sound_templates
from tocsin.render.content import ContentContext, clean_senders
from tocsin.render.renderer import Renderer

TEXT = "This is a test of Tocsin. If it reached you by mistake, please ignore it."


class Asked(NamedTuple):
    """What to send: the words of the command."""

    to: str
    text: str
    template: str
    data: str
    locale: str
    tenant: str
    sender: str
    platform: str
    app: str


def send_test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="account of the accounts file")],
    *,
    to: Annotated[
        str,
        typer.Option(
            help="address, number or device token; of a browser its subscription as JSON; `account` for the"
            " address that the account has",
            metavar="ADDRESS",
        ),
    ],
    text: Annotated[str, typer.Option(help="text to send, if no template is named")] = TEXT,
    template: Annotated[str, typer.Option(help="template of the catalog to send instead")] = "",
    data: Annotated[str, typer.Option(help="data of the template, JSON; by default its sample")] = "",
    locale: Annotated[str, typer.Option(help="language of the template")] = "en",
    tenant: Annotated[str, typer.Option(help="tenant whose senders and templates are used")] = "default",
    sender: Annotated[str, typer.Option(help="sender instead of the tenant's")] = "",
    platform: Annotated[str, typer.Option(help="of a device: ios or android")] = "",
    app: Annotated[str, typer.Option(help="app of a device, for push to ios")] = "",
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Send one message through one provider account, and say what the vendor answers."""
    asked = Asked(to, text, template, data, locale, tenant, sender, platform, app)
    settings = Settings()
    account = one_account(settings, name)
    outgoing = build_outgoing(settings, account, asked)
    found: dict[str, Any] = {"account": name, **account.facts(), **_sent(settings, account, outgoing)}
    if json:
        print_json(found)
    else:
        _show(found)
    if "error" in found:
        raise typer.Exit(FAULT)


def build_outgoing(settings: Settings, account: OneAccount, asked: Asked) -> Outgoing:
    """Build the message and its content, as delivery would.

    Raises:
        TocsinError: the catalog, the template or its data do not fit.
    """
    message = _message(account.channel, account.account.vendor, asked)
    secret = settings.secret.get_secret_value().encode()
    mark_of = Marks(secret).of if secret else None
    if asked.template:
        message = msgspec.structs.replace(message, data=_data(settings.catalog, asked))
        return Outgoing(message, _rendered(settings, message, asked), mark_of)
    return Outgoing(message, _plain(settings, message, asked), mark_of)


def _message(channel: str, vendor: str, asked: Asked) -> Message:
    now_ms = time.time_ns() // 1_000_000
    return Message(
        message_id=uuid.uuid4().hex,
        notification_id=uuid.uuid4().hex,
        tenant=asked.tenant,
        user="test",
        channel=channel,
        target=target_of(channel, vendor, asked),
        notification=asked.template or "test",
        category="test",
        template=asked.template or "test",
        data=msgspec.Raw(b"{}"),
        locale=asked.locale,
        event_id="test",
        event_source="/tocsin/send-test",
        event_type="test",
        event_time_ms=now_ms,
        received_ms=now_ms,
        decided_ms=now_ms,
        origin=Origin("events", 0, 0),
    )


def target_of(channel: str, vendor: str, asked: Asked) -> Target:
    """Read where the message goes."""
    if channel == Channel.WEBPUSH:
        return _browser(asked.to)
    if asked.to == ACCOUNT and spec_of(channel).contacts is ContactKind.NAMED:
        return Target(ACCOUNT, platform=ACCOUNT)
    platform = asked.platform or {"apns": "ios", "fcm": "android"}.get(vendor, "")
    return Target(asked.to, platform=platform, app=asked.app)


def _browser(subscription: str) -> Target:
    """Read what a browser's `PushSubscription` gives as JSON."""
    try:
        given = msgspec.json.decode(subscription, type=_Subscription)
    except msgspec.DecodeError:
        example = '{"endpoint": "https://…", "keys": {"p256dh": "…", "auth": "…"}}'
        fail(
            f"--to: not the subscription of a browser; give what JSON.stringify says: {example}",
            code=2,
        )
    keys = {"p256dh": given.keys.p256dh, "auth": given.keys.auth}
    return Target(given.endpoint, platform="web", subscription={"endpoint": given.endpoint, **keys})


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class _Subscription(msgspec.Struct):
    endpoint: str
    keys: _Keys


def _plain(settings: Settings, message: Message, asked: Asked) -> Content:
    """Build content without a template: the text in every part that the channel needs."""
    spec = spec_of(message.channel)
    parts = dict.fromkeys(spec.parts, asked.text)
    parts |= {part: "Test of Tocsin" for part in ("subject", "title") if part in parts}
    build = resolve_name(spec.content)
    content: Content = build(parts, ContentContext(message, _senders(settings, message.channel, asked)))
    return content


def _senders(settings: Settings, channel: str, asked: Asked) -> Senders:
    """Take the tenant's senders, and the one that was named instead."""
    try:
        tenants = load_apart(settings.catalog).tenants
    except (CatalogError, OSError):
        tenants = {}
    if tenants and asked.tenant not in (*tenants, "default"):
        _no_tenant(asked.tenant, tenants)
    senders = tenants[asked.tenant].spec.senders if asked.tenant in tenants else Senders()
    if asked.sender:
        senders = _named(senders, asked.sender)
    if channel == Channel.EMAIL and not senders.email:
        cure = (
            "name one by --sender, or set TOCSIN_CATALOG to a catalog whose tenant has `senders: {email: …}`"
        )
        fail(f"no sender of e-mail is known: {cure}", code=2)
    return clean_senders(senders)


def _named(senders: Senders, sender: str) -> Senders:
    """Put one sender in the place of those of every channel."""
    return senders.model_copy(update={name: sender for name in CHANNELS if name in Senders.model_fields})


def _rendered(settings: Settings, message: Message, asked: Asked) -> Content:
    catalog = _catalog(settings.catalog, asked)
    sets = sound_templates(settings.catalog, catalog.tenants)
    specs = {name: tenant.spec for name, tenant in catalog.tenants.items()}
    if asked.sender:
        own = specs[asked.tenant]
        specs[asked.tenant] = own.model_copy(update={"senders": _named(own.senders, asked.sender)})
    secret, base = settings.secret_bytes(), settings.gateway_url
    renderer = Renderer(sets.shared, specs, secret, sets.apart, gateway_url=base)
    return renderer.render(message)


def _catalog(folder: Path, asked: Asked) -> Catalog:
    catalog = load_apart(folder)
    if asked.tenant not in catalog.tenants:
        _no_tenant(asked.tenant, catalog.tenants)
    return catalog


def _no_tenant(name: str, known: Iterable[str]) -> NoReturn:
    fail(f"--tenant: there is no tenant {name}; there are: {', '.join(sorted(known))}", code=2)


def _data(folder: Path, asked: Asked) -> msgspec.Raw:
    """Take the data that was given, or else the first sample of the template."""
    if asked.data:
        try:
            return msgspec.Raw(jsonlib.dumps(jsonlib.loads(asked.data)).encode())
        except ValueError as error:
            fail(f'--data: not JSON ({error}); quote it like \'{{"flight": "UA 1"}}\'', code=2)
    places = [folder / "tenants" / asked.tenant / "templates", folder / "templates"]
    found = [place / asked.template for place in places if (place / asked.template).is_dir()]
    if not found:
        fail(f"--template: there is no template {asked.template} in {folder / 'templates'}", code=2)
    file = found[0] / "sample.json"
    if not file.exists():
        fail(f"{file} is missing: write one event's data there, or give it by --data", code=2)
    sample = msgspec.json.decode(file.read_bytes())
    return msgspec.Raw(msgspec.json.encode(sample[0] if isinstance(sample, list) else sample))


def _sent(settings: Settings, account: OneAccount, outgoing: Outgoing) -> dict[str, Any]:
    started = time.monotonic()
    found: dict[str, Any]
    try:
        receipt = account.ask(settings, lambda provider: _send(provider, outgoing))
        found = {"sent": True, "provider_message_id": receipt.provider_message_id, "code": receipt.code}
    except DeliveryError as error:
        found = {"sent": False, "error": error_facts(error)}
    message_id = outgoing.message.message_id
    return found | {"message_id": message_id, "took_ms": round((time.monotonic() - started) * 1000)}


async def _send(provider: Provider, outgoing: Outgoing) -> Receipt:
    if not provider.accepts(outgoing.message):
        msg = "this account does not carry such a message: is --platform right?"
        raise Declined(msg, code="not_accepted")
    return await provider.send(outgoing)


def _show(found: dict[str, Any]) -> None:
    if error := found.get("error"):
        code = f" {error['code']}" if error["code"] else ""
        complain(f"{found['account']}: {error['class']}{code}: {error['text']}")
        console.print(Text(f"    in production: {error['next']}"), soft_wrap=True)
        return
    named = f", id {found['provider_message_id']}" if found["provider_message_id"] else ""
    said = f" {found['account']}: accepted in {found['took_ms']} ms, code {found['code']}{named}"
    console.print(Text.assemble(("✓", "green"), said), soft_wrap=True)
