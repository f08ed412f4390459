"""Reads what `tocsin replay` is asked for; a mistake is one sentence with its cure."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sources.replays.selection import WHAT, What, topics_of
from sources.replays.spans import Span, SpanReader
from sources.replays.state import ReplayState
from tocsin.cli.channels import check_channels
from tocsin.cli.output import check_names, fail
from tocsin.cli.times import time_range
from tocsin.errors import SettingsError
from tocsin.formats.shapes import MAX_TEXT
from tocsin.model import topics
from tocsin.model.statuses import Reason, Status

STAGES = ("decode", "gate", "deliver", "track", "publish")
_LAST = (1 << 63) - 1
_FORM = "write topic/partition/offset to begin there, or topic/partition/first-last"


def read_what(word: str) -> What:
    """Read what is replayed."""
    what = next((one for one in WHAT if one == word), None)
    if what is None:
        fail(f"replay {word!r}: there is dead (dead letters), events, messages and list", code=2)
    return what


def check_words(
    reasons: Iterable[str], statuses: Iterable[str], stages: Iterable[str], channels: Iterable[str]
) -> None:
    """End with what there is, if an option names what there is not."""
    check_names("reason", reasons, [one.value for one in Reason if one])
    check_names("status", statuses, [one.value for one in Status])
    check_names("stage", stages, STAGES)
    check_channels("channel", channels)


def check_texts(**options: Iterable[str] | None) -> None:
    """End if a filter names nothing, as an unset variable of a shell does."""
    for option, texts in options.items():
        for text in texts or ():
            if not text.strip() or len(text) > MAX_TEXT or not text.isprintable():
                fail(
                    f"--{option} {text[:40]!r}: names nothing; write a value, or leave the option out", code=2
                )


def read_range(since: str, until: str) -> tuple[int, int]:
    """Read `--since` and `--until`; 0 for no bound."""
    found = time_range(since, until)
    return found.get("from_ms", 0), found.get("to_ms", 0)


def read_ids(file: str) -> tuple[str, ...]:
    """Read an id list, one a line; `-` is stdin."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        fail(f"--ids {file}: {error.strerror}", code=2)
    found: dict[str, None] = {}
    for number, line in enumerate(data.splitlines(), 1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            fail(f"--ids {file}, line {number}: not UTF-8; write one id a line", code=2)
        if not text:
            continue
        if len(text) > MAX_TEXT or not text.isprintable() or any(mark in text for mark in '",{}[]\t'):
            fail(
                f"--ids {file}, line {number}: no id; write one a line: of a message, notification or event,"
                " or an origin such as events/9/4211",
                code=2,
            )
        found[text] = None
    if not found:
        fail(f"--ids {file}: holds no id; write one a line", code=2)
    return tuple(found)


def read_from(texts: Sequence[str], what: What) -> list[Span]:
    """Read `--from`: places and ranges of the topics that are read."""
    found: dict[tuple[str, int], Span] = {}
    for text in texts:
        span = _read_place(text, what)
        if (span.topic, span.partition) in found:
            fail(
                f"--from {text}: {span.topic}/{span.partition} is named twice; replay its ranges one by one",
                code=2,
            )
        found[span.topic, span.partition] = span
    return list(found.values())


def _read_place(text: str, what: What) -> Span:
    parts = text.rsplit("/", 2)
    if len(parts) != 3:
        fail(f"--from {text}: {_FORM}", code=2)
    topic, partition, offsets = parts
    first, dash, last = offsets.partition("-")
    numbers = [partition, first, *([last] if dash else [])]
    if not all(one.isascii() and one.isdigit() and len(one) < 19 for one in numbers):
        fail(f"--from {text}: {_FORM}", code=2)
    if topic not in topics_of(what, [topic]):
        there = ", ".join(topics_of(what, topics.MESSAGES))
        fail(f"--from {text}: `replay {what}` does not read {topic!r}; it reads {there}", code=2)
    end = int(last) + 1 if dash else _LAST
    if int(first) >= end:
        fail(f"--from {text}: the range is empty; write the lower offset first", code=2)
    return Span(topic, int(partition), int(first), end)


def check_layout(reader: SpanReader, prefix: str, partitions: int) -> None:
    """End if the topics are not there, or have another number of partitions than the settings say.

    Raises:
        SettingsError: names the setting and its cure.
    """
    count = len(reader.partitions(topics.EVENTS))
    if not count:
        cure = "is TOCSIN_TOPIC_PREFIX right, and `tocsin topics create` done?"
        msg = f"no topic is called {prefix}{topics.EVENTS}: {cure}"
        raise SettingsError(msg)
    if count != partitions:
        msg = f"the topics have {count} partitions, not {partitions}: set TOCSIN_PARTITIONS={count}"
        raise SettingsError(msg)


def check_cluster(reader: SpanReader, state: ReplayState) -> None:
    """End if a replay is of another Kafka cluster: its offsets mean nothing here.

    Raises:
        SettingsError: names both clusters and the cure.
    """
    cluster = reader.cluster()
    if state.cluster and cluster and cluster != state.cluster:
        msg = (
            f"replay {state.id} is of the Kafka cluster {state.cluster} ({state.kafka}),"
            f" and TOCSIN_KAFKA leads to the cluster {cluster}: set TOCSIN_KAFKA as then, or start it anew"
        )
        raise SettingsError(msg)


def check_places(reader: SpanReader, given: Iterable[Span]) -> None:
    """End if a place is outside of what its topic holds."""
    wholes: dict[str, dict[int, Span]] = {}
    for span in given:
        if span.topic not in wholes:
            wholes[span.topic] = {one.partition: one for one in reader.whole(span.topic)}
        whole = wholes[span.topic].get(span.partition)
        if whole is None:
            count = len(wholes[span.topic])
            known = f"its partitions are 0 to {count - 1}" if count else "run `tocsin topics create`"
            fail(f"--from {span.topic}/{span.partition}: there is no such partition; {known}", code=2)
        if span.start >= whole.end or span.end <= whole.start:
            held = f"holds {whole.start} to {whole.end - 1}" if len(whole) else "holds nothing"
            fail(f"--from {span.topic}/{span.partition}/{span.start}: the partition {held}", code=2)
