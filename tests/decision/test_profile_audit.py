"""What the audit log says of profiles: the choices that changed, by name, and who was erased."""

from tests.decision.gate_world import HOUR, MINUTE, NOON, World, profile
from tests.decision.test_moved_profiles import read
from tocsin.model.audit import AuditRecord
from tocsin.model.profile import Preferences


def entered(world: World, at: int, version: int, **fields: object) -> AuditRecord | None:
    return read(world, profile(version=version, **fields), at=at).audit


def test_a_first_profile_is_no_change() -> None:
    assert entered(World(), 0, 1, preferences=Preferences(enabled=False)) is None


def test_switches_that_were_turned_are_named() -> None:
    world = World()
    entered(world, 0, 1, preferences=Preferences(channels={"sms": False}))
    audit = entered(world, MINUTE, 2, preferences=Preferences(channels={"email": False}))
    assert audit is not None
    assert (audit.action, audit.actor, audit.at_ms) == ("preferences_changed", "profiles", NOON + MINUTE)
    assert audit.detail == {"turned_off": ["channel:email"], "turned_on": ["channel:sms"], "version": 2}


def test_an_address_that_changes_is_no_choice() -> None:
    world = World()
    entered(world, 0, 1)
    assert entered(world, MINUTE, 2, email="new@mail.example") is None


def test_a_tombstone_is_entered_also_of_a_user_who_is_not_known() -> None:
    world = World()
    for at in (0, HOUR):
        audit = read(world, None, at=at).audit
        assert audit is not None
        assert (audit.action, audit.tenant, audit.at_ms) == ("user_erased", "quiet", NOON + at)
        assert audit.user
        entered(world, at + MINUTE, 1)
