"""Random lives of a user in which the catalog is edited while things are open: nothing is lost or doubled."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.edits import TENANT, catalog, edited, notification
from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile
from tocsin.catalog.loader import Catalog, load_apart
from tocsin.decision.effects import Decision
from tocsin.decision.user_state import PROFILE_TIMER
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Device, Preferences, Profile, QuietHours
from tocsin.model.statuses import FINAL, Status

STEP = {"after": "10m", "unless": "opened", "channels": ["sms"]}
LATER = {"after": "40m", "unless": "read", "channels": ["email"]}
NIGHT = {"start": "22:00", "end": "07:00"}
BASE: dict[str, dict[str, Any]] = {
    "chased": notification("chased", channels=["push", "inapp"], escalate=[STEP, LATER]),
    "gathered": notification(
        "gathered", channels=["email", "sms"], digest={"slide": "10m", "at_most": "1h", "key": "data.key"}
    ),
    "paged": notification("paged", channels=["sms"], collapse_key="data.key", expires="1d"),
    "visit": notification("visit", delay="1h", cancel_key="data.n", stop_when_seen=True),
    "offer": notification("offer", category="offers", dedup={"key": "data.key", "window": "1d"}),
}
LIMITS = [
    {"max": 2, "per": "1h", "scope": "user", "overflow": "hold"},
    {"max": 2, "calendar": "day", "scope": "channel", "channel": "sms", "overflow": "hold"},
]
HOURS = {"quiet_hours": NIGHT, "windows": {"sms": {"start": "08:00", "end": "21:00"}}}
KINDS = (*BASE, "tocsin.cancel")


class Edit(NamedTuple):
    """What a catalog has otherwise than the first one: fields of notifications, settings of the tenant."""

    notices: Mapping[str, dict[str, Any] | None] = MappingProxyType({})
    tenant: Mapping[str, Any] = MappingProxyType({})


EDITS = (
    Edit(tenant={"limits": LIMITS, **HOURS}),
    Edit({"chased": None, "gathered": None}, {"limits": LIMITS}),
    Edit({"chased": {"channels": ["email"], "escalate": [STEP]}, "gathered": {"digest": None}}, HOURS),
    Edit(
        {"gathered": {"digest": {"count": 3}}, "paged": {"collapse_key": "data.n"}, "offer": {"dedup": None}},
        {"limits": [{"max": 1, "calendar": "week", "scope": "user"}]},
    ),
    Edit({"visit": {"collapse_key": "data.key", "cancel_key": None}, "paged": {"category": "alerts"}}, HOURS),
    Edit(
        {
            "visit": {"priority": "critical", "delay": None},
            "offer": {"channels": ["inapp", "push"], "delay": "2h"},
        },
        {"limits": [{"max": 1, "per": "2h", "scope": "user", "overflow": "digest"}], **HOURS},
    ),
    Edit(tenant={"status": "inactive", "limits": LIMITS}),
)


def changed(edit: Edit) -> Catalog:
    changes: dict[str, dict[str, Any] | None] = {name: {} for name in BASE}
    notices = {
        name: {key: value for key, value in {**BASE[name], **fields}.items() if value is not None}
        for name, fields in {**changes, **edit.notices}.items()
        if fields is not None
    }
    return catalog(notices, {**TENANT, **edit.tenant})


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> list[Catalog]:
    """The catalogs of a life; in the last one the files of the tenant have mistakes."""
    return [*map(changed, EDITS), faulty(tmp_path_factory.mktemp("faulty"))]


def faulty(folder: Path) -> Catalog:
    other = notification("other", category="all", channels=["inapp"], tenants=["other"])
    for name, content in {
        "notifications/all.yaml": {"other": other},
        "tenants/other.yaml": {"categories": {"all": {}}},
        "tenants/quiet.yaml": {"categories": 7},
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content))
    (folder / "templates/plain/en").mkdir(parents=True)
    (folder / "templates/plain/en/text.j2").write_text("text")
    return load_apart(folder)


class Deed(NamedTuple):
    """One thing that happens; `choice` picks what it is about."""

    pause_ms: int
    what: str
    choice: int


pauses = st.sampled_from([0, 0, 1, MINUTE, 9 * MINUTE, HOUR, 9 * HOUR])
whats = st.sampled_from(
    [*KINDS, *BASE, "edit", "edit", "edit", "profile", "receipt", "retry", "fail", "erase"]
)
deeds = st.builds(Deed, pauses, whats, st.integers(0, 999))
preferences = (
    Preferences(),
    Preferences(channels={"sms": False}),
    Preferences(categories={"news": False}),
    Preferences(notifications={"chased": False}),
)


def wanted(choice: int) -> Profile:
    return profile(
        preferences=preferences[choice % 4],
        timezone=("UTC", "Asia/Tokyo", "America/New_York")[choice % 3],
        quiet_hours=(None, QuietHours("13:00", "15:00"))[choice % 2],
        phone=("+12125550100", "")[choice % 5 == 0],
        devices=(Device("ios", token="t1"),) * (choice % 7 > 0),
        version=0,
    )


class Checked(World):
    """A world that keeps its books: what ended, what was admitted, what is held."""

    def __init__(self, catalogs: list[Catalog]) -> None:
        super().__init__(catalog=catalogs[0])
        self.catalogs = catalogs
        self.at = 0
        self.ended: dict[tuple[str, str, str], Outcome] = {}
        self.admitted: set[tuple[str, str, str]] = set()
        self.back: set[str] = set()
        self.wish = profile()

    def apply(self, user: str, step: Decision) -> Decision:
        for message in step.messages:
            now = self.gate.context.catalog.notification(message.tenant, message.notification)
            # A message keeps the category of its first decision; what is wanted goes by that of now.
            self.allowed(now.category if now else message.category, message.channel, message.notification)
        for one in step.outcomes:
            self.enter(one)
        super().apply(user, step)
        decided = [one for one in self.outcomes if one.origin.startswith("events/")]
        places = {one.notification_id: int(one.origin.rpartition("/")[2]) for one in decided}
        for one in step.outcomes:
            if one.reason == "collapsed":
                assert places[str(one.detail["into"])] > places[one.notification_id], "the newest is kept"
        record = self.record(user)
        held = {timer_id: ref.due_ms for timer_id, ref in record.holds.items()} if record else {}
        timers = {timer_id: due for (_, timer_id), (due, _) in self.timers.items()}
        timers.pop(PROFILE_TIMER, None)
        assert held == timers
        return step

    def allowed(self, category: str, channel: str, name: str) -> None:
        chosen = self.wish.preferences
        if category != "alerts":
            assert chosen.channels.get(channel, True)
            assert chosen.categories.get(category, True)
            assert chosen.notifications.get(name, True)

    def enter(self, one: Outcome) -> None:
        subject = (one.notification_id or one.origin, one.channel, one.target)
        if one.status == Status.HELD:
            assert int(str(one.detail["due_ms"])) >= one.at_ms
        if one.status in FINAL:
            assert self.ended.setdefault(subject, one) == one, "it ends once"
        if one.status == Status.ADMITTED:
            assert subject not in self.admitted | self.ended.keys()
            self.admitted.add(subject)

    def happen(self, deed: Deed) -> None:
        self.at += deed.pause_ms
        self.advance(self.at)
        if deed.what in KINDS:
            key = {"key": "kl"[deed.choice % 2], "n": deed.choice % 3, "cancel_key": "k"}
            send_at = self.at + 8 * HOUR if deed.choice % 9 == 0 else None
            self.event(deed.what, at=self.at, data=key, send_at=send_at)
        elif deed.what == "edit":
            edited(self, self.catalogs[deed.choice % len(self.catalogs)])
        elif deed.what == "profile":
            self.wish = wanted(deed.choice)
            self.profile(self.wish, at=self.at)
        elif deed.what == "erase":
            self.profile(None, at=self.at)
        elif self.messages:
            self._answer(deed)

    def _answer(self, deed: Deed) -> None:
        """Let something become of one of the newest messages, twice, as a crash may tell it."""
        about = self.messages[-1 - deed.choice % min(len(self.messages), 5)]
        names = {"notification_id": about.notification_id, "notification": about.notification}
        names |= {"channel": about.channel, "message_id": about.message_id}
        if deed.what == "receipt":
            for _ in range(2):
                self.receipt(("delivered", "opened", "read")[deed.choice % 3], at=self.at, **names)
        elif about.message_id not in self.back:
            self.back.add(about.message_id)
            for _ in range(2):
                if deed.what == "fail":
                    self.failed(about, at=self.at)
                else:
                    self.retry(about, at=self.at, due=self.at + deed.choice % 2 * HOUR)

    def end(self) -> None:
        """Fix the files, and let so much time pass that no limit, digest or hour holds anything."""
        edited(self, self.catalogs[0])
        self.advance(self.at + 60 * DAY)


@settings(max_examples=120, deadline=None)
@given(st.lists(deeds, min_size=20, max_size=50))
def test_whatever_is_edited_all_that_was_open_ends_once(catalogs: list[Catalog], life: list[Deed]) -> None:
    world = Checked(catalogs)
    world.profile(world.wish)
    for deed in life:
        world.happen(deed)
    world.end()
    assert world.timers == {}
    parts = defaultdict(set)
    for notification_id, channel, _ in world.ended.keys() | world.admitted:
        parts[notification_id].add(channel == "*")
    assert all(len(found) == 1 for found in parts.values()), "as a whole, or channel by channel"
    ends = world.ended.keys() | world.admitted
    for one in world.outcomes:
        if one.status == Status.HELD and one.notification_id:
            assert any(end[0] == one.notification_id and one.channel in ("*", end[1]) for end in ends)
    events = sum(deed.what in KINDS for deed in life)
    told = [one for one in world.outcomes if one.status in FINAL | {Status.ADMITTED}]
    assert len({one.origin for one in told if one.origin.startswith("events/")}) == events
    assert all(one.at_ms >= NOON for one in told)
