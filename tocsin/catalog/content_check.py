"""Finds mistakes in notifications and tenants that single fields do not show: names that lead nowhere."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from tocsin.catalog.channels import channels_for, without_channel
from tocsin.catalog.close_names import cure, no_template
from tocsin.catalog.digests import digest_problems
from tocsin.catalog.escalation import escalation_mistakes
from tocsin.catalog.expression_check import expression_problems
from tocsin.catalog.files import Document, Problem
from tocsin.catalog.hours import window_problems
from tocsin.catalog.limit_check import idle_overflow
from tocsin.catalog.schedule import time_problems
from tocsin.catalog.segments import segment_problems
from tocsin.catalog.sms import sms_problems
from tocsin.catalog.spec import NO_TENANT, NotificationSpec, TenantSpec
from tocsin.catalog.tracking import tracking_problems
from tocsin.catalog.variants import variant_mistakes
from tocsin.model.channels import unknown_channel
from tocsin.model.event import CONTROL

_CATEGORY: Final = re.compile(r"(?!\s)[^:*]{1,100}(?<!\s)")
"""An empty name and `*` stand for all categories in opt-outs, and `:` divides a category from a channel."""
_CATEGORY_CURE: Final = "write 1 to 100 characters without `:` and `*`, and no blank around"
_SHOWN: Final = 60


class Content(Protocol):
    """What a notification may refer to."""

    @property
    def tenant_names(self) -> Collection[str]:
        """Names of all tenants, those with mistakes included."""
        ...

    @property
    def tenants(self) -> Mapping[str, TenantSpec]:
        """The tenants without mistakes in their own file."""
        ...

    @property
    def templates(self) -> set[str]:
        """Names of template folders."""
        ...

    def replaced(self, tenant: str) -> Collection[str]:
        """Name the shared notifications that a tenant replaces or takes away."""
        ...


class OwnContent(NamedTuple):
    """What a notification of one tenant alone may refer to."""

    tenant_names: set[str]
    tenants: dict[str, TenantSpec]
    templates: set[str]

    def replaced(self, tenant: str) -> Collection[str]:
        """Nothing replaces the tenant's own."""
        return ()


def tenant_problems(document: Document, spec: TenantSpec) -> Iterator[Problem]:
    """Find what is wrong between the fields of a tenant."""
    for name, category in spec.categories.items():
        if not _CATEGORY.fullmatch(name) or not name.isprintable():
            text = f"`{name[:_SHOWN]}` is no category, {_CATEGORY_CURE}"
            yield document.problem(("categories", name), text)
        if category.required and category.marketing:
            text = f"category `{name}` is required and marketing, choose one"
            yield document.problem(("categories", name), text)
    yield from segment_problems(document, spec.segments)
    marketing = {name: category.marketing for name, category in spec.categories.items()}
    yield from sms_problems(document, spec.sms, marketing, spec.locale)
    yield from tracking_problems(document, spec.tracking, spec.categories)


def notification_problems(
    document: Document, name: str, notice: NotificationSpec, known: Content
) -> Iterator[Problem]:
    """Find what is wrong between the fields of a notification, and with the names in them.

    Args:
        document: the file, which knows its lines.
        name: of the notification.
        notice: what is written.
        known: what it may refer to.
    """
    users = _users(name, notice, known)
    used = {use.channel for use in notice.channels}.union(*(step.channels for step in notice.escalate))
    yield from _cause_problems(document, name, notice, known)
    yield from _category_problems(document, name, notice, users)
    yield from _template_problems(document, name, notice, known)
    yield from _channel_problems(document, name, notice, users)
    yield from _idle_channel_limits(document, name, notice, used)
    yield from time_problems(document, name, notice)
    yield from digest_problems(document, name, notice.digest, notice.priority, known.templates)
    yield from idle_overflow(document, name, notice, users)
    yield from window_problems(document, name, notice, used, users)
    yield from expression_problems(document, name, notice)


def _users(name: str, notice: NotificationSpec, known: Content) -> dict[str, TenantSpec]:
    """Return the tenants that have a notification as it is written here."""
    return {
        tenant: spec
        for tenant, spec in known.tenants.items()
        if (notice.tenants is None or tenant in notice.tenants) and name not in known.replaced(tenant)
    }


def _cause_problems(
    document: Document, name: str, notice: NotificationSpec, known: Content
) -> Iterator[Problem]:
    """Look at the tenants and the type of event that a notification is for."""
    if notice.tenants == []:
        yield document.problem((name, "tenants"), NO_TENANT)
    for tenant in notice.tenants or ():
        if tenant not in known.tenant_names:
            other = cure(tenant, known.tenant_names, f"add tenants/{tenant}.yaml or remove it here")
            text = f"no tenant `{tenant}`, {other}"
            yield document.problem((name, "tenants"), text)
    if notice.on.type.startswith(CONTROL):
        text = f"types that begin with `{CONTROL}` are for control events, choose another one"
        yield document.problem((name, "on", "type"), text)


def _category_problems(
    document: Document, name: str, notice: NotificationSpec, users: Mapping[str, TenantSpec]
) -> Iterator[Problem]:
    for tenant, spec in users.items():
        category = spec.categories.get(notice.category)
        if category is None:
            other = cure(notice.category, spec.categories, "add it there or set `tenants`")
            text = f"tenant `{tenant}` has no category `{notice.category}`, {other}"
            yield document.problem((name, "category"), text)._replace(tenant=tenant)
        elif not category.marketing:
            yield from _idle_marketing_limits(document, name, notice)


def _idle_marketing_limits(document: Document, name: str, notice: NotificationSpec) -> Iterator[Problem]:
    for at, limit in enumerate(notice.limits):
        if limit.scope == "marketing":
            text = f"category `{notice.category}` is not marketing, so this limit never applies: remove it"
            yield document.problem((name, "limits", at), text)


def _template_problems(
    document: Document, name: str, notice: NotificationSpec, known: Content
) -> Iterator[Problem]:
    template = notice.template or name
    if template not in known.templates:
        yield document.problem((name, "template"), no_template(template, known.templates))
    for place, text in variant_mistakes(notice.variants, known.templates):
        yield document.problem((name, "variants", *place), text)


def _channel_problems(
    document: Document, name: str, notice: NotificationSpec, users: Mapping[str, TenantSpec]
) -> Iterator[Problem]:
    """Look at the channels that go out first, and at the later steps."""
    channels = [use.channel for use in notice.channels]
    there = channels_for(users.values())
    for index, channel in enumerate(channels):
        if channel not in there:
            yield document.problem((name, "channels", index), unknown_channel(channel, there))
        for tenant in sorted(without_channel(channel, there, users)):
            text = f"tenant `{tenant}` has no channel `{channel}`, add it there or set `tenants`"
            yield document.problem((name, "channels", index), text)._replace(tenant=tenant)
        if channel in channels[:index]:
            yield document.problem((name, "channels", index), f"`{channel}` appears twice, remove one")
    for mistake in escalation_mistakes(channels, notice.escalate, notice.sequence, notice.expires_ms, there):
        yield document.problem((name, *mistake.where), mistake.text)


def _idle_channel_limits(
    document: Document, name: str, notice: NotificationSpec, used: Collection[str]
) -> Iterator[Problem]:
    for at, limit in enumerate(notice.limits):
        if limit.channel is not None and limit.channel not in used:
            text = f"`{limit.channel}` is none of its channels, so this limit never applies: remove it"
            yield document.problem((name, "limits", at), text)
