"""Reads history: the records of one partition of one topic after another, from Kafka or from a folder.

A folder is what `tocsin simulate --record` writes: a file `history.json`, and for each partition of each
topic a file of JSON lines, compressed by gzip. Each line is `[offset, time in ms, key, value, headers]`.
Texts are JSON strings; bytes that are not UTF-8 are a list of one base64 string.

Nothing is written to Kafka, no group is joined and no offset is committed.
"""

import gzip
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from sources.client import reader_config, take
from sources.reader import away, silent_logger
from sources.records import is_record, raw_record
from tocsin.errors import SinkError, SourceError
from tocsin.model.raw import RawRecord
from tocsin.model.topics import READ_FIRST, full_name

Bounds = Mapping[str, Mapping[int, tuple[int, int]]]
MANIFEST = "history.json"
_BATCH = 2_000
_POLL_S = 0.5
_EMPTY_POLLS = 60
_LOOKS = 4
_TIMES_S = 10.0
"""How long a broker may take to answer."""
_FORMAT = 1
_encode = msgspec.json.encode
_DAMAGED = OSError, EOFError, zlib.error, ValueError
"""What a file raises that was cut off or changed; `msgspec` raises a `ValueError`."""


class History(Protocol):
    """Records by topic and partition, in the order of their offsets."""

    @property
    def bounds(self) -> Bounds:
        """First offset and end of each partition, by topic."""
        ...

    def read(self, topic: str, partition: int, since_ms: int = 0) -> Iterator[list[RawRecord]]:
        """Read a partition to its end, leaving out records that are older by Kafka's time."""
        ...

    def close(self) -> None:
        """Close what is open for reading."""
        ...


class KafkaHistory:
    """Reads topics up to where they ended when this was opened, or a little further.

    What has read one partition reads another one afterwards: a new consumer must connect and ask first.

    Args:
        kafka: bootstrap servers.
        prefix: prefix of the topics.
        options: further librdkafka options.
        topics: topics without prefix; those that do not exist are left out.
        bounds: of the topics, where another process has asked for them; asked for unless given.

    Raises (from every method):
        SinkError: the broker does not answer.
    """

    def __init__(
        self,
        kafka: str,
        prefix: str,
        options: Mapping[str, str],
        topics: Iterable[str],
        bounds: Bounds | None = None,
    ) -> None:
        self._kafka = kafka
        self._prefix = prefix
        self._idle: list[Consumer] = []
        queue = {"queued.max.messages.kbytes": "16384"}
        self._config = reader_config(kafka, f"{prefix}reader", {**queue, **options})
        self.bounds: Bounds = self._asked(topics) if bounds is None else bounds

    def _asked(self, topics: Iterable[str]) -> Bounds:
        with self._consumer() as consumer:
            return {topic: _bounds(consumer, full_name(self._prefix, topic), self._kafka) for topic in topics}

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        """Lend a consumer, one that is connected if there is one."""
        consumer = self._idle.pop() if self._idle else Consumer(self._config, logger=silent_logger())
        try:
            yield consumer
        finally:
            consumer.unassign()
            self._idle.append(consumer)

    def close(self) -> None:
        """Close the consumers."""
        while self._idle:
            self._idle.pop().close()

    def read(self, topic: str, partition: int, since_ms: int = 0) -> Iterator[list[RawRecord]]:
        """Read a partition to its end, leaving out records that are older by Kafka's time."""
        first, end = self.bounds.get(topic, {}).get(partition, (0, 0))
        if first >= end:
            return
        with self._consumer() as consumer:
            place = TopicPartition(full_name(self._prefix, topic), partition, first)
            place.offset = _start(consumer, place, since_ms, end) if since_ms else first
            if place.offset < 0:
                return
            consumer.assign([place])
            for messages in _drained(consumer, end):
                found = [raw_record(topic, message) for message in messages]
                if kept := [record for record in found if record.timestamp_ms >= since_ms]:
                    yield kept


def _bounds(consumer: Consumer, full: str, kafka: str) -> dict[int, tuple[int, int]]:
    try:
        found = consumer.list_topics(full, timeout=_TIMES_S).topics[full]
        if found.error is not None:
            return {}
        places = {partition: TopicPartition(full, partition) for partition in sorted(found.partitions)}
        return {p: consumer.get_watermark_offsets(at, timeout=_TIMES_S) for p, at in places.items()}
    except KafkaException as error:
        raise SinkError(away(error, kafka)) from error


def _start(consumer: Consumer, place: TopicPartition, since_ms: int, end: int) -> int:
    """Find the first offset of a time, or -1 if there is none.

    Some brokers cannot tell, and answer that there is none. So the last record is looked at; if it is of that
    time or later, or is not there, all records are read.
    """
    asked = TopicPartition(place.topic, place.partition, since_ms)
    try:
        [found] = consumer.offsets_for_times([asked], timeout=_TIMES_S)
    except KafkaException:
        return place.offset
    if found.error is None and found.offset >= 0:
        return int(found.offset)
    return -1 if 0 < _time_of(consumer, place, end - 1) < since_ms else place.offset


def _time_of(consumer: Consumer, place: TopicPartition, offset: int) -> int:
    """Return the time of one record; 0 if it is not there."""
    consumer.assign([TopicPartition(place.topic, place.partition, offset)])
    for _ in range(_LOOKS):
        for message in consumer.consume(1, _POLL_S):
            return int(message.timestamp()[1]) if message.error() is None else 0
    return 0


def _drained(consumer: Consumer, end: int) -> Iterator[list[Any]]:
    """Read on to the last record, or until the broker reports the end.

    Compaction may have removed the last record. Some brokers report the end a batch too low at first.
    """
    left = _EMPTY_POLLS
    while left:
        got = take(consumer, _BATCH, _POLL_S)
        left = _EMPTY_POLLS if got else left - 1
        if good := [message for message in got if is_record(message)]:
            yield good
        if got and _next_offset(got[-1]) >= end:
            return
    msg = "the broker stopped answering in the middle of a topic"
    raise SinkError(msg)


def _next_offset(message: Any) -> int:
    """Return the offset behind a record, or the one at which the broker reports the end."""
    offset = message.offset() or 0
    return int(offset) + (message.error() is None)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describes a folder of history.

    Attributes:
        format: of the files.
        partitions: partitions of every keyed topic.
        clock: `wall` or `stream`, as `TOCSIN_CLOCK`.
        bounds: first offset and end of each partition, by topic.
    """

    format: int
    partitions: int
    clock: str
    bounds: dict[str, dict[int, tuple[int, int]]]


class FolderHistory:
    """Reads a folder that `record` wrote.

    Raises:
        SourceError: it is none, or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        except (OSError, msgspec.MsgspecError) as error:
            msg = (
                f"--from {folder}: {MANIFEST} is missing or damaged, so this is no whole history;"
                " `tocsin simulate --record FOLDER` writes one"
            )
            raise SourceError(msg) from error
        if self.manifest.format != _FORMAT:
            msg = f"--from {folder}: format {self.manifest.format} is of another release; record it again"
            raise SourceError(msg)
        self.bounds: Bounds = self.manifest.bounds

    def read(self, topic: str, partition: int, since_ms: int = 0) -> Iterator[list[RawRecord]]:
        """Read a partition to its end, leaving out records that are older by Kafka's time."""
        path = _file(self._folder, topic, partition)
        if not path.exists():
            return
        try:
            yield from _batches(path, topic, partition, since_ms)
        except _DAMAGED as error:
            msg = f"--from {self._folder}: {path.name} cannot be read to its end ({error}); record it again"
            raise SourceError(msg) from error

    def close(self) -> None:
        """Leave the files alone: each is closed when it is read."""


def _batches(path: Path, topic: str, partition: int, since_ms: int) -> Iterator[list[RawRecord]]:
    with gzip.open(path) as lines:
        batch: list[RawRecord] = []
        for line in lines:
            record = _from_line(topic, partition, line)
            if record.timestamp_ms >= since_ms:
                batch.append(record)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def record(history: History, folder: Path, manifest: Manifest, since_ms: int = 0) -> Iterator[int]:
    """Write a history to a folder, partition by partition; yields how many records were written.

    The files hold profiles and events as they are, so only their owner may read them. Records of profiles and
    subscriptions are written from the first on, whatever `since_ms` says.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for topic, places in manifest.bounds.items():
        from_ms = 0 if topic in READ_FIRST else since_ms
        for partition in places:
            path = _file(folder, topic, partition)
            path.touch(mode=0o600)
            yield from _write(path, history.read(topic, partition, from_ms))
    (folder / MANIFEST).write_bytes(_encode(manifest))


def _write(path: Path, batches: Iterable[list[RawRecord]]) -> Iterator[int]:
    with gzip.open(path, "wb", compresslevel=3) as file:
        for batch in batches:
            file.writelines(map(_line, batch))
            yield len(batch)


def manifest_of(history: History, partitions: int, clock: str) -> Manifest:
    """Describe a history that is to be recorded."""
    bounds = {topic: dict(places) for topic, places in history.bounds.items()}
    return Manifest(_FORMAT, partitions, clock, bounds)


def _file(folder: Path, topic: str, partition: int) -> Path:
    return folder / f"{quote(topic, safe='')}-{partition}.jsonl.gz"


def _line(record: RawRecord) -> bytes:
    headers = [[name, _text(value)] for name, value in record.headers]
    fields = [record.offset, record.timestamp_ms, _text(record.key), _text(record.value), headers]
    return _encode(fields) + b"\n"


def _from_line(topic: str, partition: int, line: bytes) -> RawRecord:
    offset, at_ms, key, value, headers = msgspec.json.decode(line)
    marks = tuple((name, _bytes(data) or b"") for name, data in headers)
    return RawRecord(topic, partition, offset, at_ms, _bytes(key), _bytes(value), marks)


def _text(data: bytes | None) -> str | list[str] | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return [b64encode(data).decode()]


def _bytes(text: Any) -> bytes | None:
    if text is None:
        return None
    return b64decode(text[0]) if isinstance(text, list) else str(text).encode()
