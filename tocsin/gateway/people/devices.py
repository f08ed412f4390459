"""`/v1/users/{id}/devices`: registers the app installations and browsers of a user."""

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.people import texts
from tocsin.gateway.people.entry import Change, Entry
from tocsin.gateway.people.people import audit_call, changes_of, known, user_of
from tocsin.gateway.people.view import AWAY, away
from tocsin.gateway.problems import Problem, of_field
from tocsin.model.ids import target_id
from tocsin.model.profile import Device

MOST: Final = 32
"""Devices of a user; beyond it the one that was registered first is dropped."""
_FRESH: Final = timedelta(days=1)
"""A registration is not renewed more often: apps register at each start."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_:.\-/+=%]{16,4096}")
_POINT_BYTES: Final = 65
_AUTH_BYTES: Final = 16
_UNCOMPRESSED: Final = 4


class Subscription(msgspec.Struct, forbid_unknown_fields=True):
    """A push subscription as browsers give it: `JSON.stringify(subscription)`."""

    endpoint: str
    keys: dict[str, str] = {}
    p256dh: str = ""
    auth: str = ""
    expirationTime: float | None = None


class DeviceBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A device to register.

    Attributes:
        platform: `ios` and `android` have a token, `web` a subscription.
        token: of APNs or FCM.
        subscription: of a browser.
        app: the app's id, where a tenant has several.
    """

    platform: Literal["ios", "android", "web"]
    token: str = ""
    subscription: Subscription | None = None
    app: str = ""


class DeviceAnswer(msgspec.Struct, omit_defaults=True):
    """A device without its token; outcomes name it by the same id as `target`."""

    id: str
    platform: str
    app: str = ""
    registered_at: datetime | None = None


class DevicesAnswer(msgspec.Struct):
    """The devices of a user."""

    devices: list[DeviceAnswer]


async def list_devices(call: Call) -> Answer:
    """List the devices of a user."""
    entry = known(await changes_of(call.gateway).look(f"{call.tenant}/{user_of(call)}"))
    return Answer(200, DevicesAnswer([_shown(device) for device in texts.read(entry.text).devices]))


async def register(call: Call) -> Answer:
    """Register a device, or renew it; who had it before has it no more."""
    user = user_of(call)
    device = _checked(await call.body(DeviceBody), call.now_ms)
    owner, changes, address = f"{call.tenant}/{user}", changes_of(call.gateway), address_of(device)
    known(await changes.look(owner))
    await _leave_former(call, user, address)
    changed = await changes.change(
        owner,
        lambda entry: _registering(known(entry), device),
        [audit_call(call, user, "device registered", device=target_id(address), platform=device.platform)],
    )
    with suppress(AWAY):  # the record, once it is read, says the same
        await changes.view.move_devices(call.tenant, (), {address: user})
    was_there = address in map(address_of, texts.read(changed.before.text).devices)
    now = next(one for one in texts.read(changed.after.text).devices if address_of(one) == address)
    return Answer(200 if was_there else 201, _shown(now))


async def _leave_former(call: Call, user: str, address: str) -> None:
    """Take a device from the user who had it, before it is registered anew: never do two users have it."""
    changes = changes_of(call.gateway)
    try:
        (former,) = await changes.view.owners_of(call.tenant, [address])
    except AWAY:
        raise away() from None
    if former and former != user:
        await changes.change(
            f"{call.tenant}/{former}",
            lambda entry: _without(entry, lambda device: address_of(device) == address),
            [audit_call(call, former, "device left", device=target_id(address))],
        )


async def remove(call: Call) -> Answer:
    """Remove a device."""
    user, device_id = user_of(call), call.path["device"]
    owner, changes = f"{call.tenant}/{user}", changes_of(call.gateway)

    def edit(entry: Entry) -> Change | None:
        return _without(known(entry), lambda device: target_id(address_of(device)) == device_id)

    audited = audit_call(call, user, "device removed", device=device_id)
    changed = await changes.change(owner, edit, [audited])
    if changed.after is changed.before:
        raise Problem(404, "the user has no device of this id; GET /v1/users/{id}/devices lists them")
    before = texts.read(changed.before.text).devices
    gone = [(address_of(one), user) for one in before if target_id(address_of(one)) == device_id]
    with suppress(AWAY):
        await changes.view.move_devices(call.tenant, gone, {})
    return Answer(204)


def _registering(entry: Entry, device: Device) -> Change | None:
    """Put a device into a profile; one that is there and was registered lately stays as it is."""
    profile, address = texts.read(entry.text), address_of(device)
    there = next((one for one in profile.devices if address_of(one) == address), None)
    blocked = any(one.address == address for one in profile.suppressed)
    if there is not None and not blocked and _is_fresh(there, device):
        return None
    others = [one for one in profile.devices if address_of(one) != address]
    return _with_devices(entry, [*sorted(others, key=_since)[-(MOST - 1) :], device])


def _is_fresh(there: Device, device: Device) -> bool:
    assert device.registered_at is not None, "it is being registered"
    same = msgspec.structs.replace(there, registered_at=device.registered_at) == device
    return same and there.registered_at is not None and device.registered_at - there.registered_at < _FRESH


def _since(device: Device) -> datetime:
    return device.registered_at or datetime.fromtimestamp(0, UTC)


def _without(entry: Entry, is_it: Any) -> Change | None:
    devices = texts.read(entry.text).devices
    kept = [device for device in devices if not is_it(device)]
    return None if len(kept) == len(devices) else _with_devices(entry, kept)


def _with_devices(entry: Entry, devices: Sequence[Device]) -> Change:
    return Change(texts.with_fields(entry.text, {"devices": devices or None}), ("devices",))


def address_of(device: Device) -> str:
    """Return what a device is reached by."""
    return (device.subscription or {}).get("endpoint", "") if device.platform == "web" else device.token


def _shown(device: Device) -> DeviceAnswer:
    return DeviceAnswer(target_id(address_of(device)), device.platform, device.app, device.registered_at)


def _checked(body: DeviceBody, now_ms: int) -> Device:
    """Make the device of a body.

    Raises:
        Problem: 422.
    """
    registered_at = datetime.fromtimestamp(now_ms // 1000, UTC)
    if body.platform == "web":
        if body.token or body.subscription is None:
            msg = "subscription"
            raise of_field(msg, "missing", "a browser has a subscription, and no token")
        return Device("web", "", _subscription(body.subscription), body.app, registered_at)
    if body.subscription is not None or not body.token:
        msg = "token"
        raise of_field(msg, "missing", f"a device of {body.platform} has a token, and no subscription")
    if not _TOKEN.fullmatch(body.token):
        msg = "token"
        raise of_field(
            msg, "a text", "send the token as APNs or FCM gave it: 16 characters or more, no blanks"
        )
    return Device(body.platform, body.token, None, body.app, registered_at)


def _subscription(given: Subscription) -> dict[str, str]:
    keys = {
        "p256dh": given.p256dh or given.keys.get("p256dh", ""),
        "auth": given.auth or given.keys.get("auth", ""),
    }
    if not _is_endpoint(given.endpoint):
        msg = "subscription.endpoint"
        raise of_field(msg, "a text", "send the https address that the browser gave")
    point, auth = _bytes(keys["p256dh"]), _bytes(keys["auth"])
    if len(point) != _POINT_BYTES or point[0] != _UNCOMPRESSED:
        msg = "subscription.keys.p256dh"
        raise of_field(msg, "a text", "send the 65 bytes of the browser's key in base64url")
    if len(auth) != _AUTH_BYTES:
        msg = "subscription.keys.auth"
        raise of_field(msg, "a text", "send the 16 bytes of the browser's secret in base64url")
    return {"endpoint": given.endpoint, **keys}


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme == "https" and bool(parts.hostname) and url.isprintable() and parts.username is None
        )
    except ValueError:
        return False


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        return b""


_PATH: Final = "/v1/users/{id}/devices"
_READ, _WRITE = "users:read", "users:write"
ENDPOINTS: Final = (
    Endpoint("GET", _PATH, list_devices, "List the devices of a user.", _READ, answers={200: DevicesAnswer}),
    Endpoint(
        "POST",
        _PATH,
        register,
        "Register a device of a user, or renew it; a token belongs to one user.",
        _WRITE,
        body=DeviceBody,
        answers={200: DeviceAnswer, 201: DeviceAnswer},
        example={"platform": "android", "token": "d7Qk:APA91bF0example", "app": "example.skylark"},
        max_bytes=16_384,
    ),
    Endpoint("DELETE", f"{_PATH}/{{device}}", remove, "Remove a device.", _WRITE, answers={204: None}),
)
