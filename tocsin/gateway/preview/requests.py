"""What the page asks, and what it is told: pure but for the samples, which are read from the folder."""

from collections.abc import Iterator
from typing import Any

import msgspec

from tocsin.errors import PreviewError
from tocsin.model.zones import resolve as zone_of
from tocsin.render.preview import Asked, Preview, Previewer, asked_rows
from tocsin.render.sample_message import SAMPLE_USER
from tocsin.render.shown import shown
from tocsin.render.uses import Use


class PreviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notification with data. Without a channel or a locale, all of them.

    Attributes:
        notification: its name.
        tenant: whose catalog.
        channel: where it goes.
        locale: the recipient's language.
        template: one that the notification uses; empty for the first.
        digest: the digest of it instead of a single one.
        data: of the event; the template's first sample unless given.
        user: the recipient's id.
        timezone: the recipient's; empty for the tenant's.
    """

    notification: str
    tenant: str = ""
    channel: str = ""
    locale: str = ""
    template: str = ""
    digest: bool = False
    data: Any = None
    user: str = ""
    timezone: str = ""


def use_of(previewer: Previewer, request: PreviewRequest) -> Use:
    """Choose the template that is asked for.

    Raises:
        PreviewError: the notification is not written so.
    """
    uses = previewer.uses(request.tenant, request.notification)
    fitting = [
        use for use in uses if request.template in ("", use.template) and (use.digest or not request.digest)
    ]
    exact = [use for use in fitting if use.digest == request.digest]
    if not fitting:
        there = ", ".join(f"{use.template}{' (digest)' if use.digest else ''}" for use in uses)
        msg = f"{request.notification} is not written so; it is written by: {there}"
        raise PreviewError(msg, "template", f"name one of: {there}")
    return (exact or fitting)[0]


def asked_of(previewer: Previewer, request: PreviewRequest) -> Asked:
    """Read a request.

    Raises:
        PreviewError: it names something that is not there.
    """
    if request.timezone and not zone_of(request.timezone):
        msg = f"there is no time zone {request.timezone}; name one of IANA, like Europe/Vienna"
        raise PreviewError(msg, "timezone", "name one of IANA, like Europe/Vienna")
    use = use_of(previewer, request)
    data = previewer.samples(request.tenant, use)[0] if request.data is None else request.data
    return Asked(
        request.tenant,
        request.notification,
        request.channel,
        request.locale,
        use,
        data,
        request.user or SAMPLE_USER,
        request.timezone,
    )


def one(previewer: Previewer, request: PreviewRequest) -> Preview:
    """Render the one preview that is asked for; of the first channel and language unless named.

    Raises:
        PreviewError: the request names something that is not there.
    """
    return previewer.preview(_all_asked(previewer, request)[0])


def every(previewer: Previewer, request: PreviewRequest) -> dict[str, Any]:
    """Render all previews that are asked for; names the data that none of them uses.

    Raises:
        PreviewError: the request names something that is not there.
    """
    asked = _all_asked(previewer, request)
    return {"previews": [shown(previewer.preview(each)) for each in asked], "unused": previewer.unused(asked)}


def rows(previewer: Previewer, request: PreviewRequest) -> dict[str, Any]:
    """Do what `every` does, without the contents.

    Raises:
        PreviewError: as `every`.
    """
    asked = _all_asked(previewer, request)
    found = [_summary(previewer.preview(each)) for each in asked]
    return {"rows": found, "unused": previewer.unused(asked)}


def _all_asked(previewer: Previewer, request: PreviewRequest) -> list[Asked]:
    channels = [request.channel] if request.channel else ()
    locales = [request.locale] if request.locale else ()
    return asked_rows(previewer, asked_of(previewer, request), channels, locales)


def _summary(preview: Preview) -> dict[str, Any]:
    return {name: value for name, value in shown(preview).items() if name not in ("content", "seen", "files")}


def contents(previewer: Previewer) -> list[dict[str, Any]]:
    """List what can be shown: tenants, their notifications, and how each is written."""
    return [
        {
            "name": tenant.name,
            "locale": tenant.spec.locale,
            "timezone": tenant.spec.timezone,
            "notifications": list(_notifications(previewer, tenant.name)),
        }
        for tenant in previewer.catalog.tenants.values()
    ]


def _notifications(previewer: Previewer, tenant: str) -> Iterator[dict[str, Any]]:
    for name, notification in sorted(previewer.tenant(tenant).notifications.items()):
        yield {
            "name": name,
            "category": notification.category,
            "priority": notification.priority,
            "channels": previewer.channels(tenant, name),
            "uses": [
                {
                    "template": use.template,
                    "digest": use.digest,
                    "locales": previewer.locales(tenant, use),
                }
                for use in previewer.uses(tenant, name)
            ],
        }
