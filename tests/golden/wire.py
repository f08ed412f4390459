"""The form of a recorded run on disk: one JSON document a line, compressed. Knows nothing of the product.

Inputs begin with the settings of the run. Each further line is a `Line`: a record to read, or one of the
things that happen to a process between records. Outputs are `Published` records in the order in which they
were published; a line `null` marks each restart.
"""

import lzma
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

Headers = tuple[tuple[str, bytes], ...]
RUNS = Path(__file__).parent / "runs"
_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Record(NamedTuple):
    """A record of an input topic, as Kafka gives it; `at_ms` is Kafka's timestamp."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Epoch(NamedTuple):
    """An epoch closes and becomes durable; the wall clock then shows `wall_ms`, and due timers fire."""

    wall_ms: int


class Restart(NamedTuple):
    """The process ends after an epoch is stored and before it is published, and starts again."""


class Reload(NamedTuple):
    """Another catalog comes into force: a folder of `catalogs/`."""

    catalog: str


Line = Record | Epoch | Restart | Reload


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a run.

    Attributes:
        catalog: folder of `catalogs/` that is in force at the start.
        stream_clock: time moves by the events' own time, as with `TOCSIN_CLOCK=stream`.
        partitions: partitions of every keyed topic.
        key_groups: key groups of a partition.
        bounds: bounds and windows of the gate, by their names in the gate's policy.
        max_record_bytes: larger events are refused.
        max_past_s: older events are refused, except with the stream clock.
        max_future_s: events of a later time are refused, except with the stream clock.
    """

    catalog: str
    stream_clock: bool
    partitions: int = 4
    key_groups: int = 2
    bounds: dict[str, int] = {}
    max_record_bytes: int = 100_000
    max_past_s: int = 7 * 86_400
    max_future_s: int = 3_600


class Published(NamedTuple):
    """A record that others see. Topic `versions` stands for what is noted for the send ledger."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Outputs(NamedTuple):
    """What a run published; `restarts` says how many records were published before each restart."""

    records: list[Published]
    restarts: list[int]


def write_inputs(path: Path, settings: Settings, lines: Iterable[Line]) -> None:
    """Write the inputs of a run."""
    _write(path, [msgspec.to_builtins(settings), *map(_plain_line, lines)])


def read_inputs(path: Path) -> tuple[Settings, list[Line]]:
    """Read what `write_inputs` wrote."""
    settings, *lines = _read(path)
    return msgspec.convert(settings, Settings), [_line(each) for each in lines]


def write_outputs(path: Path, outputs: Outputs) -> None:
    """Write what a run published."""
    found: list[Any] = []
    for number, record in enumerate(outputs.records):
        found += [None] * outputs.restarts.count(number)
        found.append([record.topic, record.partition, *_plain_content(*record[2:])])
    _write(path, found)


def read_outputs(path: Path) -> Outputs:
    """Read what `write_outputs` wrote."""
    found = Outputs([], [])
    for each in _read(path):
        if each is None:
            found.restarts.append(len(found.records))
        else:
            topic, partition, *content = each
            found.records.append(Published(topic, partition, *_content(*content)))
    return found


def _plain_line(line: Line) -> Any:
    if isinstance(line, Record):
        return [*line[:4], *_plain_content(*line[4:])]
    return {type(line).__name__: list(line)}


_EVENTS_BETWEEN = {kind.__name__: kind for kind in (Epoch, Restart, Reload)}


def _line(plain: Any) -> Line:
    if isinstance(plain, dict):
        ((name, fields),) = plain.items()
        return _EVENTS_BETWEEN[name](*fields)
    topic, partition, offset, at_ms, *content = plain
    return Record(topic, partition, offset, at_ms, *_content(*content))


def _plain_content(key: bytes | None, value: bytes | None, headers: Headers) -> list[Any]:
    return [_text(key), _text(value), [[name, _text(data)] for name, data in headers]]


def _content(key: Any, value: Any, headers: Any) -> tuple[bytes | None, bytes | None, Headers]:
    return _bytes(key), _bytes(value), tuple((name, _bytes(data) or b"") for name, data in headers)


def _text(data: bytes | None) -> str | list[str] | None:
    """Spell bytes as text; what is not UTF-8 becomes a list of one base64 text."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return [b64encode(data).decode()]


def _bytes(text: str | list[str] | None) -> bytes | None:
    if text is None:
        return None
    return b64decode(text[0]) if isinstance(text, list) else text.encode()


def _write(path: Path, documents: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = lzma.compress(b"".join(_encode(each) + b"\n" for each in documents), preset=9)
    path.write_bytes(packed)


def _read(path: Path) -> Iterator[Any]:
    return (_decode(line) for line in lzma.decompress(path.read_bytes()).splitlines())
