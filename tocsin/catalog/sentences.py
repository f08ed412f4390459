"""Says what is wrong with a value of the catalog, and the cure, in no word of the library that checks it."""

import difflib
from collections.abc import Mapping
from typing import Any, Final

import pydantic

from tocsin.catalog import spec as models
from tocsin.catalog.attachments import MEDIA_TYPE
from tocsin.catalog.files import Where
from tocsin.catalog.schedules import EVENT_TYPE, Audience, ScheduleSpec
from tocsin.catalog.sources import SourceSpec
from tocsin.catalog.variants import NAMES

_FIELDS: Final = sorted(
    {
        info.alias or name
        for model in (*vars(models).values(), SourceSpec, ScheduleSpec, Audience)
        if isinstance(model, type) and issubclass(model, pydantic.BaseModel)
        for name, info in model.model_fields.items()
    }
)
_EXAMPLES: Final = "see the examples in docs/catalog.md"
_ALIKE: Final = 0.7
"""Below it words have little more in common than their length: `push` and `paused`."""
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


def sentence(kind: str, path: Where, fault: Mapping[str, Any]) -> str:
    """Say what is wrong and the cure.

    Args:
        kind: the library's name for the mistake.
        path: keys and indexes of the value in its file.
        fault: the mistake as the library tells it.
    """
    field = next((str(part) for part in reversed(path) if isinstance(part, str) and part != "[key]"), "")
    if kind == "extra_forbidden":
        return f"unknown field `{field}`, {_unknown_cure(field)}"
    if kind == "missing":
        return f"`{field}` is missing, add it"
    if kind == "literal_error":
        return f"`{field}{_written(fault['input'])}` is not allowed, write one of {fault['ctx']['expected']}"
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
    if kind in _BOUNDS:
        return f"write a number {_BOUNDS[kind]} {next(iter(fault['ctx'].values()))}"
    if meaning := _PATTERNS.get(fault.get("ctx", {}).get("pattern")):
        return meaning.format(value=fault["input"])
    for known, cure in _KINDS.items():
        if kind.startswith(known):
            return cure.format(field=field, value=fault["input"])
    return f"{fault['msg']}, {_EXAMPLES}"


def _unknown_cure(field: str) -> str:
    if field in _FIELDS:
        return f"it belongs in another place: {_EXAMPLES}"
    close = difflib.get_close_matches(field, _FIELDS, 1, _ALIKE)
    return f"did you mean `{close[0]}`?" if close else "remove it"
