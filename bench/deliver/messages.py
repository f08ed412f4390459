"""The messages that every contender sends: about flights of the demo, written to a file once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from tocsin.devkit.demo_data import DemoData
from tocsin.devkit.flights import chosen_days
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target

DIFFERENT = 1_000
LOCALES = ("en-US", "de-DE", "es-MX")
encode = msgspec.json.Encoder().encode


class Kind(NamedTuple):
    """What a channel of the bench carries: the type of its events, and to whom."""

    event_type: str
    target: Target


KINDS = {
    "sms": Kind("flight.cancelled", Target("+14155552671")),
    "push": Kind("flight.delayed", Target("token-of-USER", platform="android", app="skylark")),
    "email": Kind("flight.delayed", Target("USER@example.com")),
}


class _Event(msgspec.Struct):
    type: str
    data: msgspec.Raw


def bodies_of(channel: str) -> list[bytes]:
    """Make messages with `NUMBER` and `USER` in the places that differ from send to send."""
    return list(map(encode, _messages(channel)))


def write_messages(path: Path, channel: str) -> None:
    """Write one message a line."""
    path.write_bytes(b"\n".join(bodies_of(channel)))


def _messages(channel: str) -> Iterator[Message]:
    kind, decode = KINDS[channel], msgspec.json.Decoder(_Event).decode
    number = 0
    for record in DemoData(chosen_days(10), 20_000, seed=1).events():
        try:
            event = decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the broken records of the demo
        if event.type == kind.event_type:
            yield _message(channel, kind, number, event.data)
            number += 1
        if number == DIFFERENT:
            return


def _message(channel: str, kind: Kind, number: int, data: msgspec.Raw) -> Message:
    name = kind.event_type.replace(".", "_")
    own = json.dumps(json.loads(bytes(data)) | {"ticket": "NUMBER"}).encode()
    return Message(
        message_id="NUMBER",
        notification_id="NUMBER",
        tenant="default",
        user="USER",
        channel=channel,
        target=kind.target,
        notification=name,
        category="flight_updates",
        template=name,
        data=msgspec.Raw(own),
        locale=LOCALES[number % len(LOCALES)],
        timezone="America/New_York",
        event_id=str(number),
        event_source="/bench",
        event_type=kind.event_type,
        event_time_ms=0,
        received_ms=0,
        decided_ms=0,
        origin=Origin("events", 0, number),
    )
