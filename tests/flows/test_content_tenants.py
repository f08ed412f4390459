"""One tenant's mistake keeps that tenant on its last good catalog; the others get the new one."""

from pathlib import Path

import msgspec
import pytest

from flows.content import CatalogInForce
from flows.kept_catalog import KeptCatalog
from tests.flows.test_content import SECRET, message, poll_twice
from tocsin.decision.policy import GatePolicy
from tocsin.errors import CatalogError
from tocsin.model.content import SmsContent

FILES = {
    "tenants/default.yaml": "categories: {news: {}}\n",
    "tenants/acme.yaml": "categories: {news: {}}\n",
    "notifications/all.yaml": "hello:\n  on: {type: a.b}\n  category: news\n  channels: [sms]\n",
    "templates/hello/en/sms.j2": "Old",
}
SMS = "templates/hello/en/sms.j2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a catalog of the tenants `acme` and `default`, of equal settings."""
    for name, text in FILES.items():
        write(tmp_path / "catalog", name, text)
    return tmp_path / "catalog"


def write(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def text_of(content: CatalogInForce, tenant: str) -> str:
    one = msgspec.structs.replace(message("sms", tenant), template="hello", notification="hello")
    found = content.render(one)
    assert isinstance(found, SmsContent)
    return found.text


def poll_again(content: CatalogInForce) -> None:
    for second in (40, 50, 60):
        content.poll(second * 1_000)


def versions(content: CatalogInForce) -> dict[str, str]:
    return {name: tenant.version for name, tenant in content.catalog.tenants.items()}


def test_a_template_of_a_tenant_replaces_the_shared_one_for_it_alone(folder: Path) -> None:
    write(folder, f"tenants/acme/{SMS}", "Only of Acme")
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    assert [text_of(content, tenant) for tenant in ("acme", "default")] == ["Only of Acme", "Old"]


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("tenants/acme.yaml", "categories: 7\n", "tenants/acme.yaml:1: "),
        ("tenants/acme/notifications/x.yaml", "x: 1\n", "tenants/acme/notifications/x.yaml:1: "),
        (f"tenants/acme/{SMS}", "{% if %}", f"tenants/acme/{SMS}:1: "),
        (f"tenants/acme/{SMS}", "{{ no.body }}", f"tenants/acme/{SMS}:1: unknown variable `no`"),
        ("tenants/acme/templates/hello/de/title.j2", "Hi", "tenants/acme/templates/hello/de/:1: sms needs"),
    ],
)
def test_a_broken_tenant_keeps_its_last_good_version(folder: Path, file: str, text: str, place: str) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    old = content.catalog.version
    write(folder, SMS, "New for all")
    write(folder, file, text)
    poll_twice(content)
    new = content.catalog.version
    assert versions(content) == {"acme": old, "default": new}
    assert old != new
    assert [text_of(content, tenant) for tenant in ("acme", "default")] == ["Old", "New for all"]
    assert content.problem == ""
    assert content.tenant_problem.startswith(f"tenant acme keeps catalog {old}; its new files have mistakes:")
    assert place in content.tenant_problem


def test_it_keeps_the_same_version_through_further_changes_and_then_gets_the_newest(folder: Path) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    old = content.catalog.version
    write(folder, "tenants/acme.yaml", "categories: 7\n")
    poll_twice(content)
    write(folder, SMS, "Newer")
    poll_again(content)
    assert versions(content)["acme"] == old
    write(folder, "tenants/acme.yaml", FILES["tenants/acme.yaml"])
    for second in (70, 80, 90):
        content.poll(second * 1_000)
    assert set(versions(content).values()) == {content.catalog.version}
    assert (text_of(content, "acme"), content.tenant_problem) == ("Newer", "")


def test_a_process_starts_without_a_broken_tenant_and_says_so(folder: Path) -> None:
    write(folder, "tenants/acme.yaml", "categories: 7\n")
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    assert content.catalog.tenants.keys() == {"default"}
    assert "tenant acme has no catalog" in content.tenant_problem


def test_a_process_does_not_start_where_every_tenant_is_broken(folder: Path) -> None:
    write(folder, f"tenants/acme/{SMS}", "{% if %}")
    write(folder, "tenants/default.yaml", "categories: 7\n")
    with pytest.raises(CatalogError, match=r"tenants/acme/templates/hello/en/sms.j2:1"):
        CatalogInForce(folder, GatePolicy(), SECRET)


def start(folder: Path) -> CatalogInForce:
    """Start a process: its state folder is beside the catalog."""
    return CatalogInForce(folder, GatePolicy(), SECRET, KeptCatalog(folder.parent / "kept"))


BROKEN = [("tenants/acme.yaml", "categories: 7\n"), (f"tenants/acme/{SMS}", "{% if %}")]


@pytest.mark.parametrize(("file", "text"), BROKEN)
def test_a_process_that_starts_with_a_broken_tenant_takes_its_last_good_version_from_disk(
    folder: Path, file: str, text: str
) -> None:
    old = start(folder).catalog.version
    write(folder, file, text)
    write(folder, SMS, "New")
    for _ in range(3):  # each start keeps it for the next one
        content = start(folder)
        assert versions(content) == {"acme": old, "default": content.catalog.version}
        assert [text_of(content, tenant) for tenant in ("acme", "default")] == ["Old", "New"]
        assert content.tenant_problem.startswith(f"tenant acme keeps catalog {old}; its new files have mist")
    (folder / file).unlink()
    write(folder, "tenants/acme.yaml", FILES["tenants/acme.yaml"])
    content = start(folder)
    assert [text_of(content, tenant) for tenant in ("acme", "default")] == ["New", "New"]
    assert len(list((folder.parent / "kept").iterdir())) == 2, "one copy and the names"


def test_a_reload_keeps_what_is_good_for_the_next_start(folder: Path) -> None:
    content = start(folder)
    write(folder, SMS, "Newer")
    poll_twice(content)
    new = content.catalog.version
    write(folder, "tenants/acme.yaml", "categories: 7\n")
    poll_again(content)
    assert versions(start(folder)) == {"acme": new, "default": content.catalog.version}
    assert text_of(start(folder), "acme") == "Newer"


def test_a_version_that_changed_before_it_was_copied_does_not_cost_the_copy_before_it(folder: Path) -> None:
    """Somebody saves twice: the first version is in force, and the second one, which is broken, on disk."""
    old = start(folder).catalog.version
    kept = KeptCatalog(folder.parent / "kept")
    write(folder, "tenants/acme.yaml", "categories: 7\n")
    kept.keep(folder, {"acme": "0123456789ab-tz1", "default": "0123456789ab-tz1", "new": "0123456789ab-tz1"})
    assert kept.folder_of("new") is None
    assert versions(start(folder))["acme"] == old


def test_what_was_kept_and_is_not_good_any_more_is_left_alone(folder: Path) -> None:
    """A later release may refuse what an older one took."""
    start(folder)
    (copy,) = (folder.parent / "kept").glob("*/tenants/acme.yaml")
    copy.write_text("categories: 8\n")
    write(folder, "tenants/acme.yaml", "categories: 7\n")
    assert "tenant acme has no catalog" in start(folder).tenant_problem


@pytest.mark.parametrize("names", ["{", "[]", '{"acme": "../.."}', '{"acme": "gone"}'])
def test_a_broken_list_of_what_is_kept_is_as_none(folder: Path, names: str) -> None:
    start(folder)
    (folder.parent / "kept" / "tenants.json").write_text(names)
    write(folder, "tenants/acme.yaml", "categories: 7\n")
    assert "tenant acme has no catalog" in start(folder).tenant_problem


def test_a_disk_that_takes_nothing_stops_no_start(folder: Path) -> None:
    (folder.parent / "kept").write_text("a file where the folder is to be")
    assert versions(start(folder)).keys() == {"acme", "default"}
