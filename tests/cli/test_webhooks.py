"""`tocsin webhooks`, and what `tocsin check` says of `webhooks:`: the place and the cure."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sources.topics import TopicAdmin, TopicPlan
from tests.gateway.running import read_all
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.catalog.loader import check
from tocsin.cli.main import build

FINE = {"url": "https://api.shop.example/t", "secret": "env:SHOP_SECRET"}


def written(folder: Path, **fields: object) -> Path:
    """Write the example catalog with an endpoint."""
    path = folder / "catalog"
    shutil.copytree(example_catalog(), path)
    tenant = path / "tenants/default.yaml"
    lines = [
        "",
        "webhooks:",
        "  orders:",
        *(f"    {name}: {json.dumps(each)}" for name, each in fields.items()),
    ]
    tenant.write_text(tenant.read_text() + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("fields", "place", "said"),
    [
        ({"url": "ftp://api.shop.example/t"}, "url", "write an http"),
        ({"url": "https://ann:word@api.shop.example/t"}, "url", "leave user and password away"),
        ({"url": "https://api.shop.example:99999/t"}, "url", "write a URL such as https://api.shop.example"),
        ({"secret": "whsec_c2VjcmV0"}, "secret", "write env:NAME or file:PATH, never the secret itself"),
        ({"statuses": ["gone"]}, "statuses", "write one of admitted, "),
        ({"notifications": ["gone"]}, "notifications", "there is no notification `gone`"),
        ({"give_up_after": "soon"}, "give_up_after", "such as 30s, 10m, 6h or 1d"),
        ({"sekret": "env:X"}, "sekret", "did you mean `secret`?"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_cure(
    fields: dict[str, object], place: str, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, **{**FINE, **fields})
    lines = (path / "tenants/default.yaml").read_text().splitlines()
    line = next(number for number, each in enumerate(lines, 1) if each.startswith(f"    {place}: "))
    [problem] = map(str, check(path))
    assert f"tenants/default.yaml:{line}: " in problem
    assert said in problem
    assert "word" not in problem.replace("password", "")
    assert "whsec_" not in problem


def test_endpoints_are_listed_switched_off_and_on_and_people_who_do_it_are_in_the_audit_log(
    kafka: str,
    topic_prefix: str,
    redis_db: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"KAFKA": kafka, "TOPIC_PREFIX": topic_prefix, "REDIS": redis_db, "PARTITIONS": "1"}
    for name, value in {**values, "CATALOG": str(written(tmp_path, **FINE))}.items():
        monkeypatch.setenv(f"TOCSIN_{name}", value)
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(1), ["audit"])

    def said(*words: str) -> Any:
        words = ("webhooks", *words, "--json")
        build(words)(words, standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    def listed() -> tuple[str, str, str]:
        [row] = said("list")
        return row["endpoint"], row["state"], row["error"]

    assert listed() == ("default/orders", "on", "")
    assert said("list", "--tenant", "other") == []
    assert said("disable", "orders")["state"] == "is off"
    assert listed() == ("default/orders", "off", "by hand")
    assert said("retry", "default/orders", "--since", "6h")["state"].startswith("is on, and gets")
    assert listed() == ("default/orders", "on", "")
    for words, cure in (
        (("retry", "other/orders"), "there is no endpoint other/orders"),
        (("retry", "orders", "--since", "soon"), "write a time like"),
    ):
        asked = ("webhooks", *words)
        assert build(asked)(asked, standalone_mode=False) in (1, 2)
        assert cure in capsys.readouterr().err
    audited = [each.value or b"" for each in read_all(Settings(), "audit")]
    assert [b"webhook_switched_off" in each for each in audited] == [True, False]
    assert all(b"orders" in each for each in audited)
