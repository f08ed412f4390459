"""Records that the CloudEvents SDKs wrote, read from `fixtures/`."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

from tocsin.model.raw import RawRecord

FIXTURES = Path(__file__).with_name("fixtures")
MIDNIGHT = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class Line(NamedTuple):
    """One line of a fixture: `case` is the mode and the name of the event that was written."""

    library: str
    mode: str
    name: str
    record: RawRecord


def read(path: Path) -> list[Line]:
    return [_line(path.stem, json.loads(text)) for text in path.read_text().splitlines()]


def _line(library: str, found: dict[str, Any]) -> Line:
    headers = tuple((name, base64.b64decode(value)) for name, value in found["headers"])
    key, value = (None if text is None else base64.b64decode(text) for text in (found["key"], found["value"]))
    received_ms = int(found["timestamp"] or MIDNIGHT)
    mode, _, name = found["case"].partition("/")
    return Line(library, mode, name, RawRecord("events", 3, 42, received_ms, key, value, headers))


LINES = [line for path in sorted(FIXTURES.glob("cloudevents-*.jsonl")) for line in read(path)]
