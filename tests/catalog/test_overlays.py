"""Tenants' own notifications add to the shared ones or replace them, and their mistakes are theirs alone."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import NOTICE, TENANT, folder
from tocsin.catalog import loader as catalog
from tocsin.catalog.files import owner
from tocsin.errors import CatalogError

OTHER = "bye:\n  on: {type: a.c}\n  category: news\n  channels: [sms]\n  template: hello\n"


def two(path: Path, **files: str) -> Path:
    """Write a catalog of the tenants `acme` and `default`."""
    return folder(path, **({"tenants__acme": TENANT} | files))


def problems(path: Path) -> list[str]:
    return [str(problem) for problem in catalog.check(path)]


def names(loaded: catalog.Catalog, tenant: str, event_type: str) -> list[str]:
    found = loaded.candidates(tenant, event_type)
    assert found is not None
    return [one.name for one in found.notifications]


def test_a_tenant_adds_a_notification(tmp_path: Path) -> None:
    loaded = catalog.load(two(tmp_path, tenants__acme__notifications__more=OTHER))
    assert names(loaded, "acme", "a.c") == ["bye"]
    assert names(loaded, "acme", "a.b") == ["hello"]
    assert names(loaded, "default", "a.c") == []


def test_an_entry_replaces_the_whole_shared_one_for_its_tenant(tmp_path: Path) -> None:
    own = NOTICE.replace("[email]", "[sms]")
    shared = NOTICE + "  priority: high\n"
    loaded = catalog.load(
        two(tmp_path, notifications__all=shared, tenants__acme__notifications__any_name=own)
    )
    found = [loaded.notification(tenant, "hello") for tenant in ("acme", "default")]
    assert [(one.channels[0].name, one.priority) for one in found if one] == [
        ("sms", "normal"),
        ("email", "high"),
    ]


def test_null_takes_a_shared_notification_away(tmp_path: Path) -> None:
    loaded = catalog.load(two(tmp_path, tenants__acme__notifications__less="hello: null\n"))
    assert names(loaded, "acme", "a.b") == []
    assert names(loaded, "default", "a.b") == ["hello"]


def test_a_tenant_that_replaces_a_notification_needs_no_category_for_the_shared_one(tmp_path: Path) -> None:
    """It is told so only where it uses the shared one."""
    files = {"tenants__acme": "categories: {own: {}}\n"}
    text = "notifications/all.yaml:3: tenant `acme` has no category `news`, add it there or set `tenants`"
    assert problems(two(tmp_path / "a", **files)) == [text]
    own = {"tenants__acme__notifications__all": NOTICE.replace("news", "own")}
    assert problems(two(tmp_path / "b", **files, **own)) == []


def test_a_tenant_may_use_a_template_of_its_own(tmp_path: Path) -> None:
    path = two(tmp_path, tenants__acme__notifications__more=OTHER.replace("hello", "own"))
    (text,) = problems(path)
    assert text.startswith("tenants/acme/notifications/more.yaml:5: no template `own`, add templates/own/")
    (path / "tenants/acme/templates/own/en").mkdir(parents=True)
    assert problems(path) == []


@pytest.mark.parametrize(
    ("file", "text", "place", "said"),
    [
        ("more", OTHER + "  tenants: [acme]\n", "notifications/more.yaml:6", "remove `tenants`"),
        (
            "more",
            "gone: null\n",
            "notifications/more.yaml:1",
            "no shared notification `gone` to take away, correct",
        ),
        ("more", OTHER.replace("news", "none"), "notifications/more.yaml:3", "has no category `none`"),
        ("more", OTHER.replace("[sms]", "[fax]"), "notifications/more.yaml:4", "`fax` is no channel"),
        ("more", "bye: [\n", "notifications/more.yaml:2", "not YAML"),
        ("more", "", "notifications/more.yaml:1", "no notifications, write"),
    ],
)
def test_a_mistake_in_a_tenants_own_file(tmp_path: Path, file: str, text: str, place: str, said: str) -> None:
    path = two(tmp_path, **{f"tenants__acme__notifications__{file}": text})
    (found,) = catalog.check(path)
    assert str(found).startswith(f"tenants/acme/{place}: ")
    assert said in found.text
    assert found.tenant == "acme"


def test_folders_that_nobody_reads_are_named(tmp_path: Path) -> None:
    path = two(tmp_path)
    (path / "tenants/acme/notification").mkdir(parents=True)
    (path / "tenants/ghost/templates").mkdir(parents=True)
    assert problems(path) == [
        "tenants/acme/:1: nobody reads `notification`, call it notifications, schedules or templates,"
        " or remove it",
        "tenants/ghost/:1: no tenants/ghost.yaml, add it or rename this folder",
    ]


BROKEN = {"tenants__acme": TENANT + "timezone: Mars/Olympus\n"}


def test_a_broken_tenant_is_left_out_and_named(tmp_path: Path) -> None:
    loaded = catalog.load_apart(two(tmp_path, **BROKEN))
    assert loaded.tenants.keys() == {"default"}
    assert loaded.faults.keys() == {"acme"}
    assert loaded.faults["acme"].startswith("tenants/acme.yaml:4: `timezone` is wrong")


def test_a_category_that_one_tenant_lacks_is_its_own_mistake(tmp_path: Path) -> None:
    loaded = catalog.load_apart(two(tmp_path, tenants__acme="categories: {own: {}}\n"))
    assert loaded.tenants.keys() == {"default"}
    assert loaded.faults["acme"].startswith("notifications/all.yaml:3: tenant `acme` has no category")


@pytest.mark.parametrize(
    "files",
    [
        {**BROKEN, "tenants__default": "categories: 7\n"},
        {"notifications__all": NOTICE.replace("[email]", "[fax]")},
        {"notifications__all": NOTICE.replace("news", "typo")},
    ],
)
def test_mistakes_of_all_tenants_refuse_the_catalog(tmp_path: Path, files: dict[str, str]) -> None:
    path = two(tmp_path, **files)
    with pytest.raises(CatalogError) as raised:
        catalog.load_apart(path)
    assert str(raised.value).splitlines() == problems(path)


def test_what_is_strict_refuses_the_mistake_of_one_tenant(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"tenants/acme.yaml:4"):
        catalog.load(two(tmp_path, **BROKEN))


@pytest.mark.parametrize(
    ("file", "tenant"),
    [
        ("tenants/acme.yaml", "acme"),
        ("tenants/a.b.yml", "a.b"),
        ("tenants/a.b/notifications/x.yaml", "a.b"),
        ("notifications/tenants/x.yaml", ""),
        ("sources.yaml", ""),
        ("tenants/", ""),
    ],
)
def test_each_file_has_an_owner(file: str, tenant: str) -> None:
    assert owner(file) == tenant
