"""Recipients: who may be reached where, built from a profile or from the event's inline contact.

This is the only module that knows that there are inline recipients, defaults of a tenant, and time zones
that a user leaves open. Rules and routing see a `Recipient` in which all of that is settled.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from tocsin.catalog.spec import TenantSpec
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.formats.profiles import CURES
from tocsin.model.channels import CHANNELS, ContactKind
from tocsin.model.event import Event
from tocsin.model.event import Recipient as InlineContact
from tocsin.model.ids import target_id
from tocsin.model.locales import resolve as resolve_locale
from tocsin.model.message import Message, Retry, Target
from tocsin.model.profile import Device, Profile
from tocsin.model.statuses import Reason
from tocsin.model.zones import resolve as resolve_zone

_CHANNELS_OF: Mapping[ContactKind, tuple[str, ...]] = {
    kind: tuple(name.value for name, spec in CHANNELS.items() if spec.contacts is kind)
    for kind in ContactKind
}

_NO_LOCALE = f"recipient.locale: no language tag, left out: the tenant's applies; {CURES['locale']}"
_NO_ZONE = f"recipient.timezone: no zone of IANA, left out: the tenant's applies; {CURES['timezone']}"


class TenantDefaults(NamedTuple):
    """What holds for the recipients of a tenant who have not chosen otherwise. Preferences are compiled."""

    locale: str
    timezone: str
    quiet_hours: tuple[int, int] | None


def defaults_of(tenant: TenantSpec) -> TenantDefaults:
    """Compile the defaults of a tenant."""
    hours = tenant.quiet_hours
    return TenantDefaults(
        tenant.locale,
        tenant.timezone,
        (hours.start_min, hours.end_min) if hours else None,
    )


class Recipient(msgspec.Struct, frozen=True, gc=False):
    """A person as one decision sees him.

    Attributes:
        version: version of the profile; 0 without one.
        contact_points: in order of preference.
        locale: the recipient's, or else the tenant's; `own_locale` is empty where he has not chosen.
        timezone: the recipient's, or else the tenant's; `own_timezone` is empty where he has not chosen.
        quiet_hours: start and end in minutes of the day, the recipient's or else the tenant's; None for none.
        switched_off: keys of `tocsin.model.switches` that the recipient has turned off.
        snoozed_until_ms: nothing is wanted before; 0 without a snooze.
        blocked: key of a refused contact point -> the time of the refusal; negative once it was lifted.
        faults: what was left out of an inline recipient, each with field and cure; empty for nothing.
        switched_on: digests of what the recipient has turned on; None where `switched_off` holds the tenant's
            defaults, too.
        attributes: free fields of the profile, as JSON; empty for none.
    """

    version: int
    contact_points: tuple[ContactPoint, ...]
    own_locale: str
    own_timezone: str
    locale: str
    timezone: str
    quiet_hours: tuple[int, int] | None
    switched_off: tuple[str, ...]
    snoozed_until_ms: int
    blocked: Mapping[str, int]
    faults: str = ""
    switched_on: bytes | None = b""
    attributes: bytes = b""


def for_event(state: UserRecord, event: Event, defaults: TenantDefaults) -> Recipient | None:
    """Return the recipient of an event; a profile wins over an inline contact. None if there is neither."""
    if state.version:
        return for_known(state, defaults)
    inline = event.recipient
    if inline is None:
        return None
    return _inline(state, inline_contact_points(inline), inline.locale, inline.timezone, defaults)


def for_returned(state: UserRecord, retry: Retry, defaults: TenantDefaults) -> Recipient | None:
    """Return the recipient of a returned message; None if the user was erased since it was admitted."""
    message = retry.message
    if state.version:
        return for_known(state, defaults)
    if message.profile_version or retry.reason == Reason.STALE_PROFILE:
        return None
    return _inline(state, (_contact_point(message),), message.locale, message.timezone, defaults)


def for_known(state: UserRecord, defaults: TenantDefaults) -> Recipient:
    """Return the recipient of a user who has a profile."""
    start_min = state.quiet_start_min
    timezone = resolve_zone(state.timezone)  # older stores hold names that are none
    return Recipient(
        state.version,
        state.contact_points,
        state.locale,
        timezone,
        state.locale or defaults.locale,
        timezone or defaults.timezone,
        (start_min, state.quiet_end_min) if start_min >= 0 else defaults.quiet_hours,
        (*state.switched_off, *state.opt_outs) if state.opt_outs else state.switched_off,
        state.snoozed_until_ms,
        state.blocked,
        "",
        state.switched_on,
        state.attributes,
    )


def _inline(
    state: UserRecord,
    contact_points: tuple[ContactPoint, ...],
    locale: str,
    timezone: str,
    defaults: TenantDefaults,
) -> Recipient:
    tag, zone = resolve_locale(locale), resolve_zone(timezone)
    faults = [
        *([_NO_LOCALE] if locale and not tag else ()),
        *([_NO_ZONE] if timezone and not zone else ()),
    ]
    return Recipient(
        0,
        contact_points,
        tag,
        zone,
        tag or defaults.locale,
        zone or defaults.timezone,
        defaults.quiet_hours,
        state.opt_outs,
        0,
        state.blocked,
        " | ".join(faults),
    )


def contact_point(recipient: Recipient, channel: str, key: str) -> ContactPoint | None:
    """Find a contact point by its key."""
    for point in recipient.contact_points:
        if point.channel == channel and point.key == key:
            return point
    return None


def profile_contact_points(user: str, profile: Profile) -> tuple[ContactPoint, ...]:
    """Return the contact points of a profile, each once: e-mail, phone, devices in order, always in-app."""
    found = [*_contacts(profile.email, profile.phone)]
    found += [point for device in profile.devices for point in _device(device)]
    found += [ContactPoint(channel, target_id(user)) for channel in _CHANNELS_OF[ContactKind.USER]]
    return tuple({(point.channel, point.key): point for point in found}.values())


def inline_contact_points(contact: InlineContact) -> tuple[ContactPoint, ...]:
    """Return the contact points of an inline recipient: there is no device, and no inbox."""
    return tuple(_contacts(contact.email, contact.phone))


def target(point: ContactPoint, user: str) -> Target:
    """Return the target of a message to this contact point; an in-app message goes to the user."""
    return Target(point.address or user, point.platform, point.app, point.registered_ms, point.subscription)


def _contact_point(message: Message) -> ContactPoint:
    to = message.target
    key = target_id(to.address)
    return ContactPoint(
        message.channel, key, to.address, to.platform, to.app, to.registered_ms, to.subscription
    )


def _contacts(email: str, phone: str) -> list[ContactPoint]:
    given = [(ContactKind.EMAIL, email), (ContactKind.PHONE, phone)]
    return [
        ContactPoint(channel, target_id(address), address)
        for kind, address in given
        if address
        for channel in _CHANNELS_OF[kind]
    ]


def _device(device: Device) -> list[ContactPoint]:
    web = device.platform == "web"
    address = (device.subscription or {}).get("endpoint", "") if web else device.token
    if not address:
        return []
    return [
        ContactPoint(
            channel=channel,
            key=target_id(address),
            address=address,
            platform=device.platform,
            app=device.app,
            registered_ms=_ms(device.registered_at),
            subscription=device.subscription if web else None,
        )
        for channel in _CHANNELS_OF[ContactKind.BROWSER if web else ContactKind.APP]
    ]


def _ms(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0
