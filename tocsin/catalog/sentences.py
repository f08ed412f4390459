"""Says what is wrong with a value of the catalog, and the cure, in no word of the library that checks it."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import pydantic

from tocsin.catalog import spec as models
from tocsin.catalog.attachments import MEDIA_TYPE
from tocsin.catalog.close_names import closest, fields_at, fields_of
from tocsin.catalog.files import Where
from tocsin.catalog.schedules import EVENT_TYPE, Audience, ScheduleSpec
from tocsin.catalog.sources import SourceSpec
from tocsin.catalog.variants import NAMES

_FIELDS: Final = sorted(
    {
        name
        for model in (*vars(models).values(), SourceSpec, ScheduleSpec, Audience)
        if isinstance(model, type) and issubclass(model, pydantic.BaseModel)
        for name in fields_of(model)
    }
)
_EXAMPLES: Final = "see the examples in docs/catalog.md"
_FEW: Final = 9
"""So many fields are easily read in one line."""
_EXPRESSIONS: Final = {
    **dict.fromkeys(("collapse_key", "cancel_key", "key"), "data.order"),
    "when": "data.total > 100",
    "expression": "data.starts",
    "items": "{'name': data.name}",
}
"""The fields that are expressions, with an example of each."""
_BOUNDS: Final = {
    "greater_than_equal": "of at least",
    "greater_than": "above",
    "less_than_equal": "of at most",
    "less_than": "below",
}
_KINDS: Final = {
    "list": f"not a list, write `{{field}}: [ … ]`, {_EXAMPLES}",
    "tuple": f"not a list, write `{{field}}: [ … ]`, {_EXAMPLES}",
    "model": f"not a group of fields, write `{{field}}: {{{{ … }}}}`, {_EXAMPLES}",
    "dict": f"not a group of fields, write `{{field}}: {{{{ … }}}}`, {_EXAMPLES}",
    "bool": "write true or false",
    "int": "write a whole number",
    "too_short": "it is empty, write one or more",
    "string_too_short": "it is empty, write a text",
    "string_pattern": f"`{{value}}` has a character or a form that it may not have, {_EXAMPLES}",
    "string": "write a text, in quotes if it looks like a number",
}
"""Beginnings of the library's names for mistakes; the first that fits counts."""
_PATTERNS: Final = {
    models.TYPES: "`{value}` is no type of an event, write one without blanks, with a `*` at its end only",
    EVENT_TYPE: "`{value}` is no type of an event, write one without blanks and `*`",
    NAMES: "`{value}` is no name, use letters, digits, dot, dash and underscore, at most 64",
    MEDIA_TYPE: "`{value}` is no media type, write one such as application/pdf",
    models.LINK: "`{value}` is no link, write one that begins with https://",
    models.MAILBOX: "`{value}` is no address, write one such as stop@mail.example",
}
"""The patterns of fields, and what each means."""


def place_of(entry: Where, fault: Mapping[str, Any]) -> Where:
    """Return keys and indexes of a wrong value in its file, without the marks of the library.

    Args:
        entry: keys of the entry that was checked.
        fault: the mistake as the library tells it.
    """
    return (*entry, *(part for part in fault["loc"] if not (isinstance(part, str) and part.startswith("["))))


def sentence(model: type[pydantic.BaseModel], entry: Where, fault: Mapping[str, Any]) -> str:
    """Say what is wrong and the cure.

    Args:
        model: what the entry should be.
        entry: keys of the entry that was checked.
        fault: the mistake as the library tells it.
    """
    kind, path = str(fault["type"]), place_of(entry, fault)
    field = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    if kind == "extra_forbidden":
        return f"unknown field `{field}`, {_unknown_cure(field, fields_at(model, fault['loc'][:-1]))}"
    if kind == "missing":
        return f"`{field}` is missing, add it"
    if kind == "literal_error":
        return f"`{field}{_written(fault['input'])}` is not allowed, {_choice(fault['ctx']['expected'])}"
    if models.SWITCH in fault["loc"]:
        return f"`{field}` is wrong: write true, false, or channels such as {{email: false}}"
    if kind == "value_error":
        what, _, cure = str(fault["ctx"]["error"]).partition(": ")
        return f"`{field}` is wrong: {what}, {cure}"
    return f"`{field}` is wrong: {_value_cure(kind, field, fault)}"


def _written(value: Any) -> str:
    """Write a value behind its field as the file does; nothing for a list or a group."""
    if isinstance(value, bool):
        return f": {str(value).lower()}"
    return f": {value}" if isinstance(value, str | int | float) else ""


def _value_cure(kind: str, field: str, fault: Mapping[str, Any]) -> str:
    """Say which kind of value the field takes."""
    if kind == "string_type" and (example := _example_of(field, fault["loc"])):
        return f'write an expression in quotes, such as "{example}"'
    if kind in _BOUNDS:
        return f"write a number {_BOUNDS[kind]} {next(iter(fault['ctx'].values()))}"
    if meaning := _PATTERNS.get(fault.get("ctx", {}).get("pattern")):
        return meaning.format(value=fault["input"])
    for known, cure in _KINDS.items():
        if kind.startswith(known):
            return cure.format(field=field, value=fault["input"])
    return f"{fault['msg']}, {_EXAMPLES}"


def _example_of(field: str, path: Where) -> str:
    """Return an example of the expression that a field takes; empty if it takes none."""
    return "user.locale == 'de'" if path[:1] == ("segments",) else _EXPRESSIONS.get(field, "")


def _choice(expected: str) -> str:
    """Say what may be written, given the choices as the library lists them."""
    return f"write one of {expected}" if " or " in expected else f"write {expected}"


def _unknown_cure(field: str, there: Collection[str]) -> str:
    """Say what to do with a field that its place does not have; `there` are those that it has."""
    if meant := closest(field, there):
        return f"did you mean `{meant}`?"
    if field in _FIELDS:
        return f"it belongs in another place: {_EXAMPLES}"
    *others, last = there
    return f"use {', '.join(others)} or {last}" if 0 < len(others) < _FEW else "remove it"
