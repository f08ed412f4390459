"""Reads the entries of a catalog file, `name: spec`, and finds what is wrong with each by itself."""

import re
from typing import Any, Final, TypeVar

import pydantic

from tocsin.catalog.files import Document, Problem, Where
from tocsin.catalog.schedules import ScheduleSpec
from tocsin.catalog.sentences import place_of, sentence

NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
NAME_CURE: Final = "use letters, digits, dot, dash and underscore, at most 64"
Model = TypeVar("Model", bound=pydantic.BaseModel)


def read_entries(
    document: Document,
    found: dict[str, Model | None],
    places: dict[str, Document],
    model: type[Model],
    problems: list[Problem],
    *,
    may_remove: bool = False,
) -> bool:
    """Read the entries of a file into `found`; return False if one of them is left out for a mistake."""
    if not isinstance(document.data, dict) or not document.data:
        what = (
            "schedules, write `name: {cron:" if model is ScheduleSpec else "notifications, write `name: {on:"
        )
        problems.append(document.problem((), f"no {what} …}}` here"))
        return True
    complete = True
    for name, data in document.data.items():
        where = (name,)
        if not NAME.match(name):
            problems.append(document.problem(where, f"`{name}` is no name, {NAME_CURE}"))
        if name in places:
            first = places[name].problem(where, "")
            text = f"`{name}` is already in {first.file}:{first.line}, rename one"
            problems.append(document.problem(where, text))
        removes = may_remove and data is None
        spec = None if removes else validated(model, document, where, data, problems)
        if removes or spec is not None:
            found[name], places[name] = spec, document
        else:
            complete = False
    return complete


def validated(
    model: type[Model], document: Document, where: Where, data: Any, problems: list[Problem]
) -> Model | None:
    """Return the spec that is written at a place of a file; None, with its problems added, for a mistake."""
    try:
        return model.model_validate(data if data is not None else {})
    except pydantic.ValidationError as error:
        for fault in error.errors(include_url=False):
            text = sentence(model, where, fault)
            problems.append(document.problem(place_of(where, fault), text))
        return None
