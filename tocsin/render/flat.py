"""Compiles a template together with all it extends into one function, when that gives the same text.

Jinja2 looks up every parent, and calls a function for each block, at every render. Most layouts of mails are
known before: their names are written in `extends`. Here the blocks are put into the layout once.

A template is left to Jinja2 where the text could differ: `super()` and `self`, includes, imports, macros,
blocks in scopes whose names they use, a parent whose name is computed.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import jinja2
from jinja2 import nodes

_OWN_RULES: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Macro, nodes.CallBlock)
_SPECIAL: Final = frozenset({"super", "self", "caller", "namespace", "cycler", "joiner"})
_MAX_DEPTH: Final = 16


class NotFlat(Exception):  # no fault: it ends an attempt
    """Says that a template is left to Jinja2."""


def flattened(environment: jinja2.Environment, name: str) -> nodes.Template:
    """Parse a template and put its blocks into the layout that it extends.

    Args:
        environment: whose loader has the template and its parents.
        name: of the template.

    Raises:
        NotFlat: the text could differ.
        jinja2.TemplateError: a template is missing or its syntax is wrong.
    """
    chain = list(_chain(environment, name))
    if len({_escapes(environment, each) for each, _ in chain}) > 1:
        raise NotFlat  # a parent of the other kind escapes by other rules
    for _, template in chain:
        _check(template)
    blocks: dict[str, nodes.Block] = {}
    for _, template in chain:
        for block in template.find_all(nodes.Block):
            blocks.setdefault(block.name, block)
    layout = chain[-1][1]
    layout.body = _inlined(layout.body, _Place(blocks, frozenset(), frozenset()))
    return layout


def _escapes(environment: jinja2.Environment, name: str) -> bool:
    autoescape = environment.autoescape
    return autoescape(name) if callable(autoescape) else autoescape


def _chain(environment: jinja2.Environment, name: str) -> Iterator[tuple[str, nodes.Template]]:
    """Give a template, its parent, and so on to the layout."""
    for _ in range(_MAX_DEPTH):
        assert environment.loader is not None, "a sandbox has one"
        template = environment.parse(environment.loader.get_source(environment, name)[0], name)
        yield name, template
        parent = _parent(template)
        if parent is None:
            return
        name = parent
    raise NotFlat


def _parent(template: nodes.Template) -> str | None:
    """Name what a template extends. One that extends may hold blocks, and nothing that sets a name."""
    found = list(template.find_all(nodes.Extends))
    if not found:
        return None
    only_blocks = all(isinstance(each, nodes.Extends | nodes.Block | nodes.Output) for each in template.body)
    parent = found[0].template
    if len(found) > 1 or not only_blocks or found[0] is not template.body[_first(template)]:
        raise NotFlat
    if not isinstance(parent, nodes.Const) or not isinstance(parent.value, str):
        raise NotFlat
    return parent.value


def _first(template: nodes.Template) -> int:
    """Find the first node that writes something: before `extends`, text would be part of the mail."""
    blank = [isinstance(each, nodes.Output) and _is_blank(each) for each in template.body]
    return blank.index(False)


def _is_blank(output: nodes.Output) -> bool:
    return all(isinstance(each, nodes.TemplateData) and not each.data for each in output.nodes)


def _check(template: nodes.Template) -> None:
    if next(template.find_all(_OWN_RULES), None) is not None:
        raise NotFlat
    if any(each.name in _SPECIAL for each in template.find_all(nodes.Name)):
        raise NotFlat
    if any(each.scoped or each.required for each in template.find_all(nodes.Block)):
        raise NotFlat


class _Place(NamedTuple):
    """Where a block stands: all blocks, names set around it, and the blocks that it stands in."""

    blocks: dict[str, nodes.Block]
    local: frozenset[str]
    within: frozenset[str]


def _inlined(body: list[nodes.Node], place: _Place) -> list[nodes.Node]:
    """Put the bodies of blocks in their places, and join texts that then stand side by side."""
    out: list[nodes.Node] = []
    for node in body:
        for each in _of_block(node, place) if isinstance(node, nodes.Block) else [_descended(node, place)]:
            last = out[-1] if out else None
            if isinstance(each, nodes.Output) and isinstance(last, nodes.Output):
                out[-1] = nodes.Output([*last.nodes, *each.nodes], lineno=last.lineno)
            else:
                out.append(each)
    return out


def _of_block(block: nodes.Block, place: _Place) -> list[nodes.Node]:
    chosen = place.blocks[block.name]
    if block.name in place.within or _read(chosen) & place.local:
        raise NotFlat
    own = _stored(chosen)
    inner = _Place(place.blocks, place.local | own, place.within | {block.name})
    body = _inlined(list(chosen.body), inner)
    return [nodes.Scope(body, lineno=block.lineno)] if own else body


def _descended(node: nodes.Node, place: _Place) -> nodes.Node:
    """Go into `if` and the like; what a loop or `with` sets is not seen by blocks in it."""
    if next(node.find_all(nodes.Block), None) is None:
        return node
    if isinstance(node, nodes.If):
        for branch in (node, *node.elif_):
            branch.body = _inlined(branch.body, place)
        node.else_ = _inlined(node.else_, place)
        return node
    if isinstance(node, nodes.For | nodes.With):
        inner = place._replace(local=place.local | _stored(node) | {"loop"})
        node.body = _inlined(node.body, inner)
        if isinstance(node, nodes.For):
            node.else_ = _inlined(node.else_, place)
        return node
    raise NotFlat


def _stored(node: nodes.Node) -> frozenset[str]:
    return frozenset(each.name for each in node.find_all(nodes.Name) if each.ctx != "load")


def _read(node: nodes.Node) -> frozenset[str]:
    return frozenset(each.name for each in node.find_all(nodes.Name) if each.ctx == "load")
