"""Recipients: who may be reached where, built from a profile or from the event's inline contact.

This is the only module that knows that there are inline recipients, defaults of a tenant, and time zones
that a user leaves open. Rules and routing see a `Recipient` in which all of that is settled.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from tocsin.catalog.spec import TenantSpec
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.formats.profile_checks import CURES
from tocsin.model.channels import HOMES, LENT, ContactKind
from tocsin.model.event import Event
from tocsin.model.event import Recipient as InlineContact
from tocsin.model.ids import target_id
from tocsin.model.locales import resolve as resolve_locale
from tocsin.model.message import ACCOUNT, Message, Retry, Target
from tocsin.model.profile import Device, Profile
from tocsin.model.statuses import Reason
from tocsin.model.zones import resolve as resolve_zone

_PHONE = HOMES[ContactKind.PHONE]

_NO_LOCALE = f"recipient.locale: no language tag, left out: the tenant's applies; {CURES['locale']}"
_NO_ZONE = f"recipient.timezone: no zone of IANA, left out: the tenant's applies; {CURES['timezone']}"


class TenantDefaults(NamedTuple):
    """What holds for the recipients of a tenant who have not chosen otherwise. Preferences are compiled.

    `by_phone` are the channels in use that reach the phone number beside SMS. `by_account` are the contact
    points of channels whose address is the account's own: all recipients share them.
    """

    locale: str
    timezone: str
    quiet_hours: tuple[int, int] | None
    by_phone: tuple[str, ...] = ()
    by_account: tuple[ContactPoint, ...] = ()


def defaults_of(tenant: TenantSpec, used: Collection[str] = ()) -> TenantDefaults:
    """Compile the defaults of a tenant whose notifications use these channels."""
    hours = tenant.quiet_hours
    shared = [name for name, settings in tenant.channels.items() if settings.contact == "account"]
    return TenantDefaults(
        tenant.locale,
        tenant.timezone,
        (hours.start_min, hours.end_min) if hours else None,
        tuple(name for name in LENT if name in used),
        tuple(ContactPoint(name, target_id(ACCOUNT, name), ACCOUNT, ACCOUNT) for name in sorted(shared)),
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
    if message.profile_version or (retry.reason == Reason.STALE_PROFILE and _is_erased(state, message)):
        return None
    return _inline(state, (_contact_point(message),), message.locale, message.timezone, defaults)


def _is_erased(state: UserRecord, message: Message) -> bool:
    """Tell whether an inline recipient was erased since; otherwise a cancel event let a message return."""
    return not state.cancelled or message.decided_ms < (state.erased_ms or state.profile_ms)


def for_known(state: UserRecord, defaults: TenantDefaults) -> Recipient:
    """Return the recipient of a user who has a profile."""
    start_min = state.quiet_start_min
    timezone = resolve_zone(state.timezone)  # older stores hold names that are none
    return Recipient(
        state.version,
        _reachable(state.contact_points, defaults),
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
        _reachable(contact_points, defaults),
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


def _reachable(points: tuple[ContactPoint, ...], defaults: TenantDefaults) -> tuple[ContactPoint, ...]:
    """Add the contact points that a record does not keep: of channels by phone, and of whole teams."""
    if not defaults.by_phone and not defaults.by_account:
        return points
    return (*points, *lent(points, defaults.by_phone), *defaults.by_account)


def lent(points: Sequence[ContactPoint], channels: Sequence[str] = LENT) -> list[ContactPoint]:
    """Return the contact points of channels that use the phone number, where they have no own contact."""
    own = {point.channel for point in points}
    phones = [point.address for point in points if point.channel == _PHONE]
    return [
        ContactPoint(channel, target_id(phone, channel), phone)
        for channel in channels
        if channel not in own
        for phone in phones
    ]


def contact_point(recipient: Recipient, channel: str, key: str) -> ContactPoint | None:
    """Find a contact point by its key."""
    for point in recipient.contact_points:
        if point.channel == channel and point.key == key:
            return point
    return None


def profile_contact_points(user: str, profile: Profile) -> tuple[ContactPoint, ...]:
    """Return the contact points of a profile, each once: e-mail, phone, devices in order, always in-app.

    Behind them are its `contacts`, in the order of their channels' names.
    """
    found = [*_contacts(profile.email, profile.phone)]
    found += [point for device in profile.devices for point in _device(device)]
    found += [ContactPoint(HOMES[ContactKind.USER], target_id(user)), *_named(profile.contacts)]
    return tuple({(point.channel, point.key): point for point in found}.values())


def inline_contact_points(contact: InlineContact) -> tuple[ContactPoint, ...]:
    """Return the contact points of an inline recipient: there is no device, and no inbox."""
    return (*_contacts(contact.email, contact.phone), *_named(contact.contacts))


def target(point: ContactPoint, user: str) -> Target:
    """Return the target of a message to this contact point; an in-app message goes to the user."""
    return Target(point.address or user, point.platform, point.app, point.registered_ms, point.subscription)


def _contact_point(message: Message) -> ContactPoint:
    to = message.target
    key = target_id(to.address, message.channel)
    return ContactPoint(
        message.channel, key, to.address, to.platform, to.app, to.registered_ms, to.subscription
    )


def _contacts(email: str, phone: str) -> list[ContactPoint]:
    given = [(ContactKind.EMAIL, email), (ContactKind.PHONE, phone)]
    return [ContactPoint(HOMES[kind], target_id(address), address) for kind, address in given if address]


def _named(contacts: Mapping[str, str]) -> list[ContactPoint]:
    given = sorted(contacts.items()) if contacts else ()
    return [ContactPoint(channel, target_id(address, channel), address) for channel, address in given]


def _device(device: Device) -> list[ContactPoint]:
    web = device.platform == "web"
    address = (device.subscription or {}).get("endpoint", "") if web else device.token
    if not address:
        return []
    return [
        ContactPoint(
            channel=HOMES[ContactKind.BROWSER if web else ContactKind.APP],
            key=target_id(address),
            address=address,
            platform=device.platform,
            app=device.app,
            registered_ms=_ms(device.registered_at),
            subscription=device.subscription if web else None,
        )
    ]


def _ms(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0
