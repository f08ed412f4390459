"""`tocsin send`: one event by hand."""

import json as jsonlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import typer
from confluent_kafka import KafkaError, Message, Producer
from rich.text import Text

from sources.partitioner import partition_of
from sources.reader import silent_logger
from tocsin.app.settings import Settings
from tocsin.cli.output import console, fail, print_json
from tocsin.model import topics
from tocsin.model.event import NAMED
from tocsin.model.rfc3339 import rfc3339_ms


def send(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="event type, such as flight.cancelled")] = "",
    *,
    user: Annotated[str, typer.Option(help="id of the user")] = "",
    to: Annotated[str, typer.Option("--topic", help="instead of a user: all subscribers of a topic")] = "",
    segment: Annotated[str, typer.Option(help="broadcast to this segment, or to everyone: '*'")] = "",
    data: Annotated[str, typer.Option(help="the event's data, a JSON object")] = "{}",
    tenant: Annotated[str, typer.Option(help="tenant of the user")] = "default",
    event_id: Annotated[str, typer.Option("--id", help="id of the event; by default a new one")] = "",
    source: Annotated[str, typer.Option(help="source of the event")] = "/tocsin/send",
    at: Annotated[str, typer.Option("--time", help="event time, RFC 3339; by default now")] = "",
    send_at: Annotated[str, typer.Option(help="hold until this time, RFC 3339")] = "",
    expires: Annotated[str, typer.Option(help="send nothing of it after this time, RFC 3339")] = "",
    notification: Annotated[str, typer.Option(help="only this notification answers, by its name")] = "",
    channel: Annotated[list[str] | None, typer.Option(help="only this channel of it; repeatable")] = None,
    bulk: Annotated[bool, typer.Option(help="write to the topic `bulk`, for broadcasts")] = False,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Write one event to Kafka and say where it went; with --notification it needs no type."""
    if not kind and not notification:
        fail("name the event's type, such as flight.cancelled, or a notification by --notification", code=2)
    if sum(map(bool, (user, to, segment))) != 1:
        cure = "name one user by --user, the subscribers of one topic by --topic, or one segment by --segment"
        fail(cure, code=2)
    if "/" in tenant:
        fail(f"--tenant {tenant!r}: a tenant's name has no '/'; the event would be a dead letter", code=2)
    for option, moment in (("time", at), ("send-at", send_at), ("expires", expires)):
        _check_moment(option, moment)
    event = {
        "specversion": "1.0",
        "id": event_id or str(uuid.uuid4()),
        "source": source,
        "type": kind or NAMED,
        "time": at or datetime.now(UTC).isoformat(),
        "tenant": tenant,
        "data": _object(data),
    }
    more = {
        "subject": user,
        "tocsintopic": to,
        "tocsinsegment": segment,
        "tocsinsendat": send_at,
        "tocsinexpires": expires,
    }
    more |= {"tocsinnotification": notification, "tocsinchannels": ",".join(channel or ())}
    event |= {name: value for name, value in more.items() if value}
    topic = topics.BULK if bulk or segment else topics.EVENTS
    key = f"{tenant}/{user or to or event['id']}"
    origin = write(Settings(), topic, key, jsonlib.dumps(event).encode())
    if json:
        print_json({"id": event["id"], "origin": origin})
    else:
        of_tenant = "" if tenant == "default" else f" --tenant {tenant}"
        said = f" {event['id']} at {origin}; ask with: tocsin why {event['id']}{of_tenant}"
        console.print(Text.assemble(("✓", "green"), said), soft_wrap=True)


def _check_moment(option: str, text: str) -> None:
    """End with the cure where a time would make a dead letter of the event."""
    try:
        if text:
            rfc3339_ms(text)
    except ValueError:
        fail(f"--{option} {text!r}: write a time with an offset, like 2026-01-31T09:30:00Z", code=2)


def _object(text: str) -> Any:
    try:
        value = jsonlib.loads(text)
    except ValueError as error:
        fail(f'--data: not JSON ({error}); quote it like \'{{"flight": "UA 1"}}\'', code=2)
    if not isinstance(value, dict):
        fail('--data: must be a JSON object, such as \'{"flight": "UA 1"}\'', code=2)
    return value


class Written(NamedTuple):
    """A record to write: key, value and partition."""

    key: bytes
    value: bytes | None
    partition: int


def write(settings: Settings, topic: str, key: str, value: bytes | None) -> str:
    """Write one record to its user's partition and wait for the acknowledgement; its origin."""
    record = Written(key.encode(), value, partition_of(key.encode(), settings.partitions))
    return write_all(settings, topic, [record])[0]


def write_all(settings: Settings, topic: str, records: Sequence[Written], timeout_s: float = 15) -> list[str]:
    """Write records and wait for the acknowledgements; the origins, in the order of acknowledgement."""
    landed: list[Message] = []
    problems: list[KafkaError] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            landed.append(message)
        else:
            problems.append(error)

    producer = Producer(
        {
            "bootstrap.servers": settings.kafka,
            "acks": "all",
            "message.timeout.ms": int(timeout_s * 1000),
            **settings.kafka_options,
        },
        logger=silent_logger(),  # the failure is told once, in our words
    )
    name = settings.topic_prefix + topic
    for key, value, partition in records:
        producer.produce(name, value=value, key=key, partition=partition, on_delivery=report)
        producer.poll(0)
    producer.flush(timeout_s)
    if len(landed) < len(records):
        why = problems[0].str() if problems else "no acknowledgement"
        left = f"{len(records) - len(landed)} of {len(records)} records " if len(records) > 1 else ""
        fail(f"{left}not written to {name}: {why}. Is TOCSIN_KAFKA right, and `tocsin topics create` done?")
    return [f"{topic}/{one.partition()}/{one.offset()}" for one in landed]
