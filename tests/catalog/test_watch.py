"""Hot reload: a good change is taken over, a bad one is said and keeps the old."""

import shutil
from pathlib import Path

import pytest

from tests.decision.gate_world import SMALL
from tocsin.catalog.loader import Catalog, load
from tocsin.catalog.watch import CatalogWatcher, Reload
from tocsin.errors import CatalogError

NEW = "extra:\n  on: {type: extra}\n  category: updates\n  channels: [email]\n  template: plain\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SMALL, tmp_path / "catalog"))


class Watch:
    """A watcher polled once a second of a made-up clock."""

    def __init__(self, path: Path) -> None:
        self.watcher = CatalogWatcher(path, load(path).version, self.accept)
        self.refusal: Exception | None = None
        self.now_ms = 0
        assert self.polls(3) == [], "the first looks find what is in force"

    def accept(self, _catalog: Catalog) -> None:
        if self.refusal:
            raise self.refusal

    def polls(self, count: int) -> list[Reload]:
        found = []
        for _ in range(count):
            self.now_ms += 1_000
            found.append(self.watcher.poll(self.now_ms))
        return [reload for reload in found if reload != Reload()]


def test_nothing_changes_nothing_happens(path: Path) -> None:
    assert Watch(path).polls(5) == []


def test_a_new_catalog_is_handed_over_once(path: Path) -> None:
    watch = Watch(path)
    (path / "notifications/extra.yaml").write_text(NEW)
    (reload,) = watch.polls(5)
    assert isinstance(reload.catalog, Catalog)
    assert reload.catalog.notification("quiet", "extra") is not None
    assert reload.problem == ""


def test_a_mistake_is_said_once_and_mended_later(path: Path) -> None:
    watch = Watch(path)
    (path / "notifications/extra.yaml").write_text(NEW.replace("updates", "gone"))
    (reload,) = watch.polls(5)
    assert reload.catalog is None
    assert reload.problem.startswith("notifications/extra.yaml:3: tenant `default` has no category `gone`")
    (path / "notifications/extra.yaml").write_text(NEW)
    (reload,) = watch.polls(5)
    assert reload.catalog is not None


def test_what_is_not_accepted_is_said_once_and_judged_again_when_it_changes(path: Path) -> None:
    watch = Watch(path)
    watch.refusal = CatalogError("templates/plain/en/subject.j2:1: no")
    (path / "templates/plain/en/subject.j2").write_text("{% if %}")
    assert watch.polls(5) == [Reload(problem="templates/plain/en/subject.j2:1: no")]
    watch.refusal = None
    (path / "templates/plain/en/subject.j2").write_text("Good morning")
    (reload,) = watch.polls(5)
    assert reload.catalog is not None


def test_what_could_not_be_read_is_judged_again_although_nothing_changes(path: Path) -> None:
    watch = Watch(path)
    watch.refusal = PermissionError(13, "Permission denied")
    (path / "templates/plain/en/subject.j2").write_text("Good morning")
    assert watch.polls(3)[0].problem == "catalog folder cannot be read: Permission denied"
    watch.refusal = None
    (reload,) = watch.polls(4)
    assert reload.catalog is not None


def test_a_folder_that_is_still_being_written_is_left_alone(path: Path) -> None:
    watch = Watch(path)
    for size in range(1, 6):
        (path / "notifications/extra.yaml").write_text(NEW + "#" * size)
        assert watch.polls(1) == []
    (reload,) = watch.polls(2)
    assert reload.catalog is not None


def test_a_touched_file_is_no_change(path: Path) -> None:
    watch = Watch(path)
    file = path / "notifications/all.yaml"
    file.write_text(file.read_text())
    (reload,) = watch.polls(4)
    assert (reload.catalog, reload.problem, reload.as_before) == (None, "", True)


def test_files_that_cannot_be_read_at_first_and_then_can_are_as_before(path: Path) -> None:
    """Else the problem that was told would stay for ever."""
    watcher = CatalogWatcher(path, load(path).version, lambda _: None, every_ms=1_000)
    link = path / "notifications/link.yaml"
    link.symlink_to("x" * 300)
    assert watcher.poll(1_000).problem == "catalog folder cannot be read: File name too long"
    link.unlink()
    assert [watcher.poll(at).as_before for at in (2_000, 3_000, 4_000)] == [False, True, False]


def test_templates_count_too(path: Path) -> None:
    watch = Watch(path)
    (path / "templates/plain/en/subject.j2").write_text("Good morning")
    (reload,) = watch.polls(4)
    assert reload.catalog is not None


def test_an_empty_folder_keeps_the_old_catalog(path: Path) -> None:
    watch = Watch(path)
    shutil.rmtree(path)
    path.mkdir()
    (reload,) = watch.polls(4)
    assert reload.catalog is None
    assert "write at least one .yaml file there" in reload.problem


def test_a_folder_that_is_gone_keeps_the_old_catalog(path: Path) -> None:
    watch = Watch(path)
    shutil.rmtree(path)
    (reload,) = watch.polls(4)
    assert reload.catalog is None
    assert "there is no such folder" in reload.problem


def test_polls_are_not_more_frequent_than_asked(path: Path) -> None:
    watcher = CatalogWatcher(path, "other", lambda _: None, every_ms=1_000)
    assert watcher.poll(0) == Reload()
    assert [watcher.poll(now_ms) for now_ms in range(1, 1_000, 100)] == [Reload()] * 10
    assert watcher.poll(1_000).catalog is not None
