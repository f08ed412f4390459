"""Builds a message as the gate would, with sample data and a made-up recipient."""

from typing import Any, Final

import msgspec

from tocsin.catalog.compiled import CompiledNotification, CompiledTenant
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.render.uses import Use

SAMPLE_USER: Final = "sample"


def sample_message(
    tenant: CompiledTenant,
    notification: CompiledNotification,
    channel: str,
    locale: str,
    sample: Any,
    use: Use,
    *,
    user: str = SAMPLE_USER,
    timezone: str = "",
) -> Message:
    """Build a message that can be rendered, and never sent.

    Args:
        tenant: whose notification it is.
        notification: what is sent.
        channel: where.
        locale: the recipient's language.
        sample: the `data` of the event.
        use: the template, and whether it writes a digest.
        user: the recipient's id.
        timezone: the recipient's; empty for the tenant's.
    """
    return msgspec.structs.replace(
        notification.message,
        message_id="0" * 32,
        notification_id="0" * 32,
        user=user,
        target=Target(""),
        channel=channel,
        template=use.template,
        digest=use.digest,
        data=msgspec.Raw(msgspec.json.encode(sample)),
        locale=locale,
        timezone=timezone or tenant.spec.timezone,
        event_id="sample",
        event_source="/sample",
        event_type="sample",
        origin=Origin("events", 0, 0),
    )
