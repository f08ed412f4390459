"""Corners that the crowd seldom meets: full bounds, broken records, forwarding, a catalog that changes."""

from collections.abc import Iterator

import msgspec

from tests.golden.answers import HOUR, MINUTE, SECOND, receipt
from tests.golden.crowd import START_MS, event, key_of, profile, rfc3339
from tests.golden.recorder import Planned

RELOAD_MS = START_MS + 30 * HOUR
_EVENING_MS = START_MS + 12 * HOUR  # 23:00 in Berlin
_BROKEN_MS = START_MS + 2 * HOUR
_TOKEN_AGAIN = "0d3b9cb57fff2621"  # the target id of the device's token
_ORIGIN = ("tocsin-origin", b"events/3/77")


def corners() -> Iterator[Planned]:
    """Make them all."""
    yield from _floods()
    yield from _busy()
    yield from _waiting()
    yield from _broken_events()
    yield from _broken_others()
    yield from _binary()
    yield from _reused_id()
    yield from _registered_again()
    yield from _careless_versions()
    yield from _changing()


def _floods() -> Iterator[Planned]:
    """Hold more than the bound on held things, and block more than the bound on blocks."""
    yield profile(START_MS, "lab", "flood", email="flood@mail.example", version=1)
    for number in range(15):
        yield event(_EVENING_MS + number * SECOND, "lab", "flood", "daytime", f"flood-{number}")
    for number in range(4):
        at_ms = START_MS + (20 + number) * HOUR
        user = key_of("lab", "blocked")
        yield Planned(*receipt(user, at_ms, "gone", target=f"target-{number}", receipt_id=f"r{number}"))
    yield Planned(
        *receipt(key_of("lab", "blocked"), START_MS + HOUR, "bounced", reason="permanent", target="t")
    )


def _busy() -> Iterator[Planned]:
    """Send much to a few users who allow it: limits that hold and drop, dedup keys, a day's end."""
    for number in range(8):
        user, tenant = f"busy-{number}", ("lab", "free")[number % 2]
        yield profile(START_MS, tenant, user, email=f"{user}@mail.example", phone="+12125550100", version=1)
        for turn in range(16):
            at_ms = START_MS + (turn * (3 + number) + number * 40) * MINUTE
            kind = ("drip", "once", "few", "offer.busy")[(turn + turn // 4 * number) % 4]
            data = {"key": f"key-{turn % 3}"}
            yield event(at_ms, tenant, user, kind, f"{user}-{turn}", data=data)


def _waiting() -> Iterator[Planned]:
    """Send to unknown users: too many, too large, given up, and erased while they wait."""
    for number in range(5):
        yield event(START_MS + number, "lab", "unknown", "notice", f"unknown-{number}")
    large = {"text": "x" * 1500}
    for number in range(2):
        yield event(START_MS + number, "lab", "wordy", "notice", f"wordy-{number}", data=large)
    yield event(START_MS, "lab", "forgotten", "notice", "forgotten")
    yield Planned(START_MS + SECOND, "profiles", key_of("lab", "forgotten"), None)
    again = event(START_MS + MINUTE, "lab", "unknown", "notice", "unknown-0")
    yield again
    yield profile(START_MS + MINUTE + SECOND, "lab", "unknown", email="known@mail.example", version=1)


def _broken_events() -> Iterator[Planned]:
    whole = event(_BROKEN_MS, "lab", "user-01", "notice", "broken")
    document = msgspec.json.decode(whole.value or b"")
    yield whole._replace(value=(whole.value or b"")[:40])
    yield whole._replace(value=(whole.value or b"").replace(b"user-01", b"user-\xff"))
    yield whole._replace(value=None)
    changes = (
        {"id": 17}, {"subject": None}, {"time": "1969-12-31T23:59:59Z"}, {"time": "yesterday"},
        {"time": "2026-03-01T00:00:00Z"}, {"time": "2026-04-20T00:00:00Z"}, {"tenant": "nobody"},
        {"tenant": "a/b"}, {"data": {"text": "x" * 30_000}}, {"specversion": "2.0"}, {"data_base64": "eA=="},
        {"recipient": {"email": "no address"}}, {"tocsinsendat": "soon"},
    )  # fmt: skip
    for change in changes:
        yield whole._replace(value=msgspec.json.encode(document | change))
    guest = {"email": "only.guest@mail.example", "timezone": "Asia/Tokyo", "locale": "de"}
    for number in range(6):
        at_ms = START_MS + number * 4 * HOUR
        one = event(at_ms, "lab", "", "notice", f"guest-{number}", subject=None, recipient=guest)
        yield one._replace(key=b"guests", partition=number % 4)
    yield event(_BROKEN_MS, "lab", "user-02", "notice", "loop")._replace(headers=(_ORIGIN,), partition=0)
    yield event(_BROKEN_MS, "lab", "user-02", "notice", "loop")._replace(headers=(_ORIGIN,), partition=1)
    mark = (("tocsin-origin", b"nowhere"),)
    yield event(_BROKEN_MS, "lab", "user-02", "notice", "mark")._replace(headers=mark)


def _broken_others() -> Iterator[Planned]:
    """Break profiles, receipts and retries."""
    key = key_of("lab", "user-02")
    for value in (b'{"email": "no address"}', b'{"timezone": "Mars/Olympus"}', b"[", b'{"version": -1}'):
        yield Planned(_BROKEN_MS, "profiles", key, value)
    yield Planned(_BROKEN_MS, "profiles", b"no-slash", b"{}")
    yield Planned(*receipt(key, _BROKEN_MS, "waved", target="t"))
    yield Planned(_BROKEN_MS, "receipts", key, b'{"tenant": "lab"}')
    yield Planned(_BROKEN_MS, "retries", key, b'{"message": {}}')
    yield Planned(_BROKEN_MS, "retries", key, None)


def _binary() -> Iterator[Planned]:
    """Send events in binary mode."""
    for number in range(3):
        at_ms = START_MS + HOUR + number * 5 * MINUTE
        names = {
            "specversion": "1.0", "id": f"binary-{number}", "source": "/golden", "type": "update",
            "subject": "user-02", "tenant": "lab", "time": rfc3339(at_ms),
        }  # fmt: skip
        headers = tuple((f"ce_{name}", text.encode()) for name, text in names.items())
        value = msgspec.json.encode({"key": "b", "delay": 40 * number})
        yield Planned(at_ms, "events", key_of("lab", "user-02"), value, headers)


def _reused_id() -> Iterator[Planned]:
    """Use an id again after the dedup window while its notification is still held."""
    yield profile(START_MS, "lab", "reused", email="reused@mail.example", version=1)
    send_at = rfc3339(START_MS + 60 * HOUR)
    for hours in (1, 30):
        at_ms = START_MS + hours * HOUR
        yield event(at_ms, "lab", "reused", "notice", "reused", tocsinsendat=send_at)


def _registered_again() -> Iterator[Planned]:
    """Register a device again after a provider called it gone: the block is older than the registration."""
    device = {"platform": "ios", "token": "token-again"}
    blocked = receipt(key_of("lab", "again"), START_MS + HOUR, "gone", target=_TOKEN_AGAIN)
    yield profile(START_MS, "lab", "again", devices=[device], version=1)
    yield Planned(*blocked)
    fresh = device | {"registered_at": rfc3339(START_MS + 3 * HOUR)}
    yield profile(START_MS + 3 * HOUR, "lab", "again", devices=[fresh], version=2)
    for hours in (0, 2, 4):
        yield event(START_MS + hours * HOUR + MINUTE, "lab", "again", "alarm", f"again-{hours}")


def _careless_versions() -> Iterator[Planned]:
    """Change a profile under an equal, an older and no version: the version must grow all the same."""
    for turn, version in enumerate((5, 5, 3, 0, 9)):
        at_ms = START_MS + turn * HOUR
        yield profile(at_ms, "lab", "careless", email=f"careless{turn}@mail.example", version=version)
        yield event(at_ms + MINUTE, "lab", "careless", "notice", f"careless-{turn}")


def _changing() -> Iterator[Planned]:
    """Hold what the next catalog drops, narrows or breaks; let an event wait for its profile meanwhile."""
    for user in ("changed-1", "changed-2"):
        yield profile(START_MS, "lab", user, email=f"{user}@mail.example", version=1)
        for kind in ("dropped", "fragile", "narrowed"):
            yield event(RELOAD_MS - HOUR, "lab", user, kind, f"{user}-{kind}", data={"n": 1, "delay": 5})
    yield event(RELOAD_MS - 2 * SECOND, "gone", "waiter", "notice", "waiter")
    yield profile(RELOAD_MS + 3 * SECOND, "gone", "waiter", email="waiter@mail.example", version=1)
    ahead_ms = START_MS + 50 * HOUR
    wrong = event(ahead_ms, "lab", "user-03", "notice", "clock", time=None)
    yield wrong._replace(stamp_ms=ahead_ms + 400 * 24 * HOUR)
