"""Opening and closing partitions."""

from hypothesis import given
from hypothesis import strategies as st

from sources.fetch_gate import FetchGate


def test_all_close_at_once_and_open_one_by_one() -> None:
    gate = FetchGate(range(3), closed=False, interval_s=1)
    assert gate.closed == frozenset()
    assert gate.close() == [0, 1, 2]
    assert gate.close() == []
    assert [gate.open_next(now) for now in (0, 0.5, 1, 2, 3)] == [[0], [], [1], [2], []]


def test_each_partition_has_its_turn() -> None:
    gate = FetchGate(range(4), closed=True, interval_s=1)
    turns = []
    for now in range(8):
        turns += gate.open_next(now)
        gate.close()
    assert turns == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_removed_partition_never_opens() -> None:
    gate = FetchGate(range(3), closed=True, interval_s=0)
    gate.open_next(0)
    gate.remove(0)
    gate.remove(2)
    assert [gate.open_next(now) for now in (1, 2)] == [[1], []]
    assert gate.close() == [1]


@given(st.lists(st.booleans(), max_size=50))
def test_every_partition_is_open_or_closed(moves: list[bool]) -> None:
    gate, opened = FetchGate(range(5), closed=True, interval_s=1), set[int]()
    for now, opening in enumerate(moves):
        if opening:
            opened |= set(gate.open_next(now))
        else:
            assert set(gate.close()) == opened
            opened = set()
        assert gate.closed == set(range(5)) - opened
