"""Reads YAML files of the catalog (YAML 1.2, core schema) as plain data that knows its lines.

So `on:` is a name and `22:00` a text, which YAML 1.1 would read as `true` and 1320.

PyYAML parses; this module walks its nodes. No library does all that a catalog needs. ruamel.yaml's round trip
has lines too, but turns `2026-01-31` into a date, lets unknown tags pass, stops at the first doubled key and
takes twice the time. strictyaml refuses flow mappings (`on: {type: order.shipped}`).
"""

import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_MAX_DEPTH = 32
_MOST_VALUES = 100_000
"""Of one file, with what its aliases repeat: beyond it a few lines could stand for billions of values."""
_MERGE = "<<"
_CURES = (
    ("a tab", "'\\t'", "indent with spaces"),
    ("a second document", "found another document", "use one file for each, or remove the line `---`"),
    ("a quote without its end", "found unexpected end of stream", "close it"),
    (
        "a bracket without its end, or a text with one of `, : [ ] { }` in it",
        "while parsing a flow",
        "close the bracket, or put the text in quotes",
    ),
    ("a name of an anchor is expected", "scanning an alias", "quote a text that begins with `*`"),
    ("a name of an anchor is expected", "scanning an anchor", "quote a text that begins with `&`"),
    ("a second `:` in a line", "mapping values are not allowed", "quote a text that has `: ` in it"),
)
"""What is wrong, how the parser's text shows it, and the cure."""
_BRACES = "write expressions without braces, and put other texts that begin with `{` in quotes"
_NO_KEY = f"`{{{{` begins two mappings in YAML, {_BRACES}"
_NO_NAME = "a key is no text, write a name"
Where = tuple[Hashable, ...]


class Problem(NamedTuple):
    """Names one mistake, as `file:line: what, cure`. Line 0 stands for the whole file.

    `tenant` is the only tenant that it keeps from getting a new catalog; empty for all.
    """

    file: str
    line: int
    text: str
    tenant: str = ""

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}: {self.text}"


class Document(NamedTuple):
    """Holds one file: its data, and the line of each path of keys and indexes in it."""

    file: str
    data: Any
    lines: dict[Where, int]

    def problem(self, where: Where, text: str) -> Problem:
        """Name a mistake at a path, or at the nearest part of it that has a line."""
        while where and where not in self.lines:
            where = where[:-1]
        return Problem(self.file, self.lines.get(where, 1), text, owner(self.file))


def owner(file: str) -> str:
    """Return the tenant that a file of a catalog belongs to; empty for a file that all share."""
    top, _, rest = file.partition("/")
    if top != "tenants" or not rest:
        return ""
    name, inside, _ = rest.partition("/")
    return name if inside else Path(name).stem


class _Loader(yaml.SafeLoader):
    """Resolves only null, booleans and numbers; all else is text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # as PyYAML has it


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", ["t", "f"]),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)

_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}


def read(path: Path, name: str) -> tuple[Document, list[Problem]]:
    """Read one file; mistakes of syntax, doubled keys and strange tags are problems, never exceptions."""
    try:
        root = yaml.compose(path.read_text("utf-8-sig"), Loader=_Loader)
    except UnicodeDecodeError:
        return Document(name, None, {}), [_at(name, 1, "not UTF-8, save the file as UTF-8")]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return Document(name, None, {}), [_at(name, line, _syntax(error))]
    except yaml.YAMLError:
        return Document(name, None, {}), [_at(name, 1, "not YAML, remove control characters")]
    reader = _Reader(name)
    data = None if root is None else reader.plain(root, ())
    return Document(name, data, reader.lines), reader.problems


def _syntax(error: yaml.MarkedYAMLError) -> str:
    told = f"{error.context} {error.problem}"
    if error.problem_mark and "{{" in (error.problem_mark.get_snippet(max_length=10_000) or ""):
        return f"not YAML ({error.problem}), {_BRACES}"
    for what, sign, cure in _CURES:
        if sign in told:
            return f"not YAML ({what}), {cure}"
    return f"not YAML ({error.problem}), fix the syntax"


class _Reader:
    def __init__(self, name: str) -> None:
        self.lines: dict[Where, int] = {}
        self.problems: list[Problem] = []
        self._name = name
        self._values = 0

    def plain(self, node: yaml.Node, where: Where) -> Any:
        """Turn a node into plain data and note its lines."""
        self.lines.setdefault(where, node.start_mark.line + 1)
        self._values += 1
        if self._values == _MOST_VALUES:
            self._problem(node, f"the file stands for more than {_MOST_VALUES:,} values, use fewer aliases")
        if self._values >= _MOST_VALUES:
            return None
        if len(where) > _MAX_DEPTH:
            self._problem(node, "nested too deeply, flatten it")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*where, index)) for index, item in enumerate(node.value)]
        convert = _SCALARS.get(node.tag)
        if convert is None:
            self._problem(node, f"unknown tag {node.tag}, remove it")
            return None
        return convert(node.value)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self._problem(key_node, _NO_KEY if isinstance(key_node, yaml.MappingNode) else _NO_NAME)
                continue
            if key == _MERGE:
                self._problem(key_node, "`<<` is no part of YAML 1.2, write the fields out")
            if key in found:
                self._problem(key_node, f"`{key}` appears twice, remove one")
            self.lines[(*where, key)] = key_node.start_mark.line + 1
            found[key] = self.plain(value, (*where, key))
        return found

    def _problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(_at(self._name, node.start_mark.line + 1, text))


def _at(file: str, line: int, text: str) -> Problem:
    return Problem(file, line, text, owner(file))
