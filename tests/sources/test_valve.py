"""Opening and closing partitions."""

from hypothesis import given
from hypothesis import strategies as st

from sources.valve import Valve


def test_all_close_at_once_and_open_one_by_one() -> None:
    valve = Valve(range(3), closed=False, interval_s=1)
    assert valve.closed == frozenset()
    assert valve.close() == [0, 1, 2]
    assert valve.close() == []
    assert [valve.open_next(now) for now in (0, 0.5, 1, 2, 3)] == [[0], [], [1], [2], []]


def test_each_partition_has_its_turn() -> None:
    valve = Valve(range(4), closed=True, interval_s=1)
    turns = []
    for now in range(8):
        turns += valve.open_next(now)
        valve.close()
    assert turns == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_removed_partition_never_opens() -> None:
    valve = Valve(range(3), closed=True, interval_s=0)
    valve.open_next(0)
    valve.remove(0)
    valve.remove(2)
    assert [valve.open_next(now) for now in (1, 2)] == [[1], []]
    assert valve.close() == [1]


@given(st.lists(st.booleans(), max_size=50))
def test_every_partition_is_open_or_closed(moves: list[bool]) -> None:
    valve, opened = Valve(range(5), closed=True, interval_s=1), set[int]()
    for now, opening in enumerate(moves):
        if opening:
            opened |= set(valve.open_next(now))
        else:
            assert set(valve.close()) == opened
            opened = set()
        assert valve.closed == set(range(5)) - opened
