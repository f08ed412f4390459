"""Variables of expressions: a null in the data is the same as a missing field."""

import msgspec
import pytest

from tocsin.catalog.expressions import Expression, ExpressionError
from tocsin.decision.recipient import Recipient
from tocsin.decision.scope import scope_of
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
    return Expression(condition).test(scope_of(event, SOMEBODY, frozenset({"data"})))


@pytest.mark.parametrize("data", ['{"gate": null}', "{}"])
def test_null_and_missing_are_the_same_for_a_condition(data: str) -> None:
    assert not holds("data.gate is defined", data)
    assert holds("data.gate is none and data.gate | default('-') == '-'", data)
    with pytest.raises(ExpressionError, match="a field it reads is missing"):
        holds("data.gate >= 60", data)


def test_a_null_in_a_list_keeps_its_place() -> None:
    assert holds("data.gates[1] == 'B' and 'B' in data.gates", '{"gates": [null, "B"]}')
