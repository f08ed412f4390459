"""Declared topics: `sources.yaml` of the catalog says how events of other software are read.

    shop.orders:                           # the topic's own name, without Tocsin's prefix
      format: mapped                       # cloudevents | debezium | mapped | registry
      tenant: shop                         # left out: default
      id: value.order.id                   # left out: the record's topic, partition and offset
      type_from: "'order.' ~ value.status" # or a fixed text, `type: order.changed`
      source: /shop/orders                 # or `source_from`; left out: `/` and the topic
      user: value.customer.id
      time: value.changed_at               # RFC 3339, or a number in `time_unit`; left out: Kafka's time
      time_unit: ms                        # s | ms (default) | us | ns
      data: value.order                    # an object; left out: value
      parse_data: false                    # true: `data` is a text that holds JSON
      recipient: "{'email': value.email}"  # inline contact of people without a profile
      tombstones: skip                     # records without a value: skip | refuse

`tenant`, `type` and `source` are fixed texts. `tenant_from`, `type_from` and `source_from` are expressions.
So are id, user, time, data and recipient. Expressions read `value`, `key`, `headers`, `topic`, `partition`,
`offset` and `timestamp_ms`.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tocsin.catalog.expressions import Expression, ExpressionError
from tocsin.catalog.files import Document, Problem, read

FILE: Final = "sources.yaml"
DEFAULT: Final = "default"
"""Tenant of events that name none."""
VARIABLES: Final = frozenset({"value", "key", "headers", "topic", "partition", "offset", "timestamp_ms"})
"""What the expressions of a declared topic read."""
EXPRESSIONS: Final = ("id", "user", "time", "data", "recipient", "tenant_from", "type_from", "source_from")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_NO_TOPICS = frozenset({".", ".."})
_LIKE_EXPRESSION = re.compile(r"(value|key|headers)([.\[|].*)?")
_NOT_OF_CLOUDEVENTS = (*EXPRESSIONS, "type", "source", "time_unit", "parse_data")
_TEXT_MAX = 512


class SourceSpec(BaseModel):
    """One declared topic: its format, and where the fields of an event are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["cloudevents", "debezium", "mapped", "registry"]
    tenant: str | None = Field(default=None, min_length=1)
    tenant_from: str | None = None
    id: str | None = None
    type: str | None = Field(default=None, min_length=1, max_length=_TEXT_MAX)
    type_from: str | None = None
    source: str | None = Field(default=None, min_length=1, max_length=_TEXT_MAX)
    source_from: str | None = None
    user: str | None = None
    time: str | None = None
    time_unit: Literal["s", "ms", "us", "ns"] = "ms"
    data: str | None = None
    parse_data: bool = False
    recipient: str | None = None
    tombstones: Literal["skip", "refuse"] | None = None


def source_problems(
    document: Document, topic: str, spec: SourceSpec, tenants: Collection[str]
) -> Iterator[Problem]:
    """Find what the model alone does not: fields that do not go together, expressions, unknown tenants."""
    if not _TOPIC.fullmatch(topic) or topic in _NO_TOPICS:
        text = f"`{topic}` is no topic name, use letters, digits, dot, dash and underscore, at most 249"
        yield document.problem((topic,), text)
    if spec.tenant is not None and spec.tenant not in tenants:
        text = f"no tenant `{spec.tenant}`, add tenants/{spec.tenant}.yaml or name another"
        yield document.problem((topic, "tenant"), text)
    if spec.format == "cloudevents":
        yield from _superfluous(document, topic, spec)
        return
    yield from _doubled(document, topic, spec)
    if spec.tenant is None and spec.tenant_from is None and DEFAULT not in tenants:
        text = f"`tenant` is missing, and there is no tenant `{DEFAULT}`, name the tenant of its events"
        yield document.problem((topic,), text)
    yield from _misread(document, topic, spec)
    yield from _missing(document, topic, spec)
    for field in EXPRESSIONS:
        source = getattr(spec, field)
        fault = None if source is None else _fault(source)
        if fault:
            yield document.problem((topic, field), f"`{field}` is wrong: {fault}")


def _superfluous(document: Document, topic: str, spec: SourceSpec) -> Iterator[Problem]:
    for field in _NOT_OF_CLOUDEVENTS:
        if field in spec.model_fields_set:
            text = f"`{field}` is read from the CloudEvent itself, remove it or use format: mapped"
            yield document.problem((topic, field), text)


def _doubled(document: Document, topic: str, spec: SourceSpec) -> Iterator[Problem]:
    for field in ("tenant", "type", "source"):
        if getattr(spec, field) is not None and getattr(spec, f"{field}_from") is not None:
            text = f"`{field}` and `{field}_from` exclude each other, remove one"
            yield document.problem((topic, f"{field}_from"), text)


def _misread(document: Document, topic: str, spec: SourceSpec) -> Iterator[Problem]:
    """Find expressions where a fixed text belongs: every event would have the same odd type."""
    for field in ("type", "source"):
        text = getattr(spec, field)
        if text is not None and _LIKE_EXPRESSION.fullmatch(text):
            cure = f"`{field}` is a fixed text but reads like an expression, write `{field}_from: {text}`"
            yield document.problem((topic, field), cure)
        elif text is not None and not text.isprintable():
            yield document.problem((topic, field), f"`{field}` holds control characters, remove them")


def _missing(document: Document, topic: str, spec: SourceSpec) -> Iterator[Problem]:
    if spec.format == "debezium":
        return
    if spec.type is None and spec.type_from is None:
        text = "`type` is missing, write a fixed `type` or an expression `type_from`"
        yield document.problem((topic,), text)
    if spec.user is None and spec.recipient is None:
        text = "`user` is missing, write an expression such as value.user_id, or `recipient`"
        yield document.problem((topic,), text)


def _fault(source: str) -> str:
    """Say what is wrong with an expression; empty if nothing is."""
    try:
        Expression(source, VARIABLES)
    except ExpressionError as error:
        what, _, cure = str(error).partition(": ")
        return f"{what}, {cure}"
    return ""


def declared_topics(path: Path) -> dict[str, str]:
    """Return the format of each topic that `sources.yaml` declares, whatever else is wrong with it."""
    file = path / FILE
    data = read(file, FILE)[0].data if file.is_file() else None
    found = data.items() if isinstance(data, dict) else ()
    return {topic: str(spec.get("format", "")) if isinstance(spec, dict) else "" for topic, spec in found}
