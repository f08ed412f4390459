"""Experiments: the arm of a user in messages and outcomes, what keeps it, and the control group."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.decision.gate_world import HOUR, MINUTE, SECOND, World, profile, said, with_preferences
from tocsin.catalog.compile import compile_tenant
from tocsin.catalog.loader import Catalog
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.catalog.variants import draw
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.model.profile import Profile

USERS = [f"user-{number}" for number in range(40)]
ARMS = [{"name": "plain", "weight": 1}, {"name": "other", "weight": 1, "template": "fresh"}]
CONTROL = [{"name": "sent", "weight": 1}, {"name": "control", "weight": 1, "holdout": True}]
GATHERED = {"every": "1h", "key": "data.key", "single": "digest"}


def catalog(variants: list[dict[str, Any]], version: str = "v", **changes: Any) -> Catalog:
    """Compile the notification `offer` with these arms, for events of the type `t`."""
    tenant = {"categories": {"a": {}}, "limits": [{"max": 1, "per": "1h", "scope": "user"}]}
    notice = {"on": {"type": "t"}, "category": "a", "channels": ["email"], "variants": variants, **changes}
    specs = {"offer": NotificationSpec.model_validate(notice)}
    spec = TenantSpec.model_validate(tenant)
    return Catalog(version, {"quiet": compile_tenant("quiet", spec, specs, version)})


def known(found: Catalog, wanted: Profile | None = None) -> World:
    world = World(catalog=found)
    for user in USERS:
        world.profile(wanted or profile(), user=user)
    return world


def arm_of(found: Catalog, user: str) -> str:
    notification = found.notification("quiet", "offer")
    assert notification is not None
    return draw(notification.variants, user).name


def test_messages_and_outcomes_name_the_arm_and_the_template_is_the_arms() -> None:
    found = catalog(ARMS)
    world = known(found)
    for user in USERS:
        world.event("t", user=user)
    assert [one.variant for one in world.messages] == [arm_of(found, user) for user in USERS]
    assert [one.variant for one in world.outcomes] == [arm_of(found, user) for user in USERS]
    assert {(one.variant, one.template) for one in world.messages} == {("plain", "offer"), ("other", "fresh")}


def test_what_was_suppressed_or_held_names_the_arm_too() -> None:
    found = catalog(ARMS, limits=[{"max": 1, "per": "1h", "overflow": "hold"}], delay="1m")
    world = known(found)
    world.event("t", user=USERS[0])
    world.profile(with_preferences(enabled=False), user=USERS[0], at=1)
    world.advance(HOUR)
    assert [(one.status, one.variant) for one in world.outcomes] == [
        ("held", arm_of(found, USERS[0])),
        ("suppressed", arm_of(found, USERS[0])),
    ]


def test_what_is_held_keeps_its_arm_although_the_weights_change() -> None:
    """Its outcome `held` has named the arm."""
    before = catalog(ARMS, delay="1m")
    world = known(before)
    for user in USERS:
        world.event("t", user=user)
    turned = [{**ARMS[0], "weight": 0}, ARMS[1]]
    world.gate = Gate(catalog(turned, "w", delay="1m"), GatePolicy())
    world.advance(HOUR)
    arms = {one.user: one.variant for one in world.messages}
    assert arms == {user: arm_of(before, user) for user in USERS}
    assert set(arms.values()) == {"plain", "other"}


def test_what_is_held_for_an_arm_that_is_gone_is_drawn_anew() -> None:
    world = known(catalog(ARMS, delay="1m"))
    for user in USERS:
        world.event("t", user=user)
    renamed = [{"name": "one", "weight": 1}, {"name": "two", "weight": 1}]
    world.gate = Gate(catalog(renamed, "w", delay="1m"), GatePolicy())
    world.advance(HOUR)
    assert {one.variant for one in world.messages} == {"one", "two"}


def test_a_returned_message_keeps_its_arm_and_template() -> None:
    world = known(catalog(ARMS))
    user = next(user for user in USERS if arm_of(catalog(ARMS), user) == "other")
    (message,) = world.event("t", user=user).messages
    world.gate = Gate(catalog([ARMS[0], {**ARMS[1], "weight": 0}], "w"), GatePolicy())
    step = world.retry(message, at=MINUTE)
    assert [(one.variant, one.template) for one in step.messages] == [("other", "fresh")]
    step = world.retry(message, at=MINUTE, due=2 * MINUTE, attempt=3)
    assert [(one.status, one.variant) for one in step.outcomes] == [("held", "other")]


def test_a_digest_is_in_the_arm_of_its_items() -> None:
    found = catalog(ARMS, digest=GATHERED)
    world = known(found)
    for user in USERS:
        world.event("t", user=user)
        world.event("t", user=user)
    world.advance(2 * HOUR)
    assert {(one.variant, one.template) for one in world.messages} == {("plain", "offer"), ("other", "fresh")}
    arms = {(one.user, one.variant) for one in world.outcomes}
    assert arms == {(user, arm_of(found, user)) for user in USERS}


def test_the_control_group_gets_nothing_and_takes_no_place_in_a_limit() -> None:
    found = catalog(CONTROL)
    world = known(found)
    user = next(user for user in USERS if arm_of(found, user) == "control")
    for at in (0, SECOND):
        step = world.event("t", user=user, at=at)
        assert said(step) == [("suppressed", "holdout", "*")]
        assert (step.outcomes[0].rule, step.outcomes[0].variant) == ("holdout", "control")
    record = world.record(user)
    assert record is not None
    assert record.counts == {}


def test_the_control_group_has_only_people_who_would_have_got_it() -> None:
    found = catalog(CONTROL)
    world = known(found, with_preferences(categories={"a": False}))
    for user in USERS:
        world.event("t", user=user)
    assert {(one.reason, one.variant) for one in world.outcomes} == {
        ("category_off", "sent"),
        ("category_off", "control"),
    }


def _cancelled(world: World, user: str) -> None:
    world.event("tocsin.cancel", user=user, at=1, data={"cancel_key": "k"})


def _merged(world: World, user: str) -> None:
    world.event("t", user=user, at=1)


def _erased(world: World, user: str) -> None:
    world.profile(None, user=user, at=1)


def _gone(world: World, user: str) -> None:
    world.gate = Gate(catalog(ARMS, "w", on={"type": "other", "when": "data.gone is defined"}), GatePolicy())
    world.advance(2 * HOUR)


@pytest.mark.parametrize(
    ("end", "status"),
    [(_cancelled, "cancelled"), (_merged, "merged"), (_erased, "suppressed"), (_gone, "cancelled")],
)
def test_what_is_held_names_its_arm_when_it_ends_early(
    end: Callable[[World, str], None], status: str
) -> None:
    found = catalog(ARMS, delay="1h", cancel_key="data.key", collapse_key="data.key")
    if status == "merged":
        found = catalog(ARMS, delay="1h", collapse_key="data.key")
    world = known(found)
    for user in USERS:
        world.event("t", user=user)
    for user in USERS:
        end(world, user)
    ended = {one.user: one.variant for one in world.outcomes if one.status == status and one.notification}
    assert ended == {user: arm_of(found, user) for user in USERS}


def test_a_held_message_names_its_arm_when_it_ends_early() -> None:
    world = known(catalog(ARMS))
    (message,) = world.event("t", user=USERS[0]).messages
    world.retry(message, due=HOUR)
    step = world.profile(None, user=USERS[0], at=1)
    assert [(one.reason, one.variant) for one in step.outcomes] == [("erased", message.variant)]


def test_a_notification_without_variants_says_nothing_of_them() -> None:
    world = known(catalog([]))
    (message,) = world.event("t", user=USERS[0]).messages
    assert b"variant" not in msgspec.json.encode(message)
    assert b"variant" not in msgspec.json.encode(world.outcomes[-1])


def test_conditions_read_the_profile_and_the_time_of_the_decision() -> None:
    when = "user.attributes.plan | default('') == 'gold' and now.hour < 13"
    found = catalog([], on={"type": "t", "when": when}, delay="2h")
    world = known(found, profile(attributes={"plan": "gold"}))
    assert said(world.event("t", user=USERS[0])) == [("held", "scheduled", "*")]
    world.profile(profile(attributes={"plan": "none"}), user=USERS[1], at=1)
    assert said(world.event("t", user=USERS[1], at=1)) == [("suppressed", "no_match", "*")]
    world.advance(3 * HOUR)
    assert said(world.steps[-1]) == [("cancelled", "no_match", "*")], "at 14:00 the condition holds no more"


def test_changed_attributes_make_no_message_stale() -> None:
    """Conditions are not asked again for what was admitted; a time of the last visit changes all day."""
    world = known(catalog([]), profile(attributes={"seen": 1}))
    step = world.profile(profile(attributes={"seen": 2}), user=USERS[0], at=1)
    assert (step.touched, step.profile_version) == (True, None)
    record = world.record(USERS[0])
    assert record is not None
    assert (record.version, record.attributes) == (1, b'{"seen":2}')
    step = world.profile(profile(attributes={"seen": 2}), user=USERS[0], at=2)
    assert not step.touched
