"""The rig's own promise: a backup is the base at one moment, whatever RocksDB does to its files meanwhile."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.store.rig import KEY_GROUPS, Rig

COPYTREE = shutil.copytree


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    rig.key_group(KEY_GROUPS[0]).put("t/u0", "kept")
    rig.settled()
    yield rig
    rig.shard.close()


def _vanishes(source: Path, target: Path) -> None:
    COPYTREE(source, target)
    raise shutil.Error([("000012.sst", "", "No such file")])


def _comes_too_late(source: Path, target: Path) -> None:
    COPYTREE(source, target)
    (source / "000013.sst").write_bytes(b"x")


@pytest.mark.parametrize("moment", [_vanishes, _comes_too_late])
def test_a_backup_is_taken_again_if_compaction_moved_files(
    rig: Rig, moment: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = iter([moment])
    monkeypatch.setattr(shutil, "copytree", lambda *a: next(copies, COPYTREE)(*a))
    backup = rig.backup()
    assert {path.name for path in backup.iterdir()} == {path.name for path in (rig.path / "base").iterdir()}
