"""Declared topics in `sources.yaml`: read as written, and every mistake named with file, line and cure."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import folder, problems
from tocsin.catalog import loader, sources

ORDERS = """shop.orders:
  format: mapped
  type: order.changed
  user: value.customer.id
"""


def test_declared_topics_are_part_of_the_catalog_and_of_its_version(tmp_path: Path) -> None:
    before = loader.load(folder(tmp_path)).version
    found = loader.load(folder(tmp_path, sources=ORDERS))
    assert found.sources["shop.orders"].user == "value.customer.id"
    assert found.version != before
    assert sources.declared_topics(tmp_path) == {"shop.orders": "mapped"}


def test_a_catalog_without_the_file_declares_nothing(tmp_path: Path) -> None:
    assert not loader.load(folder(tmp_path)).sources
    assert sources.declared_topics(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("  idd: value.id\n", "sources.yaml:5: unknown field `idd`, did you mean `id`?"),
        ("  id: value..id\n", "sources.yaml:5: `id` is wrong: not an expression"),
        ("  id: data.id\n", "sources.yaml:5: `id` is wrong: unknown variable `data`, use headers, key,"),
        ("  tenant: nobody\n", "sources.yaml:5: no tenant `nobody`, add tenants/nobody.yaml"),
        (
            "  type_from: value.kind\n",
            "sources.yaml:5: `type` and `type_from` exclude each other, remove one",
        ),
        ("  time_unit: min\n", "sources.yaml:5: `time_unit: min` is not allowed, write one of 's', 'ms'"),
        ("  tombstones: keep\n", "sources.yaml:5: `tombstones: keep` is not allowed, write one of 'skip'"),
        ("a b:\n  format: debezium\n", "sources.yaml:5: `a b` is no topic name, use letters"),
        ("x: {format: mapped, user: key}\n", "sources.yaml:5: `type` is missing, write a fixed `type`"),
        ("x: {format: mapped, type: t}\n", "sources.yaml:5: `user` is missing, write an expression"),
        ("x: {format: xml}\n", "sources.yaml:5: `format: xml` is not allowed, write one of 'cloudevents'"),
        ("..: {format: cloudevents}\n", "sources.yaml:5: `..` is no topic name, use letters"),
        (
            "x: {format: mapped, user: key, type: value.kind}\n",
            "sources.yaml:5: `type` is a fixed text but reads like an expression, write `type_from: value",
        ),
        (
            "x: {format: mapped, user: key, type: t, source: \"headers['from']\"}\n",
            "sources.yaml:5: `source` is a fixed text but reads like an expression, write `source_from:",
        ),
        (
            'x: {format: mapped, user: key, type: "a\\nb"}\n',
            "sources.yaml:5: `type` holds control characters, remove them",
        ),
        ("x: {format: cloudevents, id: key}\n", "sources.yaml:5: `id` is read from the CloudEvent itself"),
    ],
)
def test_mistakes_are_named_with_line_and_cure(tmp_path: Path, change: str, sentence: str) -> None:
    (found,) = problems(tmp_path, sources=ORDERS + change)
    assert found.startswith(sentence)


@pytest.mark.parametrize(("text", "sentence"), [("- a\n", "no topics"), ("a: [", "not YAML"), ("", "")])
def test_a_file_of_another_shape(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in "".join(problems(tmp_path, sources=text))
    assert bool(sentence) == bool(problems(tmp_path, sources=text))


def test_a_topic_without_a_tenant_needs_the_default_one(tmp_path: Path) -> None:
    (folder(tmp_path, sources=ORDERS) / "tenants" / "default.yaml").rename(tmp_path / "tenants" / "acme.yaml")
    found = [str(each) for each in loader.check(tmp_path) if each.file == "sources.yaml"]
    assert found == [
        "sources.yaml:1: `tenant` is missing, and there is no tenant `default`, name the tenant of its events"
    ]


def test_a_file_that_nobody_reads_is_named(tmp_path: Path) -> None:
    (folder(tmp_path) / "sources.yml").write_text(ORDERS)
    found = [str(each) for each in loader.check(tmp_path)]
    assert found == ["sources.yml:1: nobody reads this name, call it sources.yaml"]
