"""The examples of `docs/sources.md`: each declared topic compiles, and its record gives its event."""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.docs.repository import ROOT, pages
from tocsin.catalog.loader import check, load
from tocsin.catalog.sources import SourceSpec
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.declared import readers
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord

PAGE = pages()["docs/sources.md"]
LIMITS = EventLimits(100_000, 86_400, 3_600, check_time=True)
NOW = 1_700_000_000_000
SECTIONS = {
    part.partition("\n")[0]: re.findall(r"^```(yaml|json)\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    for part in PAGE.split("\n## ")
}
DECLARED = {name: blocks[0][1] for name, blocks in SECTIONS.items() if blocks}
WITH_RECORDS = {name: blocks for name, blocks in SECTIONS.items() if len(blocks) > 1}


def specs(folder: Path, text: str) -> dict[str, SourceSpec]:
    """Declare topics beside the shipped catalog."""
    shutil.copytree(ROOT / "examples/flights", folder, dirs_exist_ok=True)
    (folder / "sources.yaml").write_text(text)
    assert check(folder) == []
    return dict(load(folder).sources)


def record(topic: str, example: dict[str, Any]) -> RawRecord:
    key = json.dumps(example["key"]).encode() if "key" in example else None
    headers = tuple((name, text.encode()) for name, text in example.get("headers", {}).items())
    return RawRecord(f"source:{topic}", 0, 7, NOW, key, json.dumps(example["value"]).encode(), headers)


def as_document(event: Event) -> dict[str, Any]:
    time = datetime.fromtimestamp(event.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.user,
        "time": time.replace("+00:00", "Z"),
        "tenant": event.tenant,
        "data": msgspec.json.decode(event.data),
    }


def test_every_format_has_an_example(tmp_path: Path) -> None:
    found = specs(tmp_path, "".join(DECLARED.values()))
    assert {spec.format for spec in found.values()} == {"mapped", "debezium", "registry", "cloudevents"}


@pytest.mark.parametrize("section", WITH_RECORDS)
def test_the_record_of_an_example_gives_its_event(section: str, tmp_path: Path) -> None:
    (_, text), (_, example), (_, wanted) = WITH_RECORDS[section]
    ((topic, spec),) = specs(tmp_path, text).items()
    event = readers({topic: spec}, LIMITS)[f"source:{topic}"](record(topic, json.loads(example)))
    document = as_document(event)
    assert json.loads(wanted).items() <= document.items()


def test_the_page_has_every_field() -> None:
    table = PAGE.split("\n## Fields\n")[1].split("\n## ")[0]
    names = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    assert {name for cell in names for name in re.findall(r"`(\w+)`", cell)} == set(SourceSpec.model_fields)
