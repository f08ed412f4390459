"""Variables of expressions: a null in the data is the same as a missing field."""

import msgspec
import pytest

from tocsin.catalog.expressions import FIELDS, Expression, ExpressionError, Scope
from tocsin.decision.recipient import Recipient
from tocsin.decision.scope import now_scope, scope_of, user_scope
from tocsin.decision.user_state import ContactPoint
from tocsin.model.event import Event, Origin

SOMEBODY = Recipient(
    version=1,
    contact_points=(),
    own_locale="",
    own_timezone="",
    locale="en",
    timezone="UTC",
    quiet_hours=None,
    switched_off=(),
    snoozed_until_ms=0,
    blocked={},
)


def holds(condition: str, data: str) -> bool:
    event = Event(
        tenant="default",
        id="1",
        source="s",
        type="t",
        user="ann",
        time_ms=0,
        data=msgspec.Raw(data.encode()),
        origin=Origin("events", 0, 0),
        received_ms=0,
    )
    return Expression(condition).test(scope_of(event, SOMEBODY, frozenset({"data"}), 0))


@pytest.mark.parametrize("data", ['{"gate": null}', "{}"])
def test_null_and_missing_are_the_same_for_a_condition(data: str) -> None:
    assert not holds("data.gate is defined", data)
    assert holds("data.gate is none and data.gate | default('-') == '-'", data)
    with pytest.raises(ExpressionError, match="`gate` is missing"):
        holds("data.gate >= 60", data)


MAY = 1_777_631_400_000
"""Friday 2026-05-01, 10:30 UTC."""


def at(condition: str, timezone: str, now_ms: int = MAY) -> bool:
    return Expression(condition).test(Scope({"now": now_scope(timezone, now_ms)}))


@pytest.mark.parametrize(
    ("timezone", "condition"),
    [
        ("UTC", "now.date == '2026-05-01' and now.time == '10:30' and now.weekday == 'friday'"),
        ("Asia/Tokyo", "now.hour == 19 and now.minute == 30 and '18:00' <= now.time < '20:00'"),
        ("Pacific/Kiritimati", "now.day == 2 and now.month == 5 and now.year == 2026"),
        ("Pacific/Kiritimati", "now.weekday in ['saturday', 'sunday'] and now.ms == 1777631400000"),
    ],
)
def test_now_is_read_as_people_read_it_where_the_user_is(timezone: str, condition: str) -> None:
    assert at(condition, timezone)


def test_now_follows_summer_time() -> None:
    """Clocks in New York go from 02:00 to 03:00 on 2026-03-08, at 07:00 UTC."""
    change_ms = 1_772_953_200_000
    assert at("now.time == '01:59'", "America/New_York", change_ms - 1)
    assert at("now.time == '03:00'", "America/New_York", change_ms)


PHONES = (
    ContactPoint("push", "a", "token", "ios", "app.one"),
    ContactPoint("push", "b", "other", "android", "app.one"),
    ContactPoint("inapp", "c"),
)
PLATFORMS = "user.platforms == ['ios', 'android'] and user.apps == ['app.one']"


@pytest.mark.parametrize(
    "condition",
    [
        PLATFORMS,
        "user.channels == ['push', 'inapp']",
        "user.attributes.plan == 'gold' and user.attributes.seats > 2",
        "user.attributes.left is not defined and user.attributes.gone | default('-') == '-'",
    ],
)
def test_the_profile_is_there_for_conditions(condition: str) -> None:
    attributes = b'{"plan":"gold","seats":3,"gone":null}'
    person = msgspec.structs.replace(SOMEBODY, contact_points=PHONES, attributes=attributes)
    assert Expression(condition).test(Scope({"user": user_scope("ann", person)}))


def test_an_attribute_that_is_missing_is_an_error_as_any_field_is() -> None:
    with pytest.raises(ExpressionError, match="`plan` is missing"):
        Expression("user.attributes.plan == 'gold'").test(Scope({"user": user_scope("ann", SOMEBODY)}))


def test_a_null_in_a_list_keeps_its_place() -> None:
    assert holds("data.gates[1] == 'B' and 'B' in data.gates", '{"gates": [null, "B"]}')


def test_the_fields_that_check_knows_are_those_that_expressions_read() -> None:
    event = Event(
        tenant="default", id="1", source="s", type="t", user="ann", time_ms=0, data=msgspec.Raw(b"{}"),
        origin=Origin("events", 0, 0), received_ms=0,
    )  # fmt: skip
    read = scope_of(event, SOMEBODY, frozenset(FIELDS), 0).variables
    assert {name: tuple(fields) for name, fields in read.items() if isinstance(fields, dict)} == FIELDS
