"""Partition and key group of a user."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.partitioner import key_group_of, murmur2, native_partition_of, partition_of, python_partition_of

# org.apache.kafka.common.utils.UtilsTest.testMurmur2, as unsigned numbers.
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
USERS = [f"default/user-{n}".encode() for n in range(20_000)]


@pytest.mark.parametrize(("key", "hashed"), VECTORS.items())
def test_murmur2_is_that_of_java_clients(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed % (1 << 32)
    for partitions in (1, 7, 16, 1_024):
        expected = (hashed & 0x7FFFFFFF) % partitions
        assert python_partition_of(key, partitions) == expected
        assert partition_of(key, partitions) == expected


def test_librdkafka_is_found_here() -> None:
    assert native_partition_of() is not None


@given(st.binary(max_size=200), st.integers(1, 2**31 - 1))
def test_librdkafka_and_python_agree(key: bytes, partitions: int) -> None:
    native = native_partition_of()
    assert native is not None
    assert native(key, partitions) == python_partition_of(key, partitions)


@given(st.binary(max_size=100), st.integers(1, 1_024))
def test_a_place_is_in_range_and_does_not_change(key: bytes, count: int) -> None:
    assert 0 <= partition_of(key, count) < count
    assert 0 <= key_group_of(key, count) < count
    assert partition_of(key, count) == partition_of(bytes(key), count)
    assert key_group_of(key, count) == key_group_of(bytes(key), count)


def test_groups_are_part_of_the_layout() -> None:
    assert [key_group_of(key, 8) for key in (b"default/ada", b"acme/ann", b"acme/bob")] == [1, 4, 7]


def test_users_of_one_partition_spread_over_all_groups() -> None:
    """`murmur2 % 16` within partitions of `murmur2 % 8` uses two of sixteen (docs/engine.md, fact 26)."""
    for partitions, groups in ((8, 16), (16, 8), (16, 16)):
        here = Counter(key_group_of(key, groups) for key in USERS if partition_of(key, partitions) == 3)
        fair = sum(here.values()) / groups
        assert set(here) == set(range(groups))
        assert max(here.values()) < 1.5 * fair
        assert min(here.values()) > 0.5 * fair


def test_users_spread_over_partitions() -> None:
    found = Counter(partition_of(key, 16) for key in USERS)
    assert max(found.values()) < 1.15 * len(USERS) / 16
    assert min(found.values()) > 0.85 * len(USERS) / 16
