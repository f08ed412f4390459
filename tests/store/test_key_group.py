"""One key group: what it caches, what it keeps, what its delta holds."""

import pickle
from pathlib import Path

import pytest

from tests.store.rig import Rig, Text
from tocsin.store.deltas import Changes, changes_of, row_of
from tocsin.store.key_group import Cache


class Counting(Text):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.decoded: list[str] = []

    def encode(self, record: str) -> bytes:
        self.encoded.append(record)
        return super().encode(record)

    def decode(self, data: bytes) -> str:
        record = super().decode(data)
        self.decoded.append(record)
        return record


def test_the_cache_gives_up_what_was_taken_in_first() -> None:
    cache: Cache[int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (None, 2, 4, 2)


def test_a_large_cache_gives_up_a_sixteenth_at_a_time() -> None:
    cache: Cache[int] = Cache(160)
    for number in range(161):
        cache.put(str(number), number)
    assert len(cache) == 150
    assert (cache.get("10"), cache.get("11")) == (None, 11)


def test_the_end_of_an_epoch_encodes_nothing(tmp_path: Path) -> None:
    """It would stop the flow for as long as all touched records take."""
    codec = Counting()
    rig = Rig(tmp_path, codec=codec)
    for value in ("1", "2", "3"):
        rig.key_group().put("t/a", value)
    assert codec.encoded == ["1", "2", "3"]
    rig.settled()
    assert codec.encoded == ["1", "2", "3"]
    assert codec.decoded == []
    rig.shard.close()


def test_a_record_is_stored_as_it_was_put(rig: Rig) -> None:
    """What is changed in place afterwards, and not put, is of no epoch."""
    rig.key_group().put("t/a", "1")
    rig.key_group().put("t/a", "2")
    rig.commit()
    rig.restart()
    assert rig.key_group().get("t/a") == "2"


def changes(rig: Rig, key_group: str) -> Changes:
    """Read the row that Bytewax stored for a key group."""
    return changes_of(pickle.loads(rig.store.rows[key_group]), rig.base.meta.lineage)


def test_only_large_rows_are_compressed_and_both_come_back() -> None:
    """A small row does not pay back what compressing it takes."""
    small = Changes("lineage", 7, (("t/u", b"x" * 1_000),), held=1, floor_ms=5)
    large = Changes("lineage", 7, tuple((f"t/{n}", b"x" * 1_000) for n in range(40)))
    plain, packed = row_of(small), row_of(large)
    assert (plain[0], packed[0]) == (3, 4)
    assert len(plain[3]) > 1_000
    assert len(packed[3]) < 10_000
    assert [changes_of(row, "lineage") for row in (plain, packed)] == [small, large]


def test_a_row_of_the_first_release_is_read() -> None:
    records, timers = (("t/a", b"record"), ("t/b", None)), ((b"wait", b"held"), (b"gone", None))
    today = Changes("lineage", 4, records, timers, 1, 9)
    assert changes_of((1, "lineage", 4, records, timers, 1, 9), "lineage") == today
    assert changes_of(row_of(today), "lineage") == today


def test_bytewax_and_the_base_get_the_same_bytes(rig: Rig) -> None:
    rig.key_group().put("t/a", "record")
    rig.commit()
    assert changes(rig, "0.0").records == (("t/a", b"\x01record"),)
    rig.shard.durable()
    rig.shard.closing()
    assert rig.base.get(b"\0\0\0\0rt/a") == b"\x01record"


def test_rows_are_plain(rig: Rig) -> None:
    """Nothing of ours is named in a row, so no rename can break it."""
    rig.key_group().put("t/a", "record")
    rig.key_group().hold("t/a", "wait", 5, b"held")
    rig.emit(["one"])
    rig.commit()
    for row in (rig.store.rows["0.0"], rig.store.outbox or b""):
        assert b"state" not in row
        assert type(pickle.loads(row)) is tuple


def test_what_the_base_lacks_survives_the_cache(rig: Rig) -> None:
    """The cache has room for three records a key group; a hundred wait for their epoch."""
    for number in range(100):
        rig.key_group().put(f"t/u{number}", str(number))
    rig.key_group().put("t/u5", None)
    found = {f"t/u{number}": str(number) for number in range(100)} | {"t/u5": None}
    for _ in range(4):
        assert {user: rig.key_group().get(user) for user in found} == found
        rig.epoch()


def test_what_is_touched_while_its_last_epoch_is_applied_stays(rig: Rig) -> None:
    rig.key_group().put("t/a", "1")
    rig.epoch()
    rig.key_group().put("t/a", "2")
    rig.shard.closing()
    assert rig.key_group().get("t/a") == "2"
    rig.epoch()
    rig.restart()
    assert rig.key_group().get("t/a") == "2"


def test_an_erased_user_is_not_remembered_by_the_cache(rig: Rig) -> None:
    rig.key_group().put("t/a", "record")
    rig.settled()
    assert rig.key_group().get("t/a") == "record"
    rig.key_group().put("t/a", None)
    rig.settled()
    assert rig.key_group().get("t/a") is None


def test_an_unknown_user_is_nobody(rig: Rig) -> None:
    assert rig.key_group().get("t/nobody") is None
    rig.settled()
    assert rig.key_group().get("t/nobody") is None


def test_reading_changes_nothing(rig: Rig) -> None:
    rig.key_group().get("t/a")
    rig.epoch()
    assert changes(rig, "0.0")[2:] == ((), (), 0, 0, {})
    rig.epoch()
    assert rig.base.meta.applied == 0, "an idle shard writes nothing"


def test_a_sweep_walks_all_users_again_and_again(rig: Rig) -> None:
    for number in range(10):
        rig.key_group().put(f"t/u{number}", str(number))
    rig.settled()
    key_group = rig.key_group()
    key_group.put("t/u3", None)
    key_group.put("t/u4", "new")
    first = [list(key_group.sweep(4)) for _ in range(4)]
    assert [user for user, _ in first[0]] == ["t/u0", "t/u1", "t/u2"]
    assert first[1][0] == ("t/u4", "new")
    assert [user for user, _ in first[2]] == ["t/u8", "t/u9"]
    assert first[3] == first[0]


def test_a_sweep_may_erase_what_it_sees(rig: Rig) -> None:
    for number in range(10):
        rig.key_group().put(f"t/u{number}", str(number))
    rig.settled()
    for _ in range(4):
        for user, _ in rig.key_group().sweep(3):
            rig.key_group().put(user, None)
    rig.settled()
    assert list(rig.key_group().sweep(100)) == []


def test_users_of_one_key_group_are_not_seen_by_another(rig: Rig) -> None:
    rig.key_group("0.0").put("t/a", "here")
    rig.settled()
    assert rig.key_group("0.1").get("t/a") is None
    assert list(rig.key_group("0.1").sweep(9)) == []


def test_a_key_group_built_twice_is_one_key_group(rig: Rig) -> None:
    rig.key_group().put("t/a", "record")
    assert rig.shard.key_group("0.0") is rig.key_group()


@pytest.mark.parametrize("user", ["t/ü", "t/", "t/a b", "t/\x00x", "t/" + "long" * 30_000])
def test_any_user_name_is_kept(rig: Rig, user: str) -> None:
    rig.key_group().put(user, "record")
    rig.key_group().hold(user, "wait\x00", 5, b"held")
    rig.settled()
    rig.restart()
    timer = rig.key_group().pop_due(5)
    assert rig.key_group().get(user) == "record"
    assert timer is not None
    assert (timer.user, timer.timer_id) == (user, "wait\x00")


def test_the_last_epoch_is_published_and_applied_by_finish(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.key_group().put("t/a", "record")
    rig.emit(["one"])
    rig.commit()
    assert rig.world.published == []
    rig.shard.finish()
    assert rig.world.published == ["one"]
    assert rig.base.meta.applied == rig.store.epoch
    rig.shard.close()


def test_close_alone_shows_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.emit(["one"])
    rig.commit()
    rig.shard.close()
    assert rig.world.published == []


def test_a_key_group_that_sleeps_after_a_restart_is_applied_all_the_same(rig: Rig) -> None:
    """Its row is of the epoch the base lacks; nothing wakes it before others' epochs are applied."""
    rig.key_group("0.1").put("t/a", "record")
    rig.key_group("0.1").hold("t/a", "wait", 5, b"held")
    rig.commit()
    rig.restart()
    for number in range(3):
        rig.key_group("0.0").put("t/b", str(number))
        rig.epoch()
    rig.store.rows.clear()
    rig.restart()
    assert rig.key_group("0.1").get("t/a") == "record"
    assert rig.key_group("0.1").held() == 1


def test_a_row_the_base_already_has_is_not_taken_over(rig: Rig) -> None:
    """Bytewax gives a key group its newest row, which may be of any older epoch."""
    rig.key_group("0.1").put("t/a", "record")
    rig.epoch()
    for number in range(3):
        rig.key_group("0.0").put("t/b", str(number))
        rig.epoch()
    rig.restart()
    rig.key_group("0.1")
    rig.epoch()
    assert changes(rig, "0.1").records == ()


def test_an_outbox_long_published_is_not_published_again(rig: Rig) -> None:
    """Its row stays in the store while the sink sleeps; after a restart it would be a very late copy."""
    rig.emit(["one"])
    rig.settled()
    rig.restart()
    rig.settled()
    assert rig.world.published == ["one"]


def test_an_outbox_perhaps_not_published_is_published_again(rig: Rig) -> None:
    """Also when other epochs were applied since: what counts is that it was confirmed."""
    rig.emit(["one"])
    for record in ("1", "2", "3"):
        rig.key_group().put("t/a", record)
        rig.commit()
        rig.world.leaves = 0
        rig.shard.durable()
        rig.restart()
        assert rig.base.meta.applied == rig.store.epoch
    rig.epoch()
    assert rig.world.published == ["one"]


def test_what_the_base_keeps_in_memory_is_measured_until_it_is_closed(tmp_path: Path) -> None:
    """A soak tells by it a process that leaks from a store whose buffers are not full yet."""
    rig = Rig(tmp_path)
    before = rig.shard.memory()
    for number in range(3_000):
        rig.key_group().put(f"t/{number}", 1_000 * "x")
    rig.settled()
    after = rig.shard.memory()
    assert after["write_buffers"] - before["write_buffers"] >= 3_000 * 1_000
    assert sum(after.values()) < 2 * 3_000 * 1_000
    rig.shard.close()
    assert rig.shard.memory() == {}
