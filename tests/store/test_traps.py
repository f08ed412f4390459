"""The traps of an exact store that are this layer's; each test fails without its fix.

Traps 6 (a full producer queue), 10 (independent hashes) and the wake items of trap 3 are the sinks' and
sources'; trap 1's single source partition is pinned here from the store's side.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.store.rig import IDENTITY, Rig, overwrite
from tocsin.errors import SinkError, StateError
from tocsin.store import Identity, Timer
from tocsin.store.base import Base
from tocsin.store.keys import group_keys


def reopened(path: Path) -> Base:
    return Base(path / "base", IDENTITY)


def test_trap_1_a_row_carries_all_that_was_not_confirmed(rig: Rig) -> None:
    """Two epochs close without the news that the first was durable; the second row replaces the first."""
    rig.key_group().put("t/a", "first")
    rig.emit(["one"])
    rig.commit()
    rig.key_group().put("t/b", "second")
    rig.emit(["two"])
    rig.commit()
    rig.restart()
    assert (rig.key_group().get("t/a"), rig.key_group().get("t/b")) == ("first", "second")
    rig.epoch()
    assert rig.world.published == ["one", "two"]


def test_trap_1_a_second_source_partition_is_found_out(rig: Rig) -> None:
    """Another partition's `next_batch` closes the gap under a key group that is about to be snapshotted."""
    key_group = rig.key_group()
    key_group.put("t/a", "record")
    rig.shard.closing()
    rig.shard.durable()
    with pytest.raises(StateError, match="exactly one source partition"):
        key_group.snapshot()
    with pytest.raises(StateError, match="exactly one source partition"):
        rig.shard.outbox_snapshot()


def test_trap_2_a_timer_fired_in_the_gap_belongs_to_the_next_epoch(rig: Rig) -> None:
    """Else its record would be published with an epoch whose delta does not know that it fired."""
    rig.key_group().hold("t/a", "wait", 5, b"held")
    rig.emit(["set"])
    rig.commit()
    assert rig.shard.in_gap
    assert rig.key_group().pop_due(9) == Timer(5, "t/a", "wait", b"held")
    rig.emit(["fired, taken back"])
    rig.shard.durable()
    assert rig.world.published == ["set"]
    rig.restart()
    assert rig.key_group().pop_due(9) == Timer(5, "t/a", "wait", b"held")
    rig.emit(["fired"])
    rig.settled()
    assert rig.key_group().held() == 0
    assert list(dict.fromkeys(rig.world.published)) == ["set", "fired"]


def test_trap_2_the_last_batch_of_an_epoch_is_decided_in_the_gap(rig: Rig) -> None:
    """The source may close the epoch before key groups see its last batch: timers must fire for it too."""
    rig.key_group().hold("t/a", "wait", 5, b"held")
    rig.epoch()
    rig.shard.closing()
    assert rig.key_group().pop_due(9) is not None


def test_trap_2_a_record_that_reaches_the_sink_in_the_gap_waits_for_its_own_epoch(rig: Rig) -> None:
    rig.emit(["one"])
    rig.commit()
    rig.emit(["two"])
    rig.shard.durable()
    assert rig.world.published == ["one"]
    rig.epoch()
    assert rig.world.published == ["one", "two"]


def test_trap_3_a_key_group_without_a_stored_row_has_its_timers(rig: Rig) -> None:
    """Bytewax builds only key groups with a row; one that the source wakes finds its timers in the store."""
    rig.key_group("1.1").hold("t/a", "wait", 5, b"held")
    rig.settled()
    rig.store.rows.clear()
    rig.restart()
    assert rig.key_group("1.1").next_due() == 5
    assert rig.key_group("1.1").pop_due(5) == Timer(5, "t/a", "wait", b"held")


def test_trap_4_a_timer_fired_but_not_applied_does_not_fire_again(rig: Rig) -> None:
    rig.key_group().hold("t/a", "wait", 5, b"held")
    rig.settled()
    rig.restart()
    assert rig.key_group().pop_due(9) is not None
    assert rig.key_group().pop_due(9) is None
    rig.commit()
    backup = rig.backup()
    rig.shard.durable()
    rig.shard.close()
    rig.roll_back(backup)
    rig.start()
    assert (rig.key_group().pop_due(9), rig.key_group().held(), rig.key_group().next_due()) == (None, 0, None)


def test_trap_4_a_timer_set_but_not_applied_fires(rig: Rig) -> None:
    for number in range(600):
        rig.key_group().hold("t/a", f"far{number}", 100, b"")
    rig.settled()
    rig.restart()
    assert rig.key_group().next_due() == 100
    rig.key_group().hold("t/b", "near", 7, b"held")
    rig.key_group().hold("t/b", "farthest", 900, b"last")
    rig.commit()
    rig.restart()
    fired = []
    while (timer := rig.key_group().pop_due(1000)) is not None:
        fired.append((timer.due_ms, timer.timer_id))
    assert fired[0] == (7, "near")
    assert fired[-1] == (900, "farthest")
    assert len(fired) == len(set(fired)) == 602


def test_trap_4_timers_cancelled_and_moved_but_not_applied_do_not_come_from_the_base(rig: Rig) -> None:
    """They are too far to be in memory when they change, and are read while the base still has them."""
    for number in range(600):
        rig.key_group().hold("t/a", f"{number:03}", number, b"")
    rig.settled()
    rig.restart()
    assert rig.key_group().next_due() == 0
    rig.key_group().release("t/a", "500", 500)
    rig.key_group().hold("t/a", "501", 1_000, b"moved")
    fired = []
    while (timer := rig.key_group().pop_due(2_000)) is not None:
        fired.append(timer.timer_id)
    assert fired == [f"{number:03}" for number in range(600) if number not in {500, 501}] + ["501"]


def test_trap_5_a_failed_apply_stops_the_shard_before_a_row_is_replaced(rig: Rig) -> None:
    """Closing the base under the thread stands for any write that fails; `test_disk_full` has a real one."""
    rig.key_group().put("t/a", "only copy")
    rig.commit()
    rig.base.close()
    rig.shard.durable()
    rig.key_group().put("t/a", "newer")
    for _ in range(2):
        with pytest.raises(StateError, match="cannot be written"):
            rig.snapshots()
    rig.start()
    assert rig.key_group().get("t/a") == "only copy"


def test_trap_5_a_failed_publish_stops_the_shard_before_its_row_is_replaced(tmp_path: Path) -> None:
    class Refusing:
        def publish(self, records: Sequence[Any]) -> None:
            pass

        def confirm(self, timeout_s: float) -> None:
            raise SinkError("1 record was not acknowledged")

    rig = Rig(tmp_path, world=Refusing())  # type: ignore[arg-type]  # a world that shows nothing
    rig.emit(["one"])
    rig.epoch()
    for _ in range(2):
        with pytest.raises(SinkError, match="not acknowledged"):
            rig.snapshots()
    rig.shard.close()


def test_trap_7_the_applied_epoch_stands_in_the_batch_of_its_records(rig: Rig) -> None:
    rig.key_group().put("t/a", "record")
    rig.commit()
    backup = rig.backup()
    rig.shard.durable()
    rig.shard.close()
    after = reopened(rig.path)
    assert (after.meta.applied, after.get(group_keys("0.0").record + b"t/a")) == (1, b"\x01record")
    after.close()
    rig.roll_back(backup)
    before = reopened(rig.path)
    assert (before.meta.applied, before.get(group_keys("0.0").record + b"t/a")) == (0, None)
    before.close()
    rig.start()


def test_trap_8_an_erased_user_is_gone_from_the_base(rig: Rig) -> None:
    rig.key_group().put("t/a", "record")
    rig.key_group().hold("t/a", "wait", 5, b"held")
    rig.settled()
    rig.key_group().put("t/a", None)
    rig.key_group().release("t/a", "wait", 5)
    rig.settled()
    rig.shard.close()
    base = reopened(rig.path)
    left = [key for key, _ in base.scan(b"\0", b"\xff\xff")]
    base.close()
    assert left == [group_keys("0.0").status]
    rig.start()
    assert rig.key_group().get("t/a") is None


def test_trap_8_an_erasure_that_was_not_applied_survives_a_crash(rig: Rig) -> None:
    rig.key_group().put("t/a", "record")
    rig.settled()
    rig.key_group().put("t/a", None)
    rig.commit()
    rig.restart()
    assert rig.key_group().get("t/a") is None
    rig.settled()
    rig.restart()
    assert rig.key_group().get("t/a") is None


def test_trap_9_a_partition_is_one_range_and_every_value_has_a_version(rig: Rig) -> None:
    for key in ("0.0", "0.1", "1.0"):
        rig.key_group(key).put("t/a", "record")
        rig.key_group(key).hold("t/a", "wait", 5, b"held")
    rig.settled()
    rig.shard.close()
    base = reopened(rig.path)
    rows = list(base.scan(b"\0\0", b"\0\1"))
    base.close()
    assert len(rows) == 2 * len(("record", "held", "timer", "status"))
    assert {value[:1] for _, value in rows} == {b"\x01"}
    assert not any(b"held" in value for key, value in rows if key[4:5] == b"r")
    rig.start()


def test_trap_9_a_value_of_a_newer_release_is_not_guessed_at(rig: Rig) -> None:
    rig.key_group().put("t/a", "record")
    rig.settled()
    rig.shard.close()
    overwrite(rig.path / "base", group_keys("0.0").record + b"t/a", b"\x02record")
    rig.start()
    with pytest.raises(StateError, match="version 02"):
        rig.key_group().get("t/a")


def test_key_groups_and_shards_divide_all_partitions() -> None:
    owners = [
        [
            shard
            for shard in range(3)
            if Identity(cluster="", topics={}, partitions=16, key_groups=8, shard=shard, shards=3).owns(
                partition, key_group
            )
        ]
        for partition in range(16)
        for key_group in range(8)
    ]
    assert [len(shards) for shards in owners] == [1] * 128
