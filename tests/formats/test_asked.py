"""What an event asks for: in each mode of CloudEvents, written anew, and refused with its field."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_codec_events import ANY_TIME, BINARY, body, decode, refusal
from tocsin.decision.fan_out import _event, _Open, _opened
from tocsin.formats.cloudevents import decode_event
from tocsin.formats.forwarded import addressed, rewritten
from tocsin.formats.shapes import MAX_TEXT
from tocsin.model.event import Asked, Origin
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

WHOLE = Asked("welcome", ("push", "email"), "order 7")
GIVEN = {"tocsinnotification": "welcome", "tocsinchannels": "push, email,push", "tocsincancelkey": "order 7"}
ASKED = st.builds(
    Asked,
    st.sampled_from(["", "welcome", "ä"]),
    st.lists(st.sampled_from(["push", "email", "telegram"]), unique=True).map(tuple),
    st.text(st.characters(categories=["L", "N", "Zs"]), max_size=9),
)


def test_structured_and_binary() -> None:
    assert decode(body(**GIVEN)).asked == WHOLE
    headers = (*BINARY, *((f"ce_{name}", text.encode()) for name, text in GIVEN.items()))
    assert decode(b"{}", headers).asked == WHOLE
    assert decode(body()).asked is None


def test_a_list_and_a_number_are_read_too() -> None:
    found = decode(body(tocsinchannels=["sms"], tocsincancelkey=7)).asked
    assert found == Asked("", ("sms",), "7")


@given(ASKED)
def test_what_is_written_anew_asks_for_the_same(asked: Asked) -> None:
    event = msgspec.structs.replace(decode(body()), asked=asked)
    again = decode_event(rewritten(event), ANY_TIME)
    assert (again.asked or Asked()) == asked
    one = RawRecord("events", 0, 0, 0, None, addressed(event)("bob"), ())
    assert (decode_event(one, ANY_TIME).asked or Asked()) == asked
    fanned = msgspec.structs.replace(event, user="", topic="flight")
    assert _event(_opened(fanned)).asked == asked


def test_an_event_that_a_topic_holds_since_before_loads() -> None:
    """A store of the release before has no such field."""
    fields = ("acme", "e1", "/s", "t", 1, b"{}", Origin("events", 1, 2), 3, None, None, False, "flight")
    event = _event(msgspec.msgpack.encode(fields))
    assert (event.topic, event.asked) == ("flight", None)
    assert len(fields) == len(_Open.__struct_fields__) - 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tocsinnotification", ""),
        ("tocsinnotification", 7),
        ("tocsinnotification", "x" * (MAX_TEXT + 1)),
        ("tocsinnotification", "a\nb"),
        ("tocsinchannels", ""),
        ("tocsinchannels", []),
        ("tocsinchannels", "push,,email"),
        ("tocsinchannels", ["push", 7]),
        ("tocsinchannels", "Not A Channel"),
        ("tocsinchannels", [f"c{n}" for n in range(33)]),
        ("tocsincancelkey", ""),
        ("tocsincancelkey", [7]),
        ("tocsincancelkey", "a\x00"),
    ],
)
def test_a_wrong_one_is_refused_with_field_and_cure(field: str, value: object) -> None:
    error = refusal(body(**{field: value}))
    assert error.reason is Reason.BAD_FIELD
    assert field in str(error)
    assert "leave it out" in str(error)
    assert "Not A Channel" not in str(error)
