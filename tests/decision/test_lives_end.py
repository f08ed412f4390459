"""When all is over, nothing is left: no life of a user leaves state behind that has no end."""

from typing import Any, Final, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import CAPS, DAY, HOUR, MINUTE, NOON, RULES, World, profile
from tests.decision.oracle import LEVELS
from tests.decision.test_escalation import LATER
from tests.decision.test_schedule import TIMES, written
from tocsin.catalog.loader import Catalog
from tocsin.decision.user_state import UserRecord, expire
from tocsin.model.event import Recipient
from tocsin.model.message import Message
from tocsin.model.profile import QuietHours

CATALOGS: Final[dict[str, Catalog]] = {
    "lab": RULES, "texts": TIMES, "nights": TIMES, "calm": CAPS, "shop": CAPS,
}  # fmt: skip
PROFILES: Final = [
    profile(),
    profile(phone="", timezone="Asia/Tokyo"),
    profile(quiet_hours=QuietHours("12:30", "15:00")),
    profile(devices=(), timezone="America/Los_Angeles"),
]
PAUSES: Final = (1, 1, 1_000, MINUTE, 10 * MINUTE, HOUR, 9 * HOUR)
DEEDS: Final = (
    "event",
    "event",
    "event",
    "profile",
    "receipt",
    "receipt",
    "retry",
    "failed",
    "cancel",
    "erase",
)
REASONS: Final = ("transient", "stale_profile", "send_window")


class Deed(NamedTuple):
    """One thing that happens, after a pause; the numbers choose what it is about."""

    pause: int
    what: str
    number: int
    other: int


deeds = st.builds(
    Deed, st.sampled_from(PAUSES), st.sampled_from(DEEDS), st.integers(0, 63), st.integers(0, 7)
)


class Life:
    """The life of one user in one catalog: events of all its types, and what providers say later."""

    def __init__(self, tenant: str, catalog: Catalog) -> None:
        self.world = World(tenant, catalog=catalog)
        compiled = catalog.tenants[tenant]
        self.types = sorted([*compiled.exact, *(f"{prefix}x" for prefix, _ in compiled.prefixes)])
        self.at = 0

    def happen(self, deed: Deed) -> None:
        self.at += deed.pause
        self.world.advance(self.at)
        _ACTS[deed.what](self, deed)
        self.check()

    def check(self) -> None:
        """Each timer is of something that the record holds, and the other way round."""
        record = self.world.record()
        held = {name: ref.due_ms for name, ref in record.holds.items()} if record else {}
        if record and record.waiting:
            held["profile"] = record.waiting[0].deadline_ms
        assert {name: due_ms for (_, name), (due_ms, _) in self.world.timers.items()} == held

    def event(self, deed: Deed) -> None:
        data = {"delay": 72, "key": "kl"[deed.other % 2], "room": "a", "meeting": deed.other % 2}
        data["starts"] = written(self.at + deed.other * HOUR)
        guest = Recipient(email="g@mail.example", phone="+12125550100") if deed.other == 6 else None
        self.world.event(
            self.types[deed.number % len(self.types)],
            at=self.at,
            data=data,
            expires=self.at + 20 * MINUTE if deed.other == 7 else None,
            recipient=guest,
            event_id="again" if deed.other == 5 else "",
        )

    def profile(self, deed: Deed) -> None:
        self.world.profile(PROFILES[deed.number % len(PROFILES)], at=self.at)

    def erase(self, deed: Deed) -> None:
        self.world.profile(None, at=self.at)

    def cancel(self, deed: Deed) -> None:
        about = self.message(deed)
        named = {"cancel_key": ("k", 0, 1)[deed.other % 3]}
        by_id = about is not None and deed.other > 3
        data = {"notification_id": about.notification_id} if about is not None and by_id else named
        self.world.event("tocsin.cancel", at=self.at, data=data)

    def receipt(self, deed: Deed) -> None:
        if (about := self.message(deed)) is not None:
            fields: dict[str, Any] = {"notification_id": about.notification_id, "channel": about.channel}
            fields |= {"notification": about.notification, "origin": str(about.origin)}
            self.world.receipt(LEVELS[deed.other % 4], at=self.at, **fields)

    def retry(self, deed: Deed) -> None:
        """Return a message; one that was returned before is a copy, which changes nothing."""
        if (about := self.message(deed)) is not None:
            reason, due = REASONS[deed.other % 3], self.at + (deed.other // 3) * HOUR
            attempt = about.attempt + (reason == "transient")
            self.world.retry(about, at=self.at, due=due, reason=reason, attempt=attempt)

    def failed(self, deed: Deed) -> None:
        if (about := self.message(deed)) is not None:
            self.world.failed(about, at=self.at)

    def message(self, deed: Deed) -> Message | None:
        messages = self.world.messages
        return messages[-1 - deed.number % len(messages)] if messages else None

    def end(self) -> UserRecord:
        """Let 500 days pass, and sweep; return what is left beside profile and blocks."""
        self.world.advance(self.at + 500 * DAY)
        self.check()
        record = self.world.record() or UserRecord()
        expire(record, NOON + self.at + 500 * DAY)
        return record


_ACTS: Final = {name: getattr(Life, name) for name in set(DEEDS)}


@pytest.mark.parametrize("tenant", [*CATALOGS, "later"])
@settings(max_examples=15, deadline=None)
@given(st.lists(deeds, min_size=15, max_size=40))
def test_nothing_is_left_when_all_is_over(tenant: str, life: list[Deed]) -> None:
    known = Life("lab", LATER) if tenant == "later" else Life(tenant, CATALOGS[tenant])
    known.world.profile(profile())
    for deed in life:
        known.happen(deed)
    left = known.end()
    assert (known.world.timers, known.world.kept) == ({}, {})
    fresh = UserRecord()
    profiles = {"version", "contact_points", "locale", "timezone", "switched_off", "switched_on"}
    profiles |= {"quiet_start_min", "quiet_end_min", "written_version", "attributes", "profile_ms"}
    names = {field.name for field in msgspec.structs.fields(UserRecord)} - profiles
    assert {name: getattr(left, name) for name in names} == {name: getattr(fresh, name) for name in names}
