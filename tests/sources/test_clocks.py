"""The partitions' times."""

from hypothesis import given
from hypothesis import strategies as st

from sources.clocks import PartitionClocks


def test_time_never_runs_backwards() -> None:
    clocks = PartitionClocks()
    assert clocks.now(0) == 0
    assert [clocks.advance(0, ms) for ms in (5, 3, 9, 9)] == [5, 5, 9, 9]
    assert (clocks.now(0), clocks.now(1)) == (9, 0)


def test_stable_time_follows_durable_epochs() -> None:
    clocks = PartitionClocks()
    clocks.advance(0, 5)
    assert clocks.closing() == {0: 5}
    clocks.advance(0, 8)
    assert clocks.stable(0) == 0
    clocks.durable()
    assert (clocks.stable(0), clocks.now(0)) == (5, 8)


def test_a_later_epoch_does_not_change_what_was_handed_out() -> None:
    clocks = PartitionClocks()
    clocks.advance(0, 5)
    kept = clocks.closing()
    clocks.advance(0, 8)
    assert kept == {0: 5}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1 << 45))))
def test_a_restart_goes_on_where_the_snapshot_was(moves: list[tuple[int, int]]) -> None:
    clocks = PartitionClocks()
    for partition, ms in moves:
        clocks.advance(partition, ms)
    again = PartitionClocks()
    again.restore(clocks.closing())
    for partition in range(3):
        assert again.now(partition) == again.stable(partition) == clocks.now(partition)
