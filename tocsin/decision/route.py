"""Contact points: what a profile or an event's inline recipient offers on each channel."""

from datetime import datetime

from tocsin.decision.record import Point
from tocsin.model.event import Recipient
from tocsin.model.ids import target_id
from tocsin.model.message import Target
from tocsin.model.profile import Device, Profile
from tocsin.model.statuses import Channel

_EMAIL, _SMS, _INAPP = Channel.EMAIL.value, Channel.SMS.value, Channel.INAPP.value
_PUSH, _WEBPUSH = Channel.PUSH.value, Channel.WEBPUSH.value


def profile_points(user: str, profile: Profile) -> tuple[Point, ...]:
    """Contact points of a profile, each once: e-mail, phone, devices in their order, and in-app always."""
    found = [*_contacts(profile.email, profile.phone)]
    found += [point for device in profile.devices if (point := _device(device)) is not None]
    found.append(Point(_INAPP, target_id(user)))
    return tuple({(point.channel, point.key): point for point in found}.values())


def recipient_points(recipient: Recipient) -> tuple[Point, ...]:
    """Contact points of someone without a profile: no device, and no inbox to put anything in."""
    return tuple(_contacts(recipient.email, recipient.phone))


def target(point: Point, user: str) -> Target:
    """Where a message to this point goes; in-app goes to the user."""
    return Target(
        address=point.address or user,
        platform=point.platform,
        app=point.app,
        registered_ms=point.registered_ms,
        subscription=point.subscription,
    )


def _contacts(email: str, phone: str) -> list[Point]:
    given = [(_EMAIL, email), (_SMS, phone)]
    return [Point(channel, target_id(address), address) for channel, address in given if address]


def _device(device: Device) -> Point | None:
    web = device.platform == "web"
    address = (device.subscription or {}).get("endpoint", "") if web else device.token
    if not address:
        return None
    return Point(
        channel=_WEBPUSH if web else _PUSH,
        key=target_id(address),
        address=address,
        platform=device.platform,
        app=device.app,
        registered_ms=_ms(device.registered_at),
        subscription=device.subscription if web else None,
    )


def _ms(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0
