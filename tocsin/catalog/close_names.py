"""Finds the name that somebody meant: of the fields of one place, of categories, of segments."""

import difflib
from collections.abc import Collection, Iterator
from typing import Any, Final, get_args

import pydantic

_ALIKE: Final = 0.65
"""Below it words have little more in common than their length: `push` and `paused`."""


def closest(name: str, known: Collection[str]) -> str:
    """Return the known name that is written most alike, in whatever case; empty if none is.

    >>> closest("kei", ["key", "items"]), closest("At", ["at", "on"]), closest("push", ["paused"])
    ('key', 'at', '')
    """
    by_case = {one.lower(): one for one in sorted(known)}
    alike = difflib.get_close_matches(name.lower(), by_case, 3, _ALIKE)
    same_start = [one for one in alike if one[:1] == name[:1].lower()]
    return by_case[(same_start or alike)[0]] if alike else ""


def cure(name: str, known: Collection[str], else_cure: str) -> str:
    """Ask whether a known name was meant, or else say another cure.

    >>> cure("offer", ["offers"], "add it"), cure("news", ["offers"], "add it")
    ('did you mean `offers`?', 'add it')
    """
    meant = closest(name, known)
    return f"did you mean `{meant}`?" if meant else else_cure


def no_template(name: str, known: Collection[str]) -> str:
    """Say that a template is not there, and the cure."""
    return f"no template `{name}`, {cure(name, known, f'add templates/{name}/<locale>/ or name another')}"


def fields_of(model: type[pydantic.BaseModel]) -> list[str]:
    """List the fields of a model as files write them."""
    return [info.alias or name for name, info in model.model_fields.items()]


def fields_at(model: type[pydantic.BaseModel], path: Collection[Any]) -> list[str]:
    """List the fields that a file may have at a place.

    Args:
        model: of the whole entry.
        path: keys and indexes from the entry to the place.
    """
    found = [model]
    for part in path:
        inner = [one for each in found for one in _models_of(each, part)]
        found = inner or found  # an index, or a name that the file chooses: the model stays
    return sorted({name for one in found for name in fields_of(one)})


def _models_of(model: type[pydantic.BaseModel], field: Any) -> Iterator[type[pydantic.BaseModel]]:
    """Find the models that the value of a field is made of."""
    for name, info in model.model_fields.items():
        if field == (info.alias or name):
            yield from _models_in(info.annotation)


def _models_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
