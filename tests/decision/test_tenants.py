"""Tenants: of an inactive one nothing is sent, and one without a catalog loses nothing."""

import msgspec

from tests.decision.gate_world import (
    CATALOG,
    HOUR,
    MINUTE,
    NOON,
    World,
    profile,
    said,
    sent,
    with_preferences,
)
from tocsin.catalog.compile import CompiledTenant, compile_tenant
from tocsin.catalog.loader import Catalog
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.decision.faulty import LOOK_AGAIN_MS
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.model.event import Recipient
from tocsin.model.statuses import Reason


def catalog(version: str = "v", **tenant: object) -> Catalog:
    """Compile the tenant `quiet` with one notification and some settings."""
    settings = TenantSpec.model_validate({"categories": {"a": {}}, "limits": [], **tenant})
    notice = {"on": {"type": "t"}, "category": "a", "channels": ["email"], "send_window": NIGHT}
    specs = {
        "now": NotificationSpec.model_validate({**notice, "send_window": None}),
        "night": NotificationSpec.model_validate({**notice, "on": {"type": "n"}}),
    }
    return Catalog(version, {"quiet": compile_tenant("quiet", settings, specs, version)})


NIGHT = {"start": "20:00", "end": "23:00"}
ACTIVE, INACTIVE = catalog(), catalog("w", status="inactive")
FAULTY = Catalog("w", {}, None, {"quiet": "tenants/quiet.yaml:1: wrong"})


def put_in_force(world: World, found: Catalog) -> None:
    world.gate = Gate(found, GatePolicy())


def known(found: Catalog) -> World:
    world = World(catalog=found)
    world.profile(profile())
    return world


def test_events_of_an_inactive_tenant_are_suppressed_as_such() -> None:
    world = known(INACTIVE)
    assert said(world.event("t")) == [("suppressed", "tenant_inactive", "*")]
    assert said(world.event("unheard.of")) == [("suppressed", "tenant_inactive", "*")]
    assert said(world.event("t", user="stranger")) == [("suppressed", "tenant_inactive", "*")]


def test_what_was_held_is_suppressed_when_it_is_due() -> None:
    world = known(ACTIVE)
    world.event("n")
    put_in_force(world, INACTIVE)
    world.advance(9 * HOUR)
    assert said(world.steps[-1]) == [("suppressed", "tenant_inactive", "*")]
    assert world.timers == {}


def test_a_returned_message_is_suppressed() -> None:
    world = known(ACTIVE)
    (message,) = world.event("t").messages
    put_in_force(world, INACTIVE)
    assert said(world.retry(message, at=MINUTE)) == [("suppressed", "tenant_inactive", "email")]


def test_what_waits_for_a_profile_is_suppressed_when_it_comes() -> None:
    world = World(catalog=ACTIVE)
    world.event("t")
    put_in_force(world, INACTIVE)
    assert said(world.profile(profile(), at=1)) == [("suppressed", "tenant_inactive", "*")]


def test_profiles_of_an_inactive_tenant_are_applied() -> None:
    world = known(INACTIVE)
    world.profile(with_preferences(enabled=False), at=1)
    put_in_force(world, ACTIVE)
    assert said(world.event("t", at=MINUTE)) == [("suppressed", "opted_out", "*")]


def test_an_event_of_a_tenant_without_a_catalog_is_dead_and_may_come_again() -> None:
    world = known(FAULTY)
    step = world.event("t", event_id="e")
    assert said(step) == [("dead", "bad_catalog", "*")]
    assert [letter.reason for letter in step.dead_letters] == [Reason.BAD_CATALOG]
    put_in_force(world, ACTIVE)
    assert sent(world.event("t", event_id="e", at=MINUTE)) == ["email"]


def test_profiles_of_a_tenant_without_a_catalog_are_applied() -> None:
    world = World(catalog=FAULTY)
    world.profile(with_preferences(enabled=False))
    put_in_force(world, ACTIVE)
    assert said(world.event("t", at=MINUTE)) == [("suppressed", "opted_out", "*")]


def test_what_is_held_is_held_on_until_the_catalog_is_back() -> None:
    world = known(ACTIVE)
    world.event("n", event_id="first")
    world.event("n", event_id="second", at=1)
    put_in_force(world, FAULTY)
    outcomes = len(world.outcomes)
    world.advance(10 * HOUR)
    assert len(world.outcomes) == outcomes
    record = world.record()
    assert record is not None
    held = {timer_id: ref.due_ms for timer_id, ref in record.holds.items()}
    assert held == {timer_id: due_ms for (_, timer_id), (due_ms, _) in world.timers.items()}
    put_in_force(world, ACTIVE)
    world.advance(10 * HOUR + 2 * LOOK_AGAIN_MS)
    admitted = [one.event_id for one in world.outcomes[outcomes:] if one.status == "admitted"]
    assert admitted == ["first", "second"]


def test_a_returned_message_is_held_until_the_catalog_is_back() -> None:
    world = known(ACTIVE)
    (message,) = world.event("t").messages
    put_in_force(world, FAULTY)
    step = world.retry(message, at=MINUTE)
    assert said(step) == [("held", "bad_catalog", "email")]
    assert step.outcomes[0].detail == {"due_ms": NOON + MINUTE + LOOK_AGAIN_MS}
    world.advance(HOUR)
    put_in_force(world, ACTIVE)
    world.advance(HOUR + LOOK_AGAIN_MS)
    assert world.messages[-1].message_id == message.message_id
    assert world.messages[-1].attempt == message.attempt + 1


def test_what_waits_for_a_profile_is_dead_where_the_tenant_has_no_catalog() -> None:
    world = World(catalog=ACTIVE)
    world.event("t")
    put_in_force(world, FAULTY)
    step = world.profile(profile(), at=1)
    assert said(step) == [("dead", "bad_catalog", "*")]
    assert len(step.dead_letters) == 1


def test_a_tenant_that_keeps_an_older_catalog_is_decided_by_it_and_says_so() -> None:
    kept: CompiledTenant = ACTIVE.tenants["quiet"]
    mixed = Catalog("new", {**CATALOG.tenants, "quiet": kept}, None, {"quiet": "wrong"})
    world = known(mixed)
    (message,) = world.event("t").messages
    step = world.event("t", event_id="e", at=MINUTE)
    duplicate = world.event("t", event_id="e", at=MINUTE)
    nothing = world.event("flight.landed", at=MINUTE)
    found = [*step.outcomes, *duplicate.outcomes, *nothing.outcomes]
    assert {one.catalog_version for one in found} == {message.catalog_version} == {"v"}
    assert world.retry(message, at=HOUR).messages[0].catalog_version == "v"


def test_guests_of_an_inactive_tenant_leave_no_address() -> None:
    world = World(catalog=INACTIVE)
    step = world.event("t", recipient=Recipient(email="guest@mail.example"))
    assert said(step) == [("suppressed", "tenant_inactive", "*")]
    assert b"guest@" not in msgspec.json.encode(step.outcomes)
