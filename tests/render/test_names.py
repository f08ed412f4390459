"""Unknown names are found in the syntax tree, known ones never are."""

import pytest

from tocsin.render.names import name_problems, place
from tocsin.render.sandbox import CONTEXT_NAMES

SAMPLES = {"n": [{"a": {"b": 1}, "list": [1], "none": None}]}


def problems(source: str, **others: str) -> list[str]:
    templates = {"n/en/body": source} | {name.replace("__", "/"): text for name, text in others.items()}
    return name_problems(templates, SAMPLES)


@pytest.mark.parametrize("name", [*sorted(CONTEXT_NAMES), "range", "namespace", "dict"])
def test_what_every_template_has(name: str) -> None:
    assert problems("{{ " + name + " }}") == []


@pytest.mark.parametrize(
    "source",
    [
        "{{ data.a.b }}",
        "{{ data['a']['b'] }}",
        "{{ data.a['b'] }}",
        "{{ data.list[0] }}",
        "{{ data.list | length }}",
        "{% set x = data.a %}{{ x.b }}",
        "{% for x in data.list %}{{ x }}{{ loop.first }}{% endfor %}",
        "{{ data[data.list[0]] }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1) }}",
    ],
)
def test_known_names(source: str) -> None:
    assert problems(source) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ x }}", "unknown variable `x`"),
        ("{{ lipsum }}", "unknown variable `lipsum`"),
        ("{{ data.b }}", "no sample has `data.b`"),
        ("{{ data.a.c }}", "no sample has `data.a.c`"),
        ("{{ data['a'].c }}", "no sample has `data.a.c`"),
        ("{{ data.none }}", "no sample has `data.none`"),
        ("{% extends 'l' %}", "no template `l`"),
        ("{% include 'l' %}", "no template `l`"),
        ("{% import 'l' as l %}", "no template `l`"),
        ("{% from 'l' import m %}", "no template `l`"),
    ],
)
def test_unknown_names(source: str, problem: str) -> None:
    assert problems("\n" + source) == [f"{place('n/en/body', 2)}: {problem}"]


def test_layouts_are_checked_for_variables_but_not_for_fields() -> None:
    assert problems("x", _layout__html="{{ data.anything }}") == []
    assert problems("x", _layout__html="{{ anything }}") == [
        "templates/_layout/html.j2:1: unknown variable `anything`"
    ]


def test_names_in_blocks_of_a_child_are_checked() -> None:
    source = "{% extends '_layout/html' %}{% block b %}{{ oops }}{% endblock %}"
    assert problems(source, _layout__html="{% block b %}{% endblock %}") == [
        "templates/n/en/body.j2:1: unknown variable `oops`"
    ]
