"""Checks what templates name, by their syntax trees: variables, fields of `data`, parts, other templates."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import meta, nodes

from tocsin.model.channels import CHANNELS, OPEN
from tocsin.render.mjml import MJML
from tocsin.render.sandbox import CONTEXT_NAMES, sandbox
from tocsin.render.templates import LAYOUT, SUFFIX, written

_PARTS = {part for spec in (*CHANNELS.values(), OPEN) for part in (*spec.parts, *spec.optional_parts)}
_REFERENCES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)

_DEFAULTS = {"default", "d"}
_TESTS = {"defined", "undefined", "none"}

Samples = list[Any]


def place(name: str, line: int = 1) -> str:
    """Write where a template's line is, below the catalog's folder."""
    return f"templates/{name}{SUFFIX}:{line}"


def name_problems(
    templates: Mapping[str, str], samples: Mapping[str, Samples], among: Collection[str] | None = None
) -> list[str]:
    """List unknown names in templates whose syntax is right.

    Args:
        templates: as `tocsin.render.templates.load_templates` gives them.
        samples: template folder -> samples of `data`; folders without any are not checked for its fields.
        among: the templates to look at; all unless given.
    """
    environment = sandbox(templates)
    by_hand = written(templates)
    names = by_hand if among is None else [name for name in by_hand if name in among]
    trees = {name: environment.parse(templates[name], name) for name in names}
    referenced = {name for tree in trees.values() for name in meta.find_referenced_templates(tree)}
    problems: list[str] = []
    for name, tree in trees.items():
        folder = name.split("/")[0]
        problems += _unknown_variables(environment, name, tree)
        problems += _unknown_templates(templates, name, tree)
        problems += _unknown_fields(name, tree, samples[folder]) if folder in samples else ()
        problems += () if folder == LAYOUT or name in referenced else _unknown_part(name)
    return problems


def optional_fields(templates: Mapping[str, str]) -> dict[str, set[tuple[str, ...]]]:
    """List the fields of `data` that a template expects to be missing: it tests them or gives a default.

    Returns:
        template folder -> paths of fields.
    """
    environment = sandbox(templates)
    found: dict[str, set[tuple[str, ...]]] = {}
    for name, source in templates.items():
        fields = found.setdefault(name.split("/")[0], set())
        for node in environment.parse(source, name).find_all((nodes.Filter, nodes.Test)):
            asks = node.name in (_DEFAULTS if isinstance(node, nodes.Filter) else _TESTS)
            path = data_path(node.node) if asks and node.node is not None else ()
            fields |= {path} if path else set()
    return found


def _unknown_variables(environment: jinja2.Environment, name: str, tree: nodes.Template) -> Iterator[str]:
    unknown = meta.find_undeclared_variables(tree) - CONTEXT_NAMES - environment.globals.keys()
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            yield f"{place(name, node.lineno)}: unknown variable `{node.name}`"


def _unknown_templates(templates: Mapping[str, str], name: str, tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(_REFERENCES):
        target = getattr(node, "template", None)
        if isinstance(target, nodes.Const) and target.value not in templates:
            yield f"{place(name, node.lineno)}: no template `{target.value}`"


def _unknown_fields(name: str, tree: nodes.Template, samples: Samples) -> Iterator[str]:
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        path = data_path(node)
        if path and not any(holds(sample, path) for sample in samples):
            yield f"{place(name, node.lineno)}: no sample has `data.{'.'.join(path)}`"


def _unknown_part(name: str) -> Iterator[str]:
    part = name.split("/")[-1].removesuffix(MJML)
    if part not in _PARTS:
        yield f"{place(name)}: no part is called `{part}`, use one of {', '.join(sorted(_PARTS))}"


def data_path(node: nodes.Node) -> tuple[str, ...]:
    """Give the fields of `data.a.b` or `data["a"].b`; empty if it starts elsewhere or has a computed step."""
    steps: list[str] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        step = node.attr if isinstance(node, nodes.Getattr) else _constant(node.arg)
        if not isinstance(step, str):
            return ()
        steps.append(step)
        node = node.node
    return tuple(reversed(steps)) if isinstance(node, nodes.Name) and node.name == "data" else ()


def _constant(node: nodes.Node) -> Any:
    return node.value if isinstance(node, nodes.Const) else None


def holds(sample: Any, path: tuple[str, ...]) -> bool:
    """Tell whether a sample has a field that is not null."""
    for step in path:
        if not isinstance(sample, dict) or step not in sample:
            # What is no object has methods (`data.tags.count`): only rendering can tell.
            return sample is not None and not isinstance(sample, dict)
        sample = sample[step]
    return sample is not None
