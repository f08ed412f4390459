"""Compares the fields of `data` that templates use with those that a sample has."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import jinja2
import msgspec
from jinja2 import meta, nodes

from tocsin.render.names import data_path, holds, optional_fields

Path = tuple[str, ...]
_WHOLE: Final = frozenset({"data", "digest"})
_MOST_NAMES: Final = 30


class MissingField(msgspec.Struct, frozen=True):
    """A field that a template uses and the data lacks.

    Attributes:
        field: its path, like `flight.gate`.
        places: each `file:line` that uses it.
        optional: whether the template expects that it may be missing.
        has: the names of the fields that are there in its place.
        close: the one of them that is written most alike; empty for none.
    """

    field: str
    places: list[str]
    optional: bool
    has: list[str]
    close: str = ""


class Reading(NamedTuple):
    """What some templates read of `data`.

    Attributes:
        places: the paths of fields, each with the templates and lines that use it.
        optional: the paths that are tested, or have a default.
        whole: whether a template uses `data` as a whole, so that every field may count.
    """

    places: Mapping[Path, list[tuple[str, int]]]
    optional: frozenset[Path]
    whole: bool


def read_fields(
    environment: jinja2.Environment, templates: Mapping[str, str], names: Iterable[str]
) -> Reading:
    """Find what templates read of `data`, with those that they extend, include and import.

    Args:
        environment: of the templates.
        templates: all of them, by name.
        names: those to begin with; a template whose syntax is wrong is left out.
    """
    trees = _trees(environment, templates, names)
    places: dict[Path, list[tuple[str, int]]] = {}
    whole = False
    for name, tree in trees.items():
        for path, line in _reads(tree):
            whole |= not path
            if path:
                places.setdefault(path, []).append((name, line))
    optional = optional_fields({name: templates[name] for name in trees})
    return Reading(places, frozenset().union(*optional.values()), whole)


def _trees(
    environment: jinja2.Environment, templates: Mapping[str, str], names: Iterable[str]
) -> dict[str, nodes.Template]:
    found: dict[str, nodes.Template] = {}
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name in found or name not in templates:
            continue
        try:
            tree = environment.parse(templates[name], name)
        except jinja2.TemplateSyntaxError:
            continue
        found[name] = tree
        ahead += [each for each in meta.find_referenced_templates(tree) if each]
    return found


def _reads(node: nodes.Node) -> Iterator[tuple[Path, int]]:
    """Give the longest paths that a template reads; an empty one for `data` as a whole."""
    path = data_path(node)
    if path:
        yield path, node.lineno
        return
    if isinstance(node, nodes.Name) and node.name in _WHOLE and node.ctx == "load":
        yield (), node.lineno
    for child in node.iter_child_nodes():
        yield from _reads(child)


def missing_fields(reading: Reading, data: Any, file_of: Mapping[str, str]) -> list[MissingField]:
    """List the fields that the data lacks, those that no template expects to be missing first.

    Args:
        reading: what the templates read.
        data: the sample.
        file_of: template name -> file.
    """
    found: dict[Path, list[tuple[str, int]]] = {}
    for path, places in reading.places.items():
        if not holds(data, path):
            found.setdefault(_first_missing(data, path), []).extend(places)
    fields = [_missing(reading, data, path, places, file_of) for path, places in found.items()]
    return sorted(fields, key=lambda each: (each.optional, each.field))


def _missing(
    reading: Reading, data: Any, path: Path, places: list[tuple[str, int]], file_of: Mapping[str, str]
) -> MissingField:
    there = _names_at(data, path[:-1])
    close = difflib.get_close_matches(path[-1], there, 1)
    return MissingField(
        field=".".join(path),
        places=sorted({f"{file_of.get(name, name)}:{line}" for name, line in places}),
        optional=any(path == each[: len(path)] for each in reading.optional),
        has=there[:_MOST_NAMES],
        close=close[0] if close else "",
    )


def _first_missing(data: Any, path: Path) -> Path:
    """Shorten a path to its first field that is not there."""
    return next(path[:length] for length in range(1, len(path) + 1) if not holds(data, path[:length]))


def _names_at(data: Any, path: Path) -> list[str]:
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    return sorted(map(str, data)) if isinstance(data, dict) else []


def unused_fields(readings: Iterable[Reading], data: Any) -> list[str]:
    """List the fields of the data that no template uses; none if one of them uses `data` as a whole."""
    all_of = list(readings)
    if any(reading.whole for reading in all_of):
        return []
    used = {path for reading in all_of for path in reading.places}
    return [".".join(leaf) for leaf in _leaves(data) if not any(_covers(path, leaf) for path in used)]


def _covers(path: Path, leaf: Path) -> bool:
    """Tell whether a path leads to a leaf, to an object around it, or to a member of it."""
    shorter = min(len(path), len(leaf))
    return path[:shorter] == leaf[:shorter]


def _leaves(data: Any, path: Path = ()) -> Iterator[Path]:
    if not isinstance(data, dict) or not data:
        if path:
            yield path
        return
    for name, member in data.items():
        yield from _leaves(member, (*path, str(name)))
