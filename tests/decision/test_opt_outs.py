"""Opt-outs by receipt: they hold at once, and until the owner of the profile has had the last say."""

import pytest

from tests.decision.gate_world import HOUR, MINUTE, NOON, SECOND, World, profile, said, sent
from tocsin.decision.opt_outs import MOST
from tocsin.decision.user_state import expire
from tocsin.formats.gateway_profiles import revision_header
from tocsin.formats.profiles import ProfileChange
from tocsin.model.event import Recipient
from tocsin.model.profile import Suppressed
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Status

GUEST = Recipient(email="guest@mail.example")


@pytest.fixture
def ann() -> World:
    world = World()
    world.profile(profile())
    return world


def test_a_category_is_off_for_new_held_and_queued_ones(ann: World) -> None:
    ann.event("later")
    mail = ann.event("flight.landed", at=SECOND).messages[-1]
    step = ann.receipt("unsubscribed", at=MINUTE, category="updates")
    assert said(step) == [("unsubscribed", "", "*")]
    assert ann.notes == [2], "the ledger returns what queues"
    assert said(ann.retry(mail, at=MINUTE, reason="stale_profile")) == [
        ("suppressed", "category_off", "email")
    ]
    assert said(ann.event("flight.landed", at=2 * MINUTE)) == [("suppressed", "category_off", "*")]
    ann.advance(HOUR)
    assert [(one.status, one.reason) for one in ann.outcomes if one.notification == "later"] == [
        (Status.HELD, "scheduled"),
        (Status.SUPPRESSED, "category_off"),
    ]
    assert sent(ann.event("offer.x", at=HOUR)) == ["email", "sms"], "another category is on"


def test_without_a_category_everything_is_off(ann: World) -> None:
    ann.receipt("unsubscribed")
    assert said(ann.event("offer.x", at=SECOND)) == [("suppressed", "opted_out", "*")]
    assert sent(ann.event("flight.cancelled", at=MINUTE)), "but for a required category"


def test_it_is_noted_once(ann: World) -> None:
    for at in range(3):
        ann.receipt("unsubscribed", at=at, category="updates")
    assert ann.notes == [2]
    assert not ann.receipt("unsubscribed", at=MINUTE, category="updates").touched


@pytest.mark.parametrize(
    ("version", "changes", "ended"),
    [
        (1, {"locale": "de"}, False),  # late, or a producer that forgot to raise it
        (2, {}, True),
        (2, {"locale": "de"}, True),
        (0, {}, False),  # the same again
        (0, {"locale": "de"}, True),
    ],
)
def test_it_ends_with_a_later_profile(ann: World, version: int, changes: dict[str, str], ended: bool) -> None:
    ann.receipt("unsubscribed", category="updates")
    ann.profile(profile(version=version, **changes), at=MINUTE)
    reached = sent(ann.event("flight.landed", at=HOUR))
    assert bool(reached) == ended


def test_a_version_that_was_raised_by_a_block_is_not_the_owner_s(ann: World) -> None:
    ann.receipt("complained", address="ann@mail.example")
    ann.receipt("unsubscribed", at=SECOND, category="updates")
    ann.profile(profile(version=2), at=MINUTE)
    assert sent(ann.event("flight.landed", at=HOUR)) == ["inapp"]


def test_people_without_a_profile_are_left_alone_too() -> None:
    world = World()
    world.receipt("unsubscribed", category="updates")
    step = world.event("flight.landed", at=SECOND, recipient=GUEST)
    assert said(step) == [("suppressed", "category_off", "*")]
    record = world.record()
    assert record is not None
    assert not expire(record, 1 << 60) or not record.is_empty(), "an opt-out has no end in time"
    world.profile(profile(), at=MINUTE)
    assert sent(world.event("flight.landed", at=HOUR)), "the first profile is the owner's word"


def test_an_erasure_forgets_it(ann: World) -> None:
    ann.receipt("unsubscribed", category="updates")
    ann.profile(None, at=MINUTE)
    assert ann.record() is None


def test_very_many_become_everything(ann: World) -> None:
    for number in range(MOST + 1):
        ann.receipt("unsubscribed", at=number, category=f"c{number}")
    record = ann.record()
    assert record is not None
    assert record.opt_outs == ("*",)


def test_what_a_profile_lists_is_blocked_unless_that_was_lifted_later(ann: World) -> None:
    listed = (Suppressed("+12125550100"), Suppressed("somebody.else@mail.example"))
    step = ann.profile(profile(suppressed=listed), at=MINUTE)
    assert step.profile_version == 2
    assert sent(ann.event("flight.cancelled", at=2 * MINUTE)) == ["push", "email"]
    ann.receipt("unblocked", at=HOUR, address="+12125550100")
    ann.profile(profile(suppressed=listed[1:], locale="de"), at=HOUR + MINUTE)
    assert sent(ann.event("flight.cancelled", at=2 * HOUR)) == ["push", "sms", "email"]


def test_a_user_who_wants_a_category_again_gets_it(ann: World) -> None:
    ann.receipt("unsubscribed", category="updates")
    ann.receipt("unsubscribed", at=SECOND, category="offers")
    step = ann.receipt("resubscribed", at=MINUTE, category="updates")
    assert (said(step), step.dead_letters) == ([("resubscribed", "", "*")], [])
    assert sent(ann.event("flight.landed", at=HOUR)), "the other category stays off"
    assert said(ann.event("offer.x", at=2 * HOUR)) == [("suppressed", "category_off", "*")]
    assert not ann.receipt("resubscribed", at=3 * HOUR, category="updates").touched


def test_a_user_who_wants_everything_again_gets_it(ann: World) -> None:
    ann.receipt("unsubscribed")
    ann.receipt("resubscribed", at=MINUTE, category="updates")
    assert said(ann.event("flight.landed", at=HOUR)) == [("suppressed", "opted_out", "*")]
    ann.receipt("resubscribed", at=2 * HOUR, category="*")
    assert sent(ann.event("flight.landed", at=3 * HOUR))


@pytest.mark.parametrize("order", [("updates", ""), ("", "updates")])
def test_wanting_everything_again_is_not_wanting_a_category_that_was_switched_off_alone(
    ann: World, order: tuple[str, str]
) -> None:
    for number, category in enumerate(order):
        ann.receipt("unsubscribed", at=number * SECOND, category=category)
    ann.receipt("resubscribed", at=MINUTE, category="*")
    assert said(ann.event("flight.landed", at=HOUR)) == [("suppressed", "category_off", "*")]
    assert sent(ann.event("offer.x", at=2 * HOUR)), "the others are on"


def test_wanting_a_category_lifts_no_block_and_a_start_ends_no_opt_out(ann: World) -> None:
    ann.receipt("opted_out", channel="sms")
    ann.receipt("unsubscribed", at=SECOND, category="updates")
    ann.receipt("resubscribed", at=MINUTE, category="updates")
    assert "sms" not in sent(ann.event("offer.x", at=HOUR))
    ann.receipt("unsubscribed", at=2 * HOUR, category="updates")
    ann.receipt("resubscribed", at=3 * HOUR, channel="sms", category="updates")
    assert said(ann.event("flight.landed", at=4 * HOUR)) == [("suppressed", "category_off", "*")]


@pytest.mark.parametrize(("headers", "ended"), [((), True), ((revision_header(2),), False)])
def test_what_the_gateway_writes_for_a_person_is_no_word_of_the_owner(
    ann: World, headers: tuple[tuple[str, bytes], ...], ended: bool
) -> None:
    """A profile without a version: that of its owner ends opt-outs, a device that registers does not."""
    ann.receipt("unsubscribed", category="updates")
    change = ProfileChange(ann.tenant, "ann", profile(version=0, locale="de"))
    raw = RawRecord("profiles", 3, 9, NOON + MINUTE, b"quiet/ann", b"{}", headers)
    ann.apply("ann", ann.gate.on_profile_change(ann.record("ann"), change, NOON + MINUTE, raw))
    assert bool(sent(ann.event("flight.landed", at=HOUR))) == ended
