"""A directory that must not be used is refused, with the cure; never a silent restart from nothing."""

import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.store.rig import IDENTITY, Rig, Text, World, overwrite
from tocsin.errors import StateError
from tocsin.store import Identity, KeyGroup, Shard
from tocsin.store.base import Base
from tocsin.store.identity import encode_meta
from tocsin.store.keys import META

ANEW = "start with an empty state directory"
BACKUP = "put back"


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """The directory of a shard that has seen a few epochs, at rest."""
    rig = Rig(tmp_path / "shard")
    for number in range(4):
        rig.key_group().put("t/a", str(number))
        rig.emit([number])
        rig.epoch()
    rig.shard.finish()
    rig.shard.close()
    return rig.path


@pytest.fixture
def used_rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "shard")
    for number in range(4):
        rig.key_group().put("t/a", str(number))
        rig.epoch()
    yield rig
    rig.shard.close()


def opened(path: Path, identity: Identity = IDENTITY) -> Shard[str]:
    return Shard.open(path, identity=identity, codec=Text(), cache_users=4, publish=World())


def refusal(path: Path, identity: Identity = IDENTITY) -> str:
    with pytest.raises(StateError) as caught:
        opened(path, identity)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cluster": "c2"}, "another Kafka cluster"),
        ({"topics": {"events": "t9"}}, "created anew"),
        ({"partitions": 4}, "partitions = 2, the settings say 4"),
        ({"key_groups": 4}, "key groups = 2, the settings say 4"),
        ({"shards": 2}, "shards = 1, the settings say 2"),
        ({"shards": 2, "shard": 1}, "shards = 1, the settings say 2"),
    ],
)
def test_state_of_another_world_is_refused(used: Path, change: dict[str, Any], told: str) -> None:
    text = refusal(used, msgspec.structs.replace(IDENTITY, **change))
    assert told in text
    assert ANEW in text


def test_another_shards_directory_is_refused(tmp_path: Path) -> None:
    first = msgspec.structs.replace(IDENTITY, shards=2, shard=0)
    opened(tmp_path, first).close()
    assert "shard = 0, the settings say 1" in refusal(tmp_path, msgspec.structs.replace(first, shard=1))


def test_a_new_topic_is_welcome_and_remembered(used_rig: Rig) -> None:
    more = msgspec.structs.replace(IDENTITY, topics={"events": "t1", "bulk": "t2"})
    used_rig.shard.close()
    shard = opened(used_rig.path, more)
    shard.resume(used_rig.store.epoch)
    shard.key_group("0.0").put("t/b", "record")
    shard.closing()
    shard.key_group("0.0").snapshot()
    shard.finish()
    shard.close()
    foreign = msgspec.structs.replace(IDENTITY, topics={"bulk": "t9"})
    assert "created anew since the state was written: bulk" in refusal(used_rig.path, foreign)
    used_rig.store.epoch = 5
    used_rig.start()


def test_an_empty_store_beside_a_used_base_is_refused(used: Path) -> None:
    shard = opened(used)
    with pytest.raises(StateError, match="the recovery store was lost") as caught:
        shard.resume(None)
    assert BACKUP in str(caught.value)
    shard.close()


@pytest.mark.parametrize("epoch", [1, 2, 6, 99])
def test_base_and_store_must_be_of_one_epoch_or_neighbours(used: Path, epoch: int) -> None:
    shard = opened(used)
    lost = "recovery store" if epoch < 4 else "base"
    with pytest.raises(StateError, match=f"the {lost} was lost or put back from an older backup"):
        shard.resume(epoch)
    shard.close()


@pytest.mark.parametrize("epoch", [4, 5])
def test_base_of_the_stores_epoch_or_the_one_before_is_taken(used: Path, epoch: int) -> None:
    shard = opened(used)
    shard.resume(epoch)
    assert shard.key_group("0.0").get("t/a") == "3"
    shard.close()


def test_a_lost_base_is_refused(used: Path) -> None:
    shutil.rmtree(used / "base")
    text = refusal(used)
    assert "base is gone" in text
    assert BACKUP in text


def test_an_emptied_base_is_refused(used: Path) -> None:
    shutil.rmtree(used / "base")
    Base.create(used / "base", IDENTITY)
    shard = opened(used)
    with pytest.raises(StateError, match="the base was lost"):
        shard.resume(4)
    shard.close()


@pytest.mark.parametrize("gone", ["recovery", "recovery/part-0.sqlite3"])
def test_a_lost_store_is_refused(used: Path, gone: str) -> None:
    lost = used / gone
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    assert BACKUP in refusal(used)


def test_a_row_of_another_base_is_refused(used_rig: Rig, tmp_path: Path) -> None:
    other = Rig(tmp_path / "other")
    other.key_group().put("t/a", "record")
    other.emit(["one"])
    other.commit()
    row, outbox = other.store.rows["0.0"], other.store.outbox
    other.shard.close()
    with pytest.raises(StateError, match="belongs to another base"):
        used_rig.shard.key_group("0.1", pickle.loads(row))
    with pytest.raises(StateError, match="belongs to another base"):
        used_rig.shard.outbox_resume(pickle.loads(outbox or b""))


def test_a_row_of_a_later_epoch_than_the_store_is_refused(used_rig: Rig) -> None:
    row = pickle.loads(used_rig.store.rows["0.0"])
    later = (*row[:2], row[2] + 1, *row[3:])
    used_rig.shard.close()
    first_key_group = opened(used_rig.path)
    first_key_group.key_group("0.0", later)
    with pytest.raises(StateError, match="holds a row of epoch 5"):
        first_key_group.resume(4)
    first_key_group.close()
    first_source = opened(used_rig.path)
    first_source.resume(4)
    with pytest.raises(StateError, match="holds a row of epoch 5"):
        first_source.key_group("0.0", later)
    first_source.close()
    used_rig.start()


def test_a_row_of_a_newer_format_is_refused(used_rig: Rig) -> None:
    row = pickle.loads(used_rig.store.rows["0.0"])
    with pytest.raises(StateError, match=r"rows of format 5, this release reads 4: run the release"):
        used_rig.shard.key_group("0.1", (5, *row[1:]))


def test_an_outbox_of_a_newer_format_is_refused(used_rig: Rig) -> None:
    with pytest.raises(StateError, match=r"rows of format 4, this release reads 3: run the release"):
        used_rig.shard.outbox_resume((4, "lineage", 1, b""))


def test_a_base_of_a_newer_format_is_refused(used: Path) -> None:
    base = Base(used / "base", IDENTITY)
    base.close()
    overwrite(used / "base", META, encode_meta(msgspec.structs.replace(base.meta, format=2)))
    assert "has format 2, this release reads 1" in refusal(used)


@pytest.mark.parametrize("meta", [b"\x01{", b"\x01[]", b""])
def test_a_damaged_meta_record_is_refused(used: Path, meta: bytes) -> None:
    overwrite(used / "base", META, meta)
    assert "run the release" in refusal(used) or "damaged" in refusal(used)


def test_a_base_without_meta_record_is_refused(used: Path) -> None:
    overwrite(used / "base", META, None)
    assert "no record of its own" in refusal(used)


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST"])
def test_a_base_with_a_missing_file_is_refused(used: Path, name: str) -> None:
    next((used / "base").glob(f"{name}*")).unlink()
    assert BACKUP in refusal(used)


def test_a_damaged_manifest_is_refused(used: Path) -> None:
    manifest = next((used / "base").glob("MANIFEST*"))
    manifest.write_bytes(b"\xff" * 64 + manifest.read_bytes()[64:])
    assert BACKUP in refusal(used)


def _damage_tables(base: Path) -> None:
    """Damage the large tables, up to where filter and index begin: those are read at the opening."""
    for table in base.glob("*.sst"):
        data = bytearray(table.read_bytes())
        if len(data) > 16_384:
            blocks = len(data) * 85 // 100
            data[:blocks] = bytes(byte ^ 0x55 for byte in data[:blocks])
            table.write_bytes(data)


TOUCHES: dict[str, Callable[[KeyGroup[str]], object]] = {
    "get": lambda key_group: [key_group.get(f"t/u{number}") for number in range(300)],
    "sweep": lambda key_group: list(key_group.sweep(300)),
    "next_due": lambda key_group: key_group.next_due(),
}


@pytest.mark.parametrize("touch", list(TOUCHES))
def test_a_damaged_record_is_refused_when_read_and_when_scanned(tmp_path: Path, touch: str) -> None:
    """Scans too: `Rdict.items` would end quietly, and timers would never fire."""
    rig, chance = Rig(tmp_path), random.Random(1)
    for number in range(2_000):
        rig.key_group().put(f"t/u{number}", chance.randbytes(20).hex())
        rig.key_group().hold(f"t/u{number}", "wait", number, b"held")
    rig.settled()
    rig.shard.finish()
    rig.shard.close()
    _damage_tables(tmp_path / "base")
    damaged = opened(tmp_path)
    with pytest.raises(StateError, match=f"damaged: {BACKUP}"):
        TOUCHES[touch](damaged.key_group("0.0"))


def test_a_directory_in_use_is_refused(used: Path) -> None:
    holder = (
        "import sys; from tocsin.store.base import Base; from pathlib import Path;"
        "from tests.store.rig import IDENTITY;"
        "held = Base(Path(sys.argv[1]), IDENTITY); print('held', flush=True); sys.stdin.read(); held.close()"
    )
    command = [sys.executable, "-c", holder, str(used / "base")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert "another process uses it" in refusal(used)
        process.communicate()
    opened(used).close()


def test_a_first_start_that_was_cut_off_is_repeated(tmp_path: Path) -> None:
    """Each half appears whole or not at all; what is half made is thrown away."""
    for left in ("base.new", "recovery.new"):
        (tmp_path / left).mkdir(parents=True)
        (tmp_path / left / "CURRENT").write_text("half")
    opened(tmp_path).close()
    shutil.rmtree(tmp_path / "recovery")
    shard = opened(tmp_path)
    shard.resume(None)
    shard.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["base", "recovery"]


def test_a_path_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    assert "look at its rights, its disk and its mount" in refusal(tmp_path / "file" / "shard")


def test_a_key_group_of_another_shard_is_refused(used_rig: Rig) -> None:
    for key in ("2.0", "0.2"):
        with pytest.raises(StateError, match="belongs to another shard"):
            used_rig.shard.key_group(key)


def test_an_epoch_closed_before_the_store_was_checked_is_refused(used: Path) -> None:
    shard = opened(used)
    with pytest.raises(StateError, match="must call resume"):
        shard.closing()
    shard.close()
