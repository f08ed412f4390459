"""Decode of a real record whose library sets Kafka's timestamp to the event's time."""

import pytest

from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from tests.formats.sdk_records import LINES, MIDNIGHT
from tests.operators.test_decode import KEY_GROUPS, LIMITS, PARTITIONS, Clocks, Notes, home, inputs, outs
from tocsin.model import topics
from tocsin.model.event import Event

YEAR_MS = 365 * 86_400_000
(RECORD,) = (
    line.record._replace(partition=home("ann"))
    for line in LINES
    if (line.library, line.mode, line.name) == ("cloudevents-javascript-10.0.0", "structured", "object")
)


def decoder_at(wall_ms: int) -> Decoder:
    policy = DecodePolicy(partitions=PARTITIONS, key_groups=KEY_GROUPS, limits=LIMITS)
    return Decoder(policy, Clocks(), Notes(), lambda: wall_ms)


def test_an_event_of_two_years_ago_is_refused_though_kafkas_timestamp_is_as_old() -> None:
    routed = decoder_at(MIDNIGHT + 2 * YEAR_MS)([RECORD])
    assert not inputs(routed)
    (dead,) = (record for record in outs(routed) if record.topic == topics.DEAD)
    assert dict(dead.headers)["tocsin-error"].startswith(b"time: more than 86400 s ago; its producer wrote")


@pytest.mark.parametrize("late_ms", [0, 86_400_500])
def test_an_event_within_the_limit_is_decided(late_ms: int) -> None:
    (entry,) = inputs(decoder_at(MIDNIGHT + late_ms)([RECORD]))
    assert isinstance(entry.item, Event)
    assert entry.item.time_ms == MIDNIGHT + 500
