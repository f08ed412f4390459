"""Expressions of the catalog against samples: a misspelt field of `data` is found before an event comes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tocsin.catalog import loader
from tocsin.render.expression_samples import sample_problems

NOTICE = "order:\n  on: {type: order}\n  category: news\n  channels: [email]\n"
SHOWN = {
    "project": "p",
    "items": 2,
    "starts": "2026-12-24T18:00",
    "legs": [{"gate": "A"}],
    "who": {"name": "Ann"},
}


def written(
    place: Path, added: str, *, sample: Any = None, digest: Any = None, notice: str = NOTICE
) -> list[str]:
    """Write a catalog with one more field; return what is told of it."""
    (place / "notifications").mkdir(exist_ok=True)
    (place / "tenants").mkdir(exist_ok=True)
    (place / "tenants/default.yaml").write_text("categories: {news: {}}\n")
    (place / "notifications/all.yaml").write_text(f"{notice}  {added}\n")
    template = place / "templates/order"
    template.mkdir(parents=True, exist_ok=True)
    if sample is not None:
        (template / "sample.json").write_text(json.dumps(sample))
    if digest is not None:
        (template / "digest.json").write_text(json.dumps(digest))
    assert loader.check(place) == []
    return [str(problem) for problem in sample_problems(place)]


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (
            "collapse_key: data.projct",
            "`collapse_key` reads `data.projct`, which no sample has, write `data.project`",
        ),
        (
            "cancel_key: data.who.nam",
            "`cancel_key` reads `data.who.nam`, which no sample has, write `data.who.name`",
        ),
        (
            "cancel_key: data.flight",
            "`cancel_key` reads `data.flight`, which no sample has, correct it or add it to",
        ),
        (
            "dedup: {key: \"data['projec']\", window: 1h}",
            "`key` reads `data.projec`, which no sample has, write",
        ),
        (
            "digest: {every: 1h, single: plain, key: data.projec}",
            "`key` reads `data.projec`, which no sample has",
        ),
        (
            "digest: {every: 1h, single: plain, items: data.autor}",
            "`items` reads `data.autor`, which no sample has",
        ),
        (
            "at: {expression: data.start}",
            "`expression` reads `data.start`, which no sample has, write `data.starts`",
        ),
        (
            "collapse_key: data.itms is defined and 'x' or 'y'",
            "`collapse_key` reads `data.itms`, which no sample has",
        ),
        (
            "collapse_key: data.legs",
            "`collapse_key` fails with each sample (`data.legs` gave no text or number), correct",
        ),
        (
            "at: {expression: data.project}",
            "`expression` fails with each sample (`data.project` is not a time",
        ),
        (
            "collapse_key: data.project + data.items",
            "(`data.project + data.items` failed on this event: TypeError)",
        ),
    ],
)
def test_what_no_sample_suits_is_told_with_its_line(added: str, told: str, tmp_path: Path) -> None:
    (found,) = written(tmp_path, added, sample=SHOWN)
    assert found.startswith("notifications/all.yaml:5: ")
    assert told in found
    assert found.endswith("templates/order/sample.json")


@pytest.mark.parametrize(
    "when", ["data.item > 0", "user.known and data.item > 0", "data.item | default(1) > 0"]
)
def test_a_condition_is_told_too(when: str, tmp_path: Path) -> None:
    notice = NOTICE.replace("order}", f'order, when: "{when}"}}')
    (found,) = written(tmp_path, "priority: high", sample=SHOWN, notice=notice)
    assert found.startswith(
        "notifications/all.yaml:2: `when` reads `data.item`, which no sample has, write `data.items`"
    )
    notice = NOTICE.replace("[email]", f'[{{channel: email, when: "{when}"}}]')
    (found,) = written(tmp_path, "priority: high", sample=SHOWN, notice=notice)
    assert found.startswith("notifications/all.yaml:4: `when` reads")


@pytest.mark.parametrize(
    "added",
    [
        "collapse_key: data.project ~ data.items",
        "collapse_key: data.legs[0].gate",
        "collapse_key: data.legs | map(attribute='gate') | join",
        "collapse_key: data.who.name.lower()",
        "collapse_key: user.attributes.plan",
        "at: {expression: data.starts}",
        "digest: {every: 1h, items: data.legs}",
    ],
)
def test_what_a_sample_suits_is_no_mistake(added: str, tmp_path: Path) -> None:
    assert (
        written(tmp_path, added, sample=SHOWN, digest={"items": [], "count": 0, "more": 0, "key": ""}) == []
    )


def test_samples_together_show_all_fields(tmp_path: Path) -> None:
    samples = [{"project": "p", "kind": None}, {"flight": "UA 1"}]
    assert (
        written(
            tmp_path, "collapse_key: data.project if data.project is defined else data.flight", sample=samples
        )
        == []
    )
    (found,) = written(tmp_path, "collapse_key: data.kind", sample=samples)
    assert "`data.kind`, which no sample has" in found  # null is missing
    assert written(tmp_path, "collapse_key: data.kind", sample=[*samples, {"kind": [1]}, {"kind": "a"}]) == []


def test_items_of_digests_are_samples_where_they_are_whole_events(tmp_path: Path) -> None:
    digest = {"items": [{"project": "p"}], "count": 1, "more": 0, "key": ""}
    assert written(tmp_path, "digest: {every: 1h, key: data.project}", digest=digest) == []
    (found,) = written(tmp_path, "digest: {every: 1h, key: data.projct}", digest=digest)
    assert "write `data.project` or add it to" in found
    assert written(tmp_path, "digest: {every: 1h, key: data.projct, items: data}", digest=digest) == []


def test_a_tenant_s_own_notification_has_its_own_sample(tmp_path: Path) -> None:
    own = tmp_path / "tenants/default"
    (own / "templates/order").mkdir(parents=True)
    (own / "templates/order/sample.json").write_text('{"parcel": 7}')
    (own / "notifications").mkdir()
    (own / "notifications/own.yaml").write_text(f"{NOTICE}  collapse_key: data.project\n")
    (found,) = written(tmp_path, "collapse_key: data.project", sample=SHOWN)
    assert found.startswith("tenants/default/notifications/own.yaml:5: `collapse_key` reads `data.project`")


def test_without_a_sample_nothing_is_said(tmp_path: Path) -> None:
    assert written(tmp_path, "collapse_key: data.projct") == []
    (tmp_path / "templates/order/sample.json").write_text("{")
    assert sample_problems(tmp_path) == []
