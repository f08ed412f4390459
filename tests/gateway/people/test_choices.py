"""What the page offers and shows is what the gate decides."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decision.gate_world import RULES, World, profile
from tocsin.app.examples import example_catalog
from tocsin.catalog.loader import load
from tocsin.gateway.people.choices import CategoryChoice, cells, choices, turned_on, with_cells
from tocsin.model.profile import Preferences
from tocsin.model.statuses import FIRST_CHANNELS

FLIGHTS = load(example_catalog()).tenants["default"]
TENANTS = {"flights": FLIGHTS, **{f"rules {name}": found for name, found in RULES.tenants.items()}}


def test_categories_have_their_titles_channels_and_notifications() -> None:
    service, updates, offers = choices(FLIGHTS, "en")
    assert (service.name, service.title, service.required) == ("service", "Cancellations and rebooking", True)
    assert service.channels == ("email", "sms", "push"), "that of a later step, too"
    flights = ("flight_delayed", "flight_departed", "flight_landed", "small_delays")
    assert updates.notifications == (*flights, "airport_report")
    assert (offers.name, offers.channels) == ("offers", ("email", "push"))


SWITCHES = st.one_of(
    st.booleans(), st.dictionaries(st.sampled_from([*map(str, FIRST_CHANNELS)]), st.booleans(), max_size=3)
)


@given(data=st.data(), name=st.sampled_from(sorted(TENANTS)))
def test_what_is_saved_is_what_is_shown_next(data: st.DataObject, name: str) -> None:
    tenant = TENANTS[name]
    offered = choices(tenant, "en")
    names = [one.name for one in offered]
    notifications = [each for one in offered for each in one.notifications]
    chosen = Preferences(
        channels=data.draw(st.dictionaries(st.sampled_from(FIRST_CHANNELS), st.booleans())),
        categories=data.draw(st.dictionaries(st.sampled_from(names), SWITCHES)),
        notifications=data.draw(st.dictionaries(st.sampled_from(notifications), SWITCHES)),
    )
    wanted = {
        one.name: {channel: data.draw(st.booleans()) for channel in one.channels}
        for one in offered
        if not one.required
    }
    saved = with_cells(tenant, offered, chosen, wanted)
    shown = cells(tenant, offered, saved)
    assert {one: shown[one] for one in wanted} == wanted
    assert with_cells(tenant, offered, saved, wanted) == saved, "saving again changes nothing"


@pytest.mark.parametrize("is_on", [True, False])
def test_the_gate_does_what_a_cell_shows(is_on: bool) -> None:
    world = World()
    tenant = world.gate.context.catalog.tenants["quiet"]
    offered = choices(tenant, "en")
    wanted = {"updates": dict.fromkeys(_of(offered, "updates").channels, is_on)}
    world.profile(profile(preferences=with_cells(tenant, offered, Preferences(), wanted)))
    assert bool(world.event("flight.landed", at=1_000).messages) == is_on


def _of(offered: list[CategoryChoice], name: str) -> CategoryChoice:
    return next(one for one in offered if one.name == name)


def test_what_is_turned_on_again_is_told() -> None:
    before = Preferences(enabled=False, categories={"a": False, "b": {"email": False}, "c": {"sms": True}})
    after = msgspec.structs.replace(before, enabled=True, categories={"a": {"email": True}, "b": True})
    assert turned_on(before, after) == ["*", "a", "b"]
    assert turned_on(after, before) == []
    assert turned_on(before, before) == []
