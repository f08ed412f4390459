"""Receipts: which contact point one names, what blocks it, and what lifts the block."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, SECOND, World, profile, said, sent
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import LIFTS_KEPT_MS, UserRecord, expire
from tocsin.model import ids
from tocsin.model.event import Recipient
from tocsin.model.profile import Device
from tocsin.model.statuses import Reason

EMAIL, PHONE = ids.target_id("ann@mail.example"), ids.target_id("+12125550100")


@pytest.fixture
def ann() -> World:
    world = World()
    world.profile(profile())
    return world


def reached(world: World, at: int) -> list[str]:
    """Tell the channels on which an event reaches the user."""
    return sent(world.event("flight.cancelled", at=at))


@pytest.mark.parametrize("kind", ["complained", "opted_out", "gone"])
@pytest.mark.parametrize(
    ("address", "channel"),
    [
        ("ann@mail.example", "email"),
        (" Ann@MAIL.example ", "email"),
        ("mailto:ann@mail.example", "email"),
        ("+12125550100", "sms"),
        ("12125550100", "sms"),
        ("token-1", "push"),
    ],
)
def test_a_receipt_by_address_blocks_it(ann: World, kind: str, address: str, channel: str) -> None:
    step = ann.receipt(kind, address=address, channel=channel, at=SECOND)
    assert (len(step.outcomes), step.dead_letters) == (1, [])
    assert reached(ann, MINUTE) == [each for each in ("push", "sms", "email") if each != channel]


@pytest.mark.parametrize(
    "reported", ["ann@xn--strae-oqa.example", "ann@straße.example", "ann@STRASSE.example"]
)
def test_a_domain_is_one_in_both_its_spellings(reported: str) -> None:
    for named in ("ann@straße.example", "ann@xn--strae-oqa.example"):
        world = World()
        world.profile(profile(email=named))
        world.receipt("complained", address=reported, channel="email")
        assert ("email" in reached(world, MINUTE)) == ("STRASSE" in reported), "strasse is somebody else's"


def test_no_outcome_has_the_address(ann: World) -> None:
    (outcome,) = ann.receipt("complained", address="ann@mail.example", channel="email").outcomes
    assert outcome.target == EMAIL
    assert "ann@" not in repr(outcome)


def test_a_receipt_by_message_blocks_where_it_went(ann: World) -> None:
    push, sms, _ = ann.event("flight.cancelled").messages
    step = ann.receipt("opted_out", notification_id=sms.notification_id, message_id=sms.message_id, at=SECOND)
    assert step.outcomes[0].target == PHONE
    assert reached(ann, MINUTE) == ["push", "email"]
    assert push.notification_id == sms.notification_id


def test_a_receipt_by_channel_blocks_all_of_it() -> None:
    world = World()
    world.profile(profile(devices=(Device("ios", token="one"), Device("android", token="two"))))
    step = world.receipt("opted_out", channel="push", at=SECOND)
    assert (step.outcomes[0].channel, step.outcomes[0].target) == ("push", "")
    assert reached(world, MINUTE) == ["sms", "email"]


@pytest.mark.parametrize("kind", ["complained", "opted_out", "unblocked"])
@pytest.mark.parametrize("fields", [{}, {"message_id": "m"}, {"channel": "webpush"}])
def test_a_receipt_that_names_nothing_is_logged_and_says_so(
    ann: World, kind: str, fields: dict[str, Any]
) -> None:
    step = ann.receipt(kind, **fields)
    assert len(step.outcomes) == 1
    assert [letter.reason for letter in step.dead_letters] == [Reason.BAD_FIELD]
    assert "send target, address" in step.dead_letters[0].error
    assert reached(ann, MINUTE) == ["push", "sms", "email"]


def test_outcomes_of_two_users_have_two_ids() -> None:
    world = World()
    ids_found = [
        world.receipt("opted_out", user=user, address=address, channel="sms", at_ms=NOON)
        .outcomes[0]
        .outcome_id
        for user, address in (("ann", "+12125550100"), ("bob", "+12125550101"), ("bob", "+12125550102"))
    ]
    assert len(set(ids_found)) == 3
    again = world.receipt("opted_out", user="bob", address="+12125550102", channel="sms", at_ms=NOON)
    assert again.outcomes[0].outcome_id == ids_found[2], "a copy has the same id"


@pytest.mark.parametrize("kind", ["unblocked", "resubscribed"])
@pytest.mark.parametrize("by", [{"target": PHONE}, {"address": "+12125550100"}, {"channel": "sms"}])
def test_a_block_is_lifted_by_a_receipt(ann: World, kind: str, by: dict[str, Any]) -> None:
    ann.receipt("opted_out", target=PHONE, at=SECOND)
    assert reached(ann, MINUTE) == ["push", "email"]
    step = ann.receipt(kind, at=HOUR, **by)
    assert [(one.status, one.target) for one in step.outcomes] == [(kind, PHONE)]
    assert reached(ann, HOUR + MINUTE) == ["push", "sms", "email"]


def test_stop_and_start_count_in_the_order_they_were_said(ann: World) -> None:
    """Webhooks come late, doubled and out of order."""
    ann.receipt("resubscribed", target=PHONE, at=HOUR, at_ms=NOON + 2 * SECOND)
    ann.receipt("opted_out", target=PHONE, at=HOUR, at_ms=NOON + SECOND)
    assert reached(ann, 2 * HOUR) == ["push", "sms", "email"]
    ann.receipt("opted_out", target=PHONE, at=3 * HOUR, at_ms=NOON + 3 * SECOND)
    ann.receipt("resubscribed", target=PHONE, at=3 * HOUR, at_ms=NOON + 2 * SECOND)
    assert reached(ann, 4 * HOUR) == ["push", "email"]


def test_an_address_that_the_profile_names_again_is_not_blocked(ann: World) -> None:
    ann.receipt("gone", target=EMAIL, at=SECOND)
    ann.profile(profile(email="", version=2), at=2 * SECOND)
    ann.profile(profile(version=3), at=MINUTE)
    assert "email" in reached(ann, HOUR)
    ann.receipt("gone", target=EMAIL, at=2 * HOUR, at_ms=NOON + SECOND, receipt_id="late copy")
    assert "email" in reached(ann, 3 * HOUR)
    ann.receipt("gone", target=EMAIL, at=4 * HOUR)
    assert "email" not in reached(ann, 5 * HOUR)


def test_a_newer_profile_that_still_names_it_lifts_nothing(ann: World) -> None:
    """Whoever changes his language has not taken back his STOP."""
    ann.receipt("opted_out", target=PHONE, at=SECOND)
    ann.profile(profile(locale="de", version=9), at=MINUTE)
    assert reached(ann, HOUR) == ["push", "email"]


def test_the_first_profile_of_a_guest_names_nothing_again() -> None:
    world = World()
    world.event("flight.cancelled", recipient=Recipient(email="ann@mail.example"))
    world.receipt("complained", address="ann@mail.example", channel="email", at=SECOND)
    world.profile(profile(), at=MINUTE)
    assert reached(world, HOUR) == ["push", "sms"]


def test_a_device_listed_without_its_registration_later_stays_unblocked(ann: World) -> None:
    token, anew = ids.target_id("token-1"), datetime.fromtimestamp((NOON + HOUR) / 1000, UTC)
    ann.receipt("gone", target=token, at=SECOND)
    ann.profile(
        profile(devices=(Device("ios", token="token-1", registered_at=anew),), version=2), at=2 * HOUR
    )
    assert "push" in reached(ann, 3 * HOUR)
    ann.profile(profile(version=3), at=4 * HOUR)
    assert "push" in reached(ann, 5 * HOUR)
    ann.receipt("gone", target=token, at=6 * HOUR, at_ms=NOON + 2 * SECOND)
    assert "push" in reached(ann, 7 * HOUR), "that receipt is older than the registration"
    ann.receipt("gone", target=token, at=8 * HOUR)
    assert "push" not in reached(ann, 9 * HOUR)


def test_an_old_receipt_does_not_block_a_device_whose_registration_was_forgotten(ann: World) -> None:
    anew = datetime.fromtimestamp((NOON + HOUR) / 1000, UTC)
    ann.profile(profile(devices=(Device("ios", token="token-1", registered_at=anew),), version=2), at=HOUR)
    ann.profile(profile(version=3), at=2 * HOUR)
    ann.receipt("gone", target=ids.target_id("token-1"), at=3 * HOUR, at_ms=NOON + SECOND)
    assert "push" in reached(ann, 4 * HOUR)


def test_what_still_queues_is_stopped_by_a_new_block(ann: World) -> None:
    """The note tells the ledger: messages with an older version return, and the gate knows the block."""
    push, sms, email = ann.event("flight.cancelled").messages
    step = ann.receipt("opted_out", target=PHONE, at=SECOND)
    assert step.profile_version == sms.profile_version + 1
    for message in (push, sms, email):
        ann.retry(message, at=2 * SECOND, reason="stale_profile", attempt=1)
    assert said(ann.steps[-2]) == [("suppressed", "target_blocked", "sms")]
    again = [one for one in ann.messages if one.decided_ms > sms.decided_ms]
    assert [(one.channel, one.profile_version) for one in again] == [
        (one.channel, step.profile_version) for one in (push, email)
    ]


def test_a_report_that_blocks_nothing_new_stops_nothing(ann: World) -> None:
    ann.receipt("opted_out", target=PHONE, at=SECOND)
    assert ann.receipt("complained", target=PHONE, at=MINUTE).profile_version is None
    assert ann.receipt("delivered", target=EMAIL, at=MINUTE).profile_version is None
    assert ann.receipt("unblocked", target=PHONE, at=HOUR).profile_version is None


def test_a_lift_gives_way_before_a_block() -> None:
    world = World(policy=GatePolicy(blocked_max=2))
    world.profile(profile())
    world.receipt("gone", target=EMAIL)
    world.receipt("unblocked", target="other", at=1)
    world.receipt("gone", target=PHONE, at=2)
    record = world.record()
    assert record is not None
    assert record.blocked == {EMAIL: NOON, PHONE: NOON + 2}


def test_a_lift_is_forgotten_in_time_and_a_block_is_not() -> None:
    record = UserRecord(blocked={"lifted": -NOON, "blocked": NOON})
    assert not expire(record, NOON + LIFTS_KEPT_MS)
    assert expire(record, NOON + LIFTS_KEPT_MS + 1)
    assert record.blocked == {"blocked": NOON}


def test_what_returns_after_a_lift_is_sent(ann: World) -> None:
    message = ann.event("flight.cancelled").messages[1]
    ann.receipt("opted_out", target=PHONE, at=SECOND)
    ann.receipt("resubscribed", target=PHONE, at=2 * SECOND)
    ann.retry(message, at=MINUTE, due=HOUR)
    ann.advance(DAY)
    assert [one.channel for one in ann.messages] == ["push", "sms", "email", "sms"]
    assert said(ann.steps[-1]) == []


@pytest.mark.parametrize("at_ms", [-5, 7, NOON // 1000, NOON * 1000, (1 << 63) - 1])
def test_a_time_that_cannot_be_right_counts_as_the_arrival(ann: World, at_ms: int) -> None:
    """Seconds and microseconds are written by mistake: such a block must hold, and must be lifted again."""
    step = ann.receipt("opted_out", target=PHONE, at=SECOND, at_ms=at_ms)
    assert step.outcomes[0].at_ms == NOON + SECOND
    assert reached(ann, MINUTE) == ["push", "email"]
    ann.receipt("resubscribed", target=PHONE, at=HOUR, at_ms=NOON + HOUR)
    assert reached(ann, 2 * HOUR) == ["push", "sms", "email"]


def test_a_receipt_id_is_one_of_its_user_and_tenant() -> None:
    """Webhooks of two tenants may both count 1, 2, 3: no outcome may vanish behind another's id (law 1)."""
    world = World()
    owners = [("quiet", "ann"), ("quiet", "bob"), ("busy", "ann"), ("quiet", "ann")]
    found = [
        world.receipt("opened", tenant=tenant, user=user, receipt_id="1").outcomes[0].outcome_id
        for tenant, user in owners
    ]
    assert len(set(found)) == 3
    assert found[0] == found[3], "a copy has the same id"


@pytest.mark.parametrize(
    ("reason", "blocks"), [("Permanent", True), ("PERMANENT", True), ("Transient", False)]
)
def test_a_bounce_is_permanent_in_any_case(ann: World, reason: str, blocks: bool) -> None:
    ann.receipt("bounced", target=EMAIL, reason=reason, at=SECOND)
    assert ("email" not in reached(ann, MINUTE)) is blocks
