"""What a user can choose: the categories of a tenant and their channels, and what holds of each now. Pure.

What holds is asked of the gate's own functions, so that the page shows what the gate will do.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tocsin.catalog.compile import CompiledTenant
from tocsin.catalog.compiled import CompiledChannel, CompiledNotification
from tocsin.catalog.spec import in_language
from tocsin.decision.preferences import default_refusal, switched_off, switched_on
from tocsin.model.channels import CHANNELS, in_order
from tocsin.model.profile import Preferences
from tocsin.model.statuses import Reason
from tocsin.model.switches import category_key, channel_key, notification_key

Cells = Mapping[str, Mapping[str, bool]]
"""Category -> channel -> whether it is on."""


class CategoryChoice(msgspec.Struct, frozen=True):
    """A category that a user can switch.

    Attributes:
        name: as in the catalog.
        title: for people.
        description: for people; may be empty.
        required: it cannot be switched off.
        channels: those that its notifications use.
        notifications: their names.
    """

    name: str
    title: str
    description: str
    required: bool
    channels: tuple[str, ...]
    notifications: tuple[str, ...]


def choices(tenant: CompiledTenant, locale: str) -> list[CategoryChoice]:
    """List the categories that have notifications, in the catalog's order."""
    found = []
    for name, category in tenant.spec.categories.items():
        own = [one for one in tenant.notifications.values() if one.category == name]
        if not own:
            continue
        used = in_order({channel.name for one in own for channel in _channels(one)})
        found.append(
            CategoryChoice(
                name,
                in_language(category.title, locale, tenant.spec.locale) or _as_title(name),
                in_language(category.description, locale, tenant.spec.locale),
                category.required,
                used,
                tuple(one.name for one in own),
            )
        )
    return found


def _channels(notification: CompiledNotification) -> Iterator[CompiledChannel]:
    yield from notification.channels
    yield from (step.channel for step in notification.steps)


def _as_title(name: str) -> str:
    words = name.replace("_", " ").replace("-", " ")
    return words[:1].upper() + words[1:]


def cells(tenant: CompiledTenant, offered: list[CategoryChoice], chosen: Preferences) -> Cells:
    """Return what of the offered categories is on; whether everything is switched off is not asked."""
    off, on = set(switched_off(chosen)), switched_on(chosen)
    return {
        one.name: {channel: one.required or _is_on(tenant, one, channel, off, on) for channel in one.channels}
        for one in offered
    }


def _is_on(tenant: CompiledTenant, one: CategoryChoice, channel: str, off: set[str], on: bytes) -> bool:
    """Return whether at least one notification of a category may use a channel."""
    if off & {category_key(one.name), category_key(one.name, channel), channel_key(channel)}:
        return False
    return any(
        not off & {notification_key(notification.name), notification_key(notification.name, channel)}
        and default_refusal(notification.off_by_default, on) is Reason.NONE
        and default_refusal(used.off_by_default, on) is Reason.NONE
        for notification, used in _uses(tenant, one, channel)
    )


def _uses(
    tenant: CompiledTenant, one: CategoryChoice, channel: str
) -> Iterator[tuple[CompiledNotification, CompiledChannel]]:
    own = (tenant.notifications[name] for name in one.notifications)
    return ((each, used) for each in own for used in _channels(each) if used.name == channel)


def with_cells(
    tenant: CompiledTenant, offered: list[CategoryChoice], chosen: Preferences, wanted: Cells
) -> Preferences:
    """Set cells: each is written, so that no default counts. A category without any is off as a whole.

    A channel that is switched off as a whole is on again where one of its cells is wanted. Where no
    notification of a wanted cell could be sent, all of them are switched on.
    """
    categories = dict(chosen.categories)
    for name, row in wanted.items():
        categories[name] = _row(chosen.categories.get(name), row)
    used = {channel for row in wanted.values() for channel, on in row.items() if on}
    channels = {name: on for name, on in chosen.channels.items() if on or name not in used}
    found = msgspec.structs.replace(chosen, categories=categories, channels=channels)
    notifications = dict(found.notifications)
    for one, channel in _still_off(offered, wanted, cells(tenant, offered, found)):
        for notification, _ in _uses(tenant, one, channel):
            _switch_on(notifications, notification.name, channel)
    return msgspec.structs.replace(found, notifications=notifications)


def _still_off(
    offered: list[CategoryChoice], wanted: Cells, now: Cells
) -> Iterator[tuple[CategoryChoice, str]]:
    for one in offered:
        row = wanted.get(one.name, {})
        yield from ((one, channel) for channel, on in row.items() if on and not now[one.name][channel])


def _switch_on(notifications: dict[str, bool | dict[str, bool]], name: str, channel: str) -> None:
    before = notifications.get(name)
    notifications[name] = {**(before if isinstance(before, dict) else {}), channel: True}


def _row(before: bool | Mapping[str, bool] | None, wanted: Mapping[str, bool]) -> bool | dict[str, bool]:
    if not any(wanted.values()):
        return False
    others = (
        {name: on for name, on in before.items() if name not in wanted} if isinstance(before, Mapping) else {}
    )
    return {**others, **wanted}


def turned_on(before: Preferences, after: Preferences) -> list[str]:
    """Return the categories that are off before and not after; `*` for everything."""
    found = [_ALL] if after.enabled and not before.enabled else []
    return found + [
        name
        for name, switch in before.categories.items()
        if _is_off(switch) and not _is_off(after.categories.get(name, True))
    ]


_ALL: Final = "*"


def _is_off(switch: bool | Mapping[str, bool]) -> bool:
    return not switch if isinstance(switch, bool) else bool(switch) and not any(switch.values())


def known_channels(tenant: CompiledTenant) -> tuple[str, ...]:
    """List the channels that a preference may name: those that there are, and the tenant's own."""
    return in_order({*map(str, CHANNELS), *tenant.spec.channels})
