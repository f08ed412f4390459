"""The published contracts: JSON Schema of each record, made from the types that read and write it.

`python -m flows.contracts` writes `docs/contracts/`, and the tables of topics and metrics on their pages; a
test fails while they differ from the code. A schema says names, types and closed vocabularies; the forms of
addresses and times are checked by `tocsin.formats.codec`, whose refusals become dead letters.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml

from flows.asyncapi import document
from flows.topic_records import DEAD_HEADERS, EVENT, PAYLOADS, topics_table
from tocsin.app.metric_defs import metrics_table
from tocsin.catalog.scalars import Priority
from tocsin.decision.receipts import KINDS
from tocsin.formats.cloudevents import Envelope
from tocsin.model.audit import Action, AuditRecord
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.profile import Profile
from tocsin.model.statuses import Reason, Status
from tocsin.model.subscription import Subscription

Schema = dict[str, Any]

FOLDER = Path("docs/contracts")
PAGE = Path("docs/contracts.md")
OPERATIONS = Path("docs/operations.md")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_RECORDS: Mapping[str, type] = {
    "profile": Profile,
    "subscription": Subscription,
    "receipt": ReceiptEvent,
    "retry": Retry,
    "message": Message,
    "outcome": Outcome,
    "audit": AuditRecord,
}
# Fields that are text to the codec and take one of these values.
_VALUES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("ReceiptEvent", "kind"): tuple(sorted(KINDS)),
    ("Retry", "reason"): tuple(reason.value for reason in Reason if reason),
    ("Message", "priority"): get_args(Priority),
    ("Outcome", "status"): tuple(Status),
    ("AuditRecord", "action"): tuple(Action),
}
_EVENT_TEXT = (
    "A CloudEvents 1.0 event in structured JSON mode. `id` and `source` identify it; `type` is what the"
    " catalog matches; `subject` is the user id; `time` is event time (RFC 3339; Kafka's timestamp if"
    " left out). Attributes that are not listed are ignored."
)
_EVENT_FIELDS = {
    "specversion": "`1.0`; any 1.x is read",
    "id": "with `source`, what a duplicate is known by",
    "source": "the producer, like /shop/orders",
    "type": "the kind of event, like order.shipped",
    "subject": "the user id; may be left out if there is a recipient; free if there is a tocsintopic",
    "time": "event time, RFC 3339",
    "tenant": "extension: whose user; `default` if left out; has no '/'; a number counts as its text",
    "recipient": "extension: contact of someone without a profile, as an object or as JSON text",
    "tocsinsendat": "extension: hold until this time, RFC 3339",
    "tocsinexpires": "extension: do not send after this time, RFC 3339",
    "tocsintopic": "extension: the event is for the subscribers of this topic instead of one user",
    "tocsinfanout": "Tocsin's own, on a subscriber's event: origin of the event that named the topic",
    "datacontenttype": "JSON, or left out",
    "data": "one JSON object, what conditions and templates read",
    "data_base64": "instead of data: base64 of one JSON object",
    "tocsinsegment": "extension: broadcast to this segment of the catalog, or `*` for everyone; no subject",
    "tocsinrate": "extension of a broadcast: users a second; left out, the tenant's rate applies",
    "tocsinlocaltime": "extension of a broadcast: send at this time of each user's clock; no offset",
    "tocsinnotification": "extension: only this notification of the catalog answers, whatever its `on` says",
    "tocsinchannels": "extension: only these channels of a notification, like push,email",
    "tocsincancelkey": "extension: stands in for the `cancel_key` of the catalog",
    "tocsinmissed": "extension of a broadcast: `skip` leaves out users whose local time is over",
}


def cloudevent() -> type[msgspec.Struct]:
    """Build the type of a published event: what is read of one."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(Envelope):
        if field.name == "data":
            fields.append((field.name, dict[str, Any] | None, msgspec.field(default_factory=dict)))
        else:
            fields.append(
                (field.name, field.type) if field.required else (field.name, field.type, field.default)
            )
    made = msgspec.defstruct("CloudEvent", fields, module=__name__)
    made.__doc__ = _EVENT_TEXT
    return made


def schema_of(kind: type) -> Schema:
    """Build the schema of one record; definitions it needs stand in `$defs`."""
    (top,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for name, part in parts.items():
        _describe(name, part)
    own = parts.pop(top["$ref"].rpartition("/")[2])
    return {"$schema": _DIALECT, **own} | ({"$defs": dict(sorted(parts.items()))} if parts else {})


def _describe(name: str, part: Schema) -> None:
    """Move what a docstring says of fields to the fields, and close the vocabularies."""
    text, _, attributes = inspect.cleandoc(part.get("description", "")).partition("Attributes:")
    if text.strip():
        part["description"] = " ".join(text.split())
    notes = _EVENT_FIELDS if name == "CloudEvent" else _notes(attributes)
    for field, schema in part.get("properties", {}).items():
        if field in notes:
            schema["description"] = notes[field]
        if (name, field) in _VALUES:
            schema["enum"] = [str(value) for value in _VALUES[name, field]]


def _notes(attributes: str) -> dict[str, str]:
    """Read `name: text` of a docstring, whose further lines are indented deeper."""
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE)
    return {field: " ".join(text.split()) for field, text in found}


def dead_headers() -> Schema:
    """Build the schema of a dead letter's headers; its key and value are the original bytes."""
    headers: Schema = {name: {"type": "string", "description": text} for name, text in DEAD_HEADERS.items()}
    headers["tocsin-reason"] |= {"enum": [reason.value for reason in Reason if reason]}
    return {
        "$schema": _DIALECT,
        "title": "DeadLetterHeaders",
        "type": "object",
        "description": "Headers of a dead letter, UTF-8 text. Key and value are those of the record as it was"
        " read; each of its own headers is kept under `tocsin-original-<name>`.",
        "properties": headers,
        "patternProperties": {"^tocsin-original-": {"description": "a header of the original record"}},
        "required": list(headers),
    }


def schemas() -> dict[str, Schema]:
    """Build every schema, by the name of its file."""
    made = {EVENT: schema_of(cloudevent())} | {name: schema_of(kind) for name, kind in _RECORDS.items()}
    return {**made, "dead-headers": dead_headers()}


def contract_files() -> dict[Path, str]:
    """Give every published file with its text; paths are relative to the repository."""
    files = {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas().items()
    }
    text = yaml.safe_dump(document(PAYLOADS), sort_keys=False, allow_unicode=True, width=110)
    return {**files, FOLDER / "asyncapi.yaml": text}


_TABLES: Mapping[Path, tuple[str, Callable[[], str]]] = {
    PAGE: ("topics", topics_table),
    OPERATIONS: ("metrics", metrics_table),
}


def page(path: Path, text: str) -> str:
    """Put a page's table between its marks.

    Raises:
        ValueError: the page has lost its marks.
    """
    mark, table = _TABLES[path]
    pattern = rf"(<!-- {mark} -->\n).*?(\n<!-- /{mark} -->)"
    made, count = re.subn(pattern, lambda match: match[1] + table() + match[2], text, flags=re.DOTALL)
    if count != 1:
        msg = f"{path}: the table stands between <!-- {mark} --> and <!-- /{mark} -->, each on its line"
        raise ValueError(msg)
    return made


def pages(root: Path) -> dict[Path, str]:
    """Give every page that holds a table as it should be."""
    return {path: page(path, (root / path).read_text()) for path in _TABLES}


def write(root: Path) -> None:
    """Write all files under a repository's root."""
    for path, text in (contract_files() | pages(root)).items():
        (root / path).write_text(text)


if __name__ == "__main__":
    write(Path(__file__).parent.parent)
