"""The gate against a second statement of its rules, on random histories."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, RULES, SMALL, World
from tests.decision.oracle import LEVELS, Happened, Oracle, Person, Word
from tocsin.catalog.loader import load
from tocsin.model.event import Recipient
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Device, Preferences, Profile, QuietHours

USERS = ("ann", "bob")
REPLACED = load(SMALL.parent / "replaced")
KINDS = (
    "alarm", "urgent", "notice.a", "update", "offer", "queue", "pair", "shared.first", "shared.second",
    "shared.third", "shared.fourth", "rare", "rare", "shared.now", "daytime", "evening", "unheard.of",
    "chase", "chase", "relay", "gather", "daily",
)  # fmt: skip
CHANNELS = ("email", "sms", "push", "inapp")


class Deed(NamedTuple):
    """One thing that happens to a user, `pause_ms` after the one before."""

    pause_ms: int
    user: str
    what: str
    how: dict[str, Any]


def maybe(*values: object) -> st.SearchStrategy[Any]:
    """Choose None most of the time."""
    return st.sampled_from([None, None, None, *values])


switches = st.dictionaries(st.sampled_from(CHANNELS), st.booleans(), max_size=2)
events = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "id": maybe("a", "b"),
        "late_ms": st.sampled_from([0, 0, 0, MINUTE, 2 * HOUR, 23 * HOUR, 30 * HOUR, -20 * MINUTE]),
        "delay": st.sampled_from([0, 20, 72]),
        "key": st.sampled_from("kl"),
        "send_in_ms": maybe(MINUTE, HOUR, 9 * HOUR),
        "lasts_ms": maybe(0, 10 * MINUTE, HOUR, 12 * HOUR),
        "guest": st.sampled_from([False, False, False, True]),
    }
)
profiles = st.fixed_dictionaries(
    {
        "email": st.booleans(),
        "phone": st.booleans(),
        "devices": st.integers(0, 2),
        "enabled": st.sampled_from([True, True, True, False]),
        "channels": switches,
        "categories": st.dictionaries(
            st.sampled_from(["updates", "offers", "shared", "alerts"]), st.booleans() | switches, max_size=2
        ),
        "notifications": st.dictionaries(
            st.sampled_from(["first", "queue", "offer", "update"]), st.booleans() | switches, max_size=2
        ),
        "snoozed_ms": maybe(HOUR, DAY),
        "quiet": maybe((60, 90), (23 * 60, 5 * 60), (13 * 60, 15 * 60), (0, 0)),
        "zone": st.sampled_from(["UTC", "Asia/Tokyo", "America/Phoenix"]),
    }
)
queued = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            [
                *("shared.first", "shared.second", "shared.third", "shared.fourth", "shared.fourth"),
                *("queue", "pair", "shared.now", "urgent", "rare", "gather"),
            ]
        ),
        "id": st.none(),
        "late_ms": st.just(0),
        "delay": st.sampled_from([0, 72, 72]),
        "key": st.just("k"),
        "send_in_ms": st.none(),
        "lasts_ms": maybe(10 * MINUTE, HOUR),
        "guest": st.just(False),
    }
)
chased = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["chase", "chase", "relay", "update"]),
        "id": st.none(),
        "late_ms": st.just(0),
        "delay": st.sampled_from([0, 20, 72]),
        "key": st.just("k"),
        "send_in_ms": st.none(),
        "lasts_ms": maybe(5 * MINUTE, HOUR),
        "guest": st.sampled_from([False, False, False, True]),
    }
)
receipts = st.fixed_dictionaries({"back": st.sampled_from([0, 0, 0, 1, 5]), "kind": st.sampled_from(LEVELS)})
changes_of_mind = st.fixed_dictionaries(
    {
        "email": st.just(True),
        "phone": st.just(True),
        "devices": st.just(1),
        "enabled": st.just(True),
        "channels": st.just({}),
        "categories": st.just({}),
        "notifications": st.dictionaries(
            st.sampled_from(["first", "second", "third", "queue"]), st.booleans(), max_size=3
        ),
        "snoozed_ms": st.none(),
        "quiet": maybe((13 * 60, 13 * 60 + 45)),
        "zone": st.just("UTC"),
    }
)


def histories(
    event: st.SearchStrategy[Any],
    profile: st.SearchStrategy[Any],
    pauses: tuple[int, ...],
    told: int = 2,
    erased: int = 1,
) -> st.SearchStrategy[list[Deed]]:
    """Build histories: twelve events on three profiles, `told` receipts and an erasure."""
    how = {"event": event, "profile": profile, "receipt": receipts, "erase": st.just({})}
    pause, user = st.sampled_from(pauses), st.sampled_from(["ann", "ann", "bob"])
    deeds = {what: st.builds(Deed, pause, user, st.just(what), how[what]) for what in how}
    what = st.sampled_from(["event"] * 12 + ["profile"] * 3 + ["receipt"] * told + ["erase"] * erased)
    return st.lists(what.flatmap(deeds.__getitem__), min_size=20, max_size=50)


replaced = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["note", "note", "visit", "visit", "gate", "gate", "siren", "tocsin.cancel"]),
        "id": maybe("a"),
        "late_ms": st.sampled_from([0, 0, 0, MINUTE]),
        "delay": st.sampled_from([0, 72]),
        "key": st.sampled_from("kkl"),
        "send_in_ms": maybe(HOUR, 9 * HOUR),
        "lasts_ms": maybe(HOUR, 12 * HOUR),
        "guest": st.just(False),
    }
)
moves = st.fixed_dictionaries(
    {
        "email": st.booleans(),
        "phone": st.sampled_from([True, True, False]),
        "devices": st.integers(0, 2),
        "enabled": st.sampled_from([True, True, True, False]),
        "channels": switches,
        "categories": st.just({}),
        "notifications": st.dictionaries(st.sampled_from(["note", "visit"]), st.booleans(), max_size=2),
        "snoozed_ms": maybe(HOUR),
        "quiet": maybe((60, 90), (13 * 60, 15 * 60)),
        "zone": st.sampled_from(["UTC", "UTC", "Asia/Tokyo", "America/Phoenix"]),
    }
)
KNOWN: dict[str, Any] = dict.fromkeys(("email", "phone", "enabled"), True) | {"devices": 1, "zone": "UTC"}
KNOWN |= {"channels": {}, "categories": {}, "notifications": {}, "snoozed_ms": None, "quiet": None}
anything = histories(events, profiles, (0, 0, 1_000, 20_000, MINUTE, 5 * MINUTE, 20 * MINUTE, HOUR, 5 * HOUR))
queues = histories(queued, changes_of_mind, (0, 1_000, MINUTE, 4 * MINUTE, 10 * MINUTE))
chases = histories(chased, changes_of_mind, (0, 1_000, MINUTE, 4 * MINUTE, 10 * MINUTE), told=12)


pauses = (0, 0, 1_000, MINUTE, 20 * MINUTE, HOUR, 5 * HOUR)
replacements = histories(replaced, moves, pauses, told=0, erased=0)


class Pair:
    """The gate and the oracle, to both of which the same happens.

    Times of different deeds differ in their milliseconds, so that no two timers are due at once by chance.
    """

    def __init__(self, tenant: str = "lab") -> None:
        self.world = World(tenant, catalog={"lab": RULES, "bay": REPLACED}[tenant])
        self.oracle = Oracle(SMALL.parent / {"lab": "rules", "bay": "replaced"}[tenant], tenant)
        self.at = 500
        self.events = 0

    def happen(self, deed: Deed) -> None:
        self.at += deed.pause_ms + 1
        self.oracle.advance(NOON + self.at)
        if deed.what == "event":
            self._event(deed.user, **deed.how)
        elif deed.what == "receipt":
            self._receipt(deed.user, **deed.how)
        elif deed.what == "erase":
            self.world.profile(None, at=self.at, user=deed.user)
            self.oracle.erase(deed.user, NOON + self.at)
        else:
            self._profile(deed.user, **deed.how)

    def _event(self, user: str, kind: str, late_ms: int, send_in_ms: int | None, **how: Any) -> None:
        self.events += 1
        lasts_ms, guest, event_id = how["lasts_ms"], how["guest"], how["id"] or f"e{self.events}"
        send_at = None if send_in_ms is None else self.at + send_in_ms
        expires = None if lasts_ms is None else self.at + lasts_ms
        self.world.event(
            kind,
            at=self.at,
            user=user,
            event_id=event_id,
            time=self.at - late_ms,
            data={"delay": how["delay"], "key": how["key"], "cancel_key": how["key"]},
            recipient=Recipient(email="guest@mail.example") if guest else None,
            send_at=send_at,
            expires=expires,
        )
        now_ms = NOON + self.at
        happened = Happened(self.events, kind, event_id, now_ms - late_ms, how["delay"], how["key"])
        happened.send_at_ms = None if send_at is None else NOON + send_at
        happened.expires_ms = None if expires is None else NOON + expires
        happened.guest = guest
        self.oracle.event(user, happened, now_ms)

    def _receipt(self, user: str, back: int, kind: str) -> None:
        """Report a receipt of one of the user's newest messages."""
        mine = [one for one in self.world.messages if one.user == user]
        if mine:
            about = mine[-1 - back % len(mine)]
            names = {"notification_id": about.notification_id, "notification": about.notification}
            self.world.receipt(kind, at=self.at, user=user, channel=about.channel, **names)
            self.oracle.receipt(user, about.origin.offset, about.notification, kind, NOON + self.at)

    def _profile(self, user: str, snoozed_ms: int | None, quiet: tuple[int, int] | None, **how: Any) -> None:
        until_ms = 0 if snoozed_ms is None else (NOON + self.at + snoozed_ms) // 1_000 * 1_000
        chosen = {name: how[name] for name in ("enabled", "channels", "categories", "notifications")}
        until = datetime.fromtimestamp(until_ms / 1_000, UTC) if until_ms else None
        hours = None if quiet is None else QuietHours(*(f"{at // 60:02}:{at % 60:02}" for at in quiet))
        wanted = Profile(
            email="a@mail.example" if how["email"] else "",
            phone="+12125550100" if how["phone"] else "",
            timezone=how["zone"],
            devices=tuple(Device("ios", token=f"t{number}") for number in range(how["devices"])),
            preferences=Preferences(**chosen, snoozed_until=until),
            quiet_hours=hours,
        )
        self.world.profile(wanted, at=self.at, user=user)
        reach = {"email": how["email"], "sms": how["phone"], "push": how["devices"], "inapp": 1}
        person = Person(reach, **chosen, snoozed_until_ms=until_ms, quiet=quiet, zone=how["zone"])
        self.oracle.profile(user, person, NOON + self.at)

    def end(self) -> None:
        """Let ten days pass, so that nothing is left held."""
        self.world.advance(self.at + 10 * DAY)
        self.oracle.advance(NOON + self.at + 10 * DAY)


def word(one: Outcome) -> Word:
    due_ms = one.detail.get("due_ms", 0)
    assert isinstance(due_ms, int)
    number = int(one.origin.rpartition("/")[2])
    return Word(number, one.notification, one.channel, one.status, one.reason, one.at_ms, due_ms)


@settings(max_examples=120, deadline=None)
@given(anything | queues)
def test_the_gate_decides_as_the_page_says(history: list[Deed]) -> None:
    compare(history)


@settings(max_examples=30, deadline=None)
@given(chases)
def test_later_steps_end_as_the_page_says(history: list[Deed]) -> None:
    compare([Deed(0, user, "profile", KNOWN) for user in USERS] + history)


@settings(max_examples=40, deadline=None)
@given(replacements)
def test_what_is_replaced_and_cancelled_ends_as_the_page_says(history: list[Deed]) -> None:
    compare([Deed(0, user, "profile", KNOWN) for user in USERS] + history, "bay")


def compare(history: list[Deed], tenant: str = "lab") -> None:
    pair = Pair(tenant)
    for deed in history:
        pair.happen(deed)
    pair.end()
    for user in USERS:
        decided = [word(one) for one in pair.world.outcomes if one.user == user and one.origin]
        assert decided == pair.oracle.users[user].words
