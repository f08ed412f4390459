"""A small tenant and messages for the tests of rendering."""

from collections.abc import Mapping
from typing import Any

import msgspec

from tocsin.catalog.spec import TenantSpec
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.render.renderer import Renderer

SECRET = b"sixteen bytes at least"
TENANT: dict[str, Any] = {
    "categories": {"service": {"required": True}, "news": {}},
    "locale": "en",
    "timezone": "America/New_York",
    "senders": {
        "email": "hello@skylark.example",
        "email_name": "Skylark",
        "reply_to": "help@skylark.example",
        "sms": "+15005550006",
        "unsubscribe_url": "https://skylark.example/unsubscribe/",
        "unsubscribe_email": "stop@skylark.example",
    },
    "branding": {"name": "Skylark", "color": "#1f4fd8", "address": "1 Lark Lane"},
}


def tenant(**changed: Any) -> TenantSpec:
    return TenantSpec.model_validate(TENANT | changed)


def renderer(templates: Mapping[str, str], **changed: Any) -> Renderer:
    return Renderer(templates, {"default": tenant(**changed)}, SECRET)


def message(channel: str, data: Any = None, **changed: Any) -> Message:
    fields: dict[str, Any] = {
        "message_id": "m" * 32,
        "notification_id": "n" * 32,
        "tenant": "default",
        "user": "ada",
        "channel": channel,
        "target": Target(address="ada@example.com"),
        "notification": "hello",
        "category": "news",
        "template": "hello",
        "data": msgspec.Raw(msgspec.json.encode({} if data is None else data)),
        "locale": "en-US",
        "timezone": "Europe/Berlin",
        "event_id": "1",
        "event_source": "/shop",
        "event_type": "order.shipped",
        "event_time_ms": 1_360_000_000_000,
        "received_ms": 0,
        "decided_ms": 1_000_000,
        "origin": Origin("events", 0, 0),
    }
    return Message(**fields | changed)
