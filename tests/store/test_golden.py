"""Stores of released formats load for ever: `python -m tests.store.test_golden` writes one of today's."""

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from tests.store.rig import Rig, Store
from tocsin.store import Timer
from tocsin.store.deltas import FORMAT, ROW_FORMAT
from tocsin.store.outbox import OUTBOX_FORMAT

GOLDEN = Path(__file__).parent / "golden"
TODAY = GOLDEN / f"format{max(FORMAT, ROW_FORMAT, OUTBOX_FORMAT)}.tar.gz"


def fill(rig: Rig) -> None:
    """Leave a base of epoch 3, and rows of epoch 4 that it lacks."""
    rig.key_group("0.0").put("acme/anna", "record of anna")
    rig.key_group("0.0").put("acme/bert", "record of bert")
    rig.key_group("1.1").put("acme/carl", "record of carl")
    rig.key_group("1.1").hold("acme/carl", "digest", 1_000, b"held for carl")
    rig.emit(["one", "two"])
    rig.epoch()
    rig.key_group("0.0").put("acme/bert", None)
    rig.key_group("1.1").hold("acme/carl", "retry", 500, b"retry of carl")
    rig.epoch()
    rig.key_group("1.1").release("acme/carl", "digest", 1_000)
    rig.epoch()
    rig.key_group("0.0").put("acme/anna", "newer record of anna")
    rig.key_group("1.1").hold("acme/carl", "wait", 700, b"waiting")
    rig.emit(["three"])
    rig.commit()


def store_of(rig: Rig, path: Path) -> None:
    """Write what Bytewax would have stored beside the shard."""
    path.mkdir(parents=True)
    rows = {**rig.store.rows, "outbox": rig.store.outbox or b""}
    for name, row in rows.items():
        (path / name).write_bytes(row)
    (path / "epoch").write_text(str(rig.store.epoch))


def stored(path: Path) -> Store:
    rows = {file.name: file.read_bytes() for file in sorted(path.iterdir())}
    return Store(int(rows.pop("epoch")), outbox=rows.pop("outbox"), rows=rows)


@pytest.mark.parametrize("name", [file.name for file in sorted(GOLDEN.glob("*.tar.gz"))])
def test_a_golden_store_loads(name: str, tmp_path: Path) -> None:
    with tarfile.open(GOLDEN / name) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and later
        archive.extractall(tmp_path)
    rig = Rig(tmp_path / "shard", store=stored(tmp_path / "rows"))
    assert rig.base.meta.applied == 3
    anna, bert, carl = (
        rig.key_group("0.0").get("acme/anna"),
        rig.key_group("0.0").get("acme/bert"),
        rig.key_group("1.1"),
    )
    assert (anna, bert, carl.get("acme/carl")) == ("newer record of anna", None, "record of carl")
    assert carl.held() == 2
    assert carl.pop_due(600) == Timer(500, "acme/carl", "retry", b"retry of carl")
    assert carl.pop_due(900) == Timer(700, "acme/carl", "wait", b"waiting")
    rig.epoch()
    assert rig.world.published == ["three"]
    rig.shard.close()


def test_todays_format_has_a_golden_store() -> None:
    assert TODAY.exists()


def main(golden: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder) / "shard")
        fill(rig)
        store_of(rig, Path(folder) / "rows")
        rig.shard.close()
        for log in (Path(folder) / "shard" / "base").glob("LOG*"):
            log.unlink()
        golden.parent.mkdir(exist_ok=True)
        with tarfile.open(golden, "w:gz") as archive:
            for part in ("shard", "rows"):
                archive.add(Path(folder) / part, arcname=part)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else TODAY)
