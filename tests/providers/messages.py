"""Messages for delivery tests."""

from typing import Any

import msgspec

from tocsin.model import topics
from tocsin.model.event import Origin
from tocsin.model.ids import digest
from tocsin.model.message import Message, Target
from tocsin.model.raw import RawRecord

encode = msgspec.json.Encoder().encode


def message(user: str = "ann", number: int = 1, **fields: Any) -> Message:
    base: dict[str, Any] = {
        "message_id": digest("m", user, str(number)),
        "notification_id": digest("n", user, str(number)),
        "tenant": "acme",
        "user": user,
        "channel": "email",
        "target": Target(address=f"{user}@secret.example"),
        "notification": "welcome",
        "category": "account",
        "template": "welcome",
        "data": msgspec.Raw(b'{"number":%d}' % number),
        "locale": "en",
        "profile_version": 3,
        "event_id": f"e{number}",
        "event_source": "test",
        "event_type": "t",
        "event_time_ms": 1_000,
        "received_ms": 2_000,
        "decided_ms": 3_000,
        "origin": Origin("events", 0, number),
    }
    return Message(**(base | fields))


def record(letter: Message, offset: int, *, bulk: bool = False, partition: int = 0) -> RawRecord:
    return RawRecord(
        topic=topics.messages(letter.channel, bulk=bulk),
        partition=partition,
        offset=offset,
        timestamp_ms=4_000,
        key=f"{letter.tenant}/{letter.user}".encode(),
        value=encode(letter),
        headers=(),
    )
