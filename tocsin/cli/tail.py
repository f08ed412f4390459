"""`tocsin tail`: a topic as it grows, readable."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from sources.reader import TopicReader
from tocsin.app.settings import Settings
from tocsin.cli.output import console, fail, print_json
from tocsin.formats.codec import read_dead_letter
from tocsin.model import topics
from tocsin.model.raw import RawRecord


def tail(
    topic: Annotated[str, typer.Argument(help="topic without the prefix, such as outcomes or dead")],
    *,
    last: Annotated[
        int,
        typer.Option(
            "--last", "-n", min=0, help="first print this many of the last records of each partition"
        ),
    ] = 0,
    follow: Annotated[bool, typer.Option(help="keep printing records as they arrive")] = True,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object a line")] = False,
) -> None:
    """Print a topic's records as they arrive."""
    settings = Settings()
    if topic not in topics.ALL and not topics.channel_of(topic):
        fail(f"no topic is called {topic!r}; there are: {', '.join(topics.ALL)}", code=2)
    with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        for record in _records(reader, topic, last=last, follow=follow):
            _show(record, json=json)


def _records(reader: TopicReader, topic: str, *, last: int, follow: bool) -> Iterator[RawRecord]:
    if last or not follow:
        yield from reader.read(topic, last=last or None)
    if follow:
        yield from reader.follow([topic])


def _show(record: RawRecord, *, json: bool) -> None:
    value = as_value(record)
    at = f"{record.topic}/{record.partition}/{record.offset}"
    if json:
        print_json({"at": at, "timestamp_ms": record.timestamp_ms, "value": value})
        return
    console.print(f"[dim]{at}[/dim] ", end="")
    console.print_json(data=value, indent=None)


def as_value(record: RawRecord) -> object:
    """Make a record fit for reading: JSON as it is, a dead letter by its headers, other bytes as text."""
    if record.topic == topics.DEAD:
        letter = msgspec.to_builtins(read_dead_letter(record), builtin_types=(bytes,))
        return {name: item for name, item in letter.items() if name not in {"value", "key", "headers"}} | {
            "value": _text(letter["value"])
        }
    try:
        return msgspec.json.decode(record.value or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _text(record.value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")
