"""Later steps under random orders of events, receipts, profiles, returned messages and due times."""

from collections import defaultdict
from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile, with_preferences
from tests.decision.test_escalation import LATER
from tocsin.decision.user_state import expire
from tocsin.model.engagement import LEVELS, Level
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Profile
from tocsin.model.statuses import FINAL, Status

PROFILES: Final = (
    profile(),
    profile(devices=()),
    profile(phone=""),
    with_preferences(channels={"push": False, "inapp": False}),
    with_preferences(enabled=False),
)
UNLESS: Final[dict[tuple[str, str], Level]] = {
    ("alert", "sms"): Level.OPENED,
    ("alert", "email"): Level.READ,
    ("chain", "sms"): Level.CLICKED,
    ("chain", "email"): Level.CLICKED,
    ("once_seen", "sms"): Level.CLICKED,
    ("hurry", "sms"): Level.DELIVERED,
    ("hurry", "email"): Level.DELIVERED,
}


class Deed(NamedTuple):
    """One thing that happens, `pause` ms after the one before."""

    pause: int
    what: str
    how: Any


kinds = st.sampled_from(["alert", "chain", "once_seen", "hurry", "plain"])
reports = st.tuples(st.sampled_from([*LEVELS, "bounced"]), st.integers(0, 9), st.booleans())
deed = st.builds(
    lambda pause, drawn: Deed(pause, *drawn),
    st.sampled_from([0, 1, MINUTE, 4 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 8 * HOUR]),
    st.one_of(
        st.tuples(st.just("event"), kinds),
        st.tuples(st.just("event"), kinds),
        st.tuples(st.just("receipt"), reports),
        st.tuples(st.just("receipt"), reports),
        st.tuples(st.just("retry"), st.tuples(st.integers(0, 9), st.booleans())),
        st.tuples(st.just("profile"), st.sampled_from(PROFILES)),
        st.tuples(st.just("erase"), st.none()),
    ),
)
lives = st.lists(deed, min_size=5, max_size=30)


class Life:
    """A world in which things happen, and what receipts have said by each step."""

    def __init__(self) -> None:
        self.world = World("lab", catalog=LATER)
        self.world.profile(PROFILES[0])
        self.levels: defaultdict[str, Level] = defaultdict(lambda: Level.NONE)
        self.returned: set[str] = set()
        self.late: list[str] = []
        self.at = 0

    def live(self, life: list[Deed]) -> None:
        """Let all of it happen, then two weeks in which nothing does."""
        for one in life:
            self.at += one.pause
            before = len(self.world.messages)
            self.world.advance(self.at)
            self.check(before)
            before = len(self.world.messages)
            getattr(self, one.what)(one.how)
            self.check(before)
        before = len(self.world.messages)
        self.world.advance(self.at + 14 * DAY)
        self.check(before)

    def check(self, before: int) -> None:
        """Note each new message that a receipt had made needless."""
        for message in self.world.messages[before:]:
            level = self.levels[message.notification_id]
            unless = UNLESS.get((message.notification, message.channel), Level.READ)
            is_step = (message.notification, message.channel) in UNLESS and message.attempt == 1
            seen = message.notification == "once_seen" and level >= Level.OPENED
            if seen or (is_step and level >= unless and message.message_id not in self.returned):
                self.late.append(f"{message.notification} {message.channel} {level.label}")

    def event(self, kind: str) -> None:
        self.world.event(kind, at=self.at)

    def profile(self, wanted: Profile) -> None:
        self.world.profile(wanted, at=self.at)

    def erase(self, _nothing: None) -> None:
        """Erase the user: what receipts said is forgotten, and so is everything that waited."""
        self.world.profile(None, at=self.at)
        self.levels.clear()
        self.world.profile(PROFILES[0], at=self.at)

    def receipt(self, how: tuple[str, int, bool]) -> None:
        kind, back, machine = how
        if not self.world.messages:
            return
        about = self.world.messages[-1 - back % len(self.world.messages)]
        self.world.receipt(
            kind,
            at=self.at,
            notification_id=about.notification_id,
            message_id=about.message_id,
            notification=about.notification,
            channel=about.channel,
            reason="machine" if machine else "",
        )
        level = LEVELS.get(kind, Level.NONE)
        level = min(level, Level.DELIVERED) if machine else level
        self.levels[about.notification_id] = max(level, self.levels[about.notification_id])

    def retry(self, how: tuple[int, bool]) -> None:
        """Return a message as delivery would, each one once."""
        back, stale = how
        free = [one for one in self.world.messages if one.message_id not in self.returned]
        if free:
            message = free[-1 - back % len(free)]
            self.returned.add(message.message_id)
            reason, attempt = ("stale_profile", 1) if stale else ("transient", 2)
            self.world.retry(message, at=self.at, due=self.at + HOUR, reason=reason, attempt=attempt)


@settings(max_examples=80, deadline=None)
@given(lives)
def test_no_receipt_is_too_late_and_every_step_ends_once(life: list[Deed]) -> None:
    played = Life()
    played.live(life)
    assert played.late == []
    world = played.world
    assert world.timers == {}
    finals: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    admitted = {(one.notification_id, one.channel) for one in world.messages}
    for one in world.outcomes:
        if one.status in FINAL:
            finals[one.notification_id or one.origin, one.channel, one.target].add(one.outcome_id)
    assert all(len(ids) == 1 for ids in finals.values())
    for one in world.outcomes:
        if one.status == Status.HELD and one.reason == "escalation":
            assert ended(one, finals) or (one.notification_id, one.channel) in admitted


def ended(held: Outcome, finals: dict[tuple[str, str, str], set[str]]) -> bool:
    return bool(finals.get((held.notification_id, held.channel, ""), set()))


@settings(max_examples=20, deadline=None)
@given(lives)
def test_doubled_receipts_change_no_message(life: list[Deed]) -> None:
    once, twice = Life(), Life()
    once.live(life)
    twice.live(
        [
            one
            for each in life
            for one in ([each, each._replace(pause=0)] if each.what == "receipt" else [each])
        ]
    )
    assert once.world.messages == twice.world.messages
    assert [one for one in once.world.outcomes if one.status in FINAL] == [
        one for one in twice.world.outcomes if one.status in FINAL
    ]


@settings(max_examples=20, deadline=None)
@given(lives)
def test_what_is_remembered_of_receipts_is_bounded_and_goes(life: list[Deed]) -> None:
    played = Life()
    played.live(life)
    assert all(step.record is None or len(step.record.engaged) <= 64 * 17 for step in played.world.steps)
    record = played.world.record()
    if record is not None:
        expire(record, NOON + played.at + 22 * DAY)
        assert record.engaged == b""
