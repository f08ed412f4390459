"""Gate, store, delivery and the provider sandbox together: a night's news leave once, in the morning."""

from pathlib import Path
from typing import Any

import msgspec

from tests.decision.gate_world import NOON, profile
from tests.operators.test_gate_logic import Process
from tests.operators.test_slots_end_to_end import Build, box, box_process, letter, sendgrid
from tests.operators.test_times_store import MORNING, event, fire, known, started
from tests.sandbox.box import Box
from tocsin.model.message import Message
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.providers.sendgrid import SendGrid

__all__ = ["box", "box_process", "sendgrid"]


def published(process: Process, channel: str) -> list[RawRecord]:
    records = [one for one in process.published.records if isinstance(one, OutRecord)]
    found = [one for one in records if one.topic.startswith(f"messages.{channel}")]
    return [RawRecord(one.topic, 0, offset, NOON, one.key, one.value, ()) for offset, one in enumerate(found)]


def test_what_is_replaced_or_cancelled_in_the_night_never_reaches_the_provider(
    rig: Build, sendgrid: SendGrid, box: Box, tmp_path: Path
) -> None:
    """The user has snoozed until eight. Of two news the newer is sent then, and one of two others is left."""
    stored: dict[str, Any] = {}
    process = started(tmp_path / "shard", stored)
    asleep = {"preferences": {"snoozed_until": "2023-11-15T08:00:00Z"}}
    change = msgspec.convert(asleep, type(profile()))
    wanted = msgspec.structs.replace(profile(devices=(), phone=""), preferences=change.preferences)
    process.give(
        known(wanted),
        event(600, "news", room="a"),
        event(601, "news", room="a"),
        event(602, "turns", key=7),
        event(603, "turns", key=8),
        event(604, "tocsin.cancel", cancel_key=7),
    )
    process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored)
    assert fire(again, MORNING - 1) == []
    assert [word[:2] for word in told_mail(again, MORNING + 1)] == [
        ("e601", "admitted"),
        ("e603", "admitted"),
    ]
    again.epoch()
    records = published(again, "email")
    made = rig([sendgrid], render=letter).feed(*records).until_acked(len(records))
    decoded = [msgspec.json.decode(record.value or b"", type=Message) for record in records]
    assert [one.event_id for one in decoded] == ["e601", "e603"]
    assert len(box.send_log()) == 2
    assert made.out
    again.shard.close()


def told_mail(process: Process, minute: int) -> list[tuple[str, str, str, str]]:
    return [word for word in fire(process, minute) if word[3] == "email"]
