"""`tocsin keys`: a secret is shown once, changes are entered into the audit log, and mistakes are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from sources.topics import TopicAdmin, TopicPlan
from tests.gateway.running import read_all
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.cli.main import build
from tocsin.cli.output import console
from tocsin.errors import TocsinError


@pytest.fixture
def settings(
    kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    values = {
        "KAFKA": kafka,
        "TOPIC_PREFIX": topic_prefix,
        "REDIS": redis_db,
        "SECRET": "a secret of the tests of keys",
        "PARTITIONS": "2",
        "STATE_DIR": str(tmp_path),
        "CATALOG": str(example_catalog()),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TOCSIN_{name}", value)
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(2), ["audit"])
    return Settings()


def ask(*words: str) -> Any:
    return build(words)(words, standalone_mode=False)


def test_the_life_of_a_key(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> Any:
        ask("keys", *words, "--json")
        return json.loads(capsys.readouterr().out)

    made = said("create", "--tenant", "shop", "--scope", "events:write", "--name", "orders", "--new-tenant")
    assert made["key"].startswith(f"tk_{made['id']}_")
    assert (made["kind"], made["scopes"]) == ("bearer", ["events:write"])
    turned = said("rotate", made["id"], "--overlap", "1h")
    assert turned["key"] != made["key"]
    signing = said("create", "--tenant", "shop", "--signing", "--new-tenant")
    assert (signing["app_key"], len(signing["app_secret"])) == (signing["id"], 43)
    listed = said("list", "--tenant", "shop")
    assert [each["id"] for each in listed] == [made["id"], signing["id"]]
    assert listed[0]["old_secret_until"]
    shown = json.dumps(listed)
    assert not any(each in shown for each in (made["key"], turned["key"], signing["app_secret"]))
    assert said("revoke", made["id"])["revoked"]
    assert said("list", "--tenant", "other") == []
    entered = [json.loads(each.value or b"{}") for each in read_all(settings, "audit")]
    found = [(each["action"], each["subject"], each["tenant"]) for each in sorted(entered, key=_at)]
    assert found == [
        ("key_created", made["id"], "shop"),
        ("key_rotated", made["id"], "shop"),
        ("key_created", signing["id"], "shop"),
        ("key_revoked", made["id"], "shop"),
    ]
    assert not any(each in json.dumps(entered) for each in (made["key"][20:], signing["app_secret"]))


def test_people_see_keys_in_a_hundred_columns(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 100)
    made = []
    for words in (("--name", "gateway"), ("--scope", "notifications:write", "--per-s", "50", "--signing")):
        ask("keys", "create", "--tenant", "default", *words, "--json")
        made.append(json.loads(capsys.readouterr().out)["id"])
    ask("keys", "rotate", made[0], "--json")
    ask("keys", "revoke", made[1], "--json")
    capsys.readouterr()
    ask("keys", "list")
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    said = ["everything", "old secret until", "notifications:write", "50 requests/s", "revoked"]
    assert [each for each in (*made, *said) if each not in shown] == []


def _at(entered: dict[str, Any]) -> int:
    return int(entered["at_ms"])


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (("create", "--scope", "everything"), "there is no scope everything; there are: notifications:write"),
        (("create", "--tenant", "a/b"), "has no '/'"),
        (("create", "--tenant", "defualt"), "no tenant 'defualt'; did you mean default? It has: default"),
        (("create", "--tenant", "shop"), "it has: default; --new-tenant creates the key anyway"),
        (("create", "--tenant", ""), "has no tenant ''"),
        (("rotate", "0" * 16), "there is no key 0000000000000000"),
        (("rotate", "0" * 16, "--overlap", "soon"), "write a span like 90s"),
        (("revoke", "0" * 16), "`tocsin keys list` lists them"),
    ],
)
def test_mistakes_are_told(
    settings: Settings, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], cure: str
) -> None:
    assert _refused(capsys, words, cure), "a mistake is no success"
    assert read_all(settings, "audit") == [], "nothing was changed"


def test_without_a_catalog_nobody_knows_the_tenants(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOCSIN_CATALOG", str(tmp_path / "none"))
    assert _refused(capsys, ("create",), "there is no such folder")
    ask("keys", "create", "--new-tenant", "--json")
    assert json.loads(capsys.readouterr().out)["tenant"] == "default"


def _refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], cure: str) -> int:
    """Return the exit code of a command that must name the cure."""
    said, code = "", 0
    try:
        code = ask("keys", *words)
    except TocsinError as error:
        said, code = str(error), 1
    assert cure in said + capsys.readouterr().err
    return code
