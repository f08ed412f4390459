"""Builds the message and the outcome of a notification that wait for an event and a user."""

import msgspec

from tocsin.catalog.compile_input import CompileInput
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status


def blank_message(source: CompileInput) -> Message:
    """Build the message that each one of a notification is a copy of."""
    notice = source.notice
    return Message(
        message_id="",
        notification_id="",
        tenant=source.tenant,
        user="",
        channel="",
        target=Target(""),
        notification=source.name,
        category=notice.category,
        template=notice.template or source.name,
        data=msgspec.Raw(),
        locale="",
        priority=notice.priority,
        catalog_version=source.version,
        event_id="",
        event_source="",
        event_type="",
        event_time_ms=0,
        received_ms=0,
        decided_ms=0,
        origin=Origin("", 0, 0),
    )


def blank_outcome(source: CompileInput) -> Outcome:
    """Build the outcome that each one of a notification is a copy of."""
    notice = source.notice
    return Outcome(
        outcome_id="",
        status=Status.ADMITTED.value,
        tenant=source.tenant,
        notification=source.name,
        category=notice.category,
        priority=notice.priority,
        catalog_version=source.version,
        at_ms=0,
    )
