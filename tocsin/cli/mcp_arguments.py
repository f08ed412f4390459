"""Says what is wrong with the arguments of a tool of `tocsin mcp`, and the cure; it shows no value."""

import difflib
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

Schema = Mapping[str, Any]
"""The JSON schema of a tool's arguments."""
_KINDS: Final = {
    "string_type": "a text",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
}
"""Beginnings of the library's names for a wrong type; the first that fits counts."""


def unknown_argument(tool: str, arguments: Mapping[str, Any], schema: Schema) -> str:
    """Name an argument that the tool does not have, which would be left out silently; empty if none.

    >>> unknown_argument("balance", {"tennant": "acme"}, {"properties": {"since": {}, "tenant": {}}})
    'balance: `tennant` is not an argument; did you mean `tenant`? It takes since, tenant.'
    """
    known = list(schema.get("properties", {}))
    for name in arguments:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            guess = f"did you mean `{close[0]}`? It" if close else "leave it out: the tool"
            return f"{tool}: `{name[:64]}` is not an argument; {guess} takes {', '.join(known)}."
    return ""


def wrong_arguments(tool: str, error: ValidationError, schema: Schema) -> str:
    """Write a sentence for each wrong argument: its name, what is wrong, and the cure."""
    faults = error.errors(include_url=False, include_input=False)
    told = {
        str(fault["loc"][0]): fault for fault in reversed(faults) if fault["loc"]
    }  # a union tells several
    fields = schema.get("properties", {})
    return " ".join(
        f"{tool}: `{name}` {_cure(fault, fields.get(name, {}))}." for name, fault in reversed(told.items())
    )


def _cure(fault: Mapping[str, Any], field: Schema) -> str:
    kind, bounds = str(fault["type"]), fault.get("ctx", {})
    wanted = field.get("description", "a value")
    if kind == "missing":
        return f"is missing; give {wanted}"
    if kind == "literal_error":
        return f"is not one of those known; give {bounds['expected']}"
    if kind == "string_too_short":
        return f"is empty; give {wanted}"
    if kind == "string_too_long":
        return f"is too long; give at most {bounds['max_length']} characters"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"is out of bounds; give a number from {field['minimum']:g} to {field['maximum']:g}"
    for start, name in _KINDS.items():
        if kind.startswith(start):
            return f"is not {name}; give {wanted}"
    return f"does not fit; give {wanted}"
