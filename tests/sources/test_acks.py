"""Low-water marks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.acks import AckTracker

T, P = "messages.email.now", 3


def test_nothing_read_has_no_low() -> None:
    acks = AckTracker()
    assert acks.low(T, P) is None
    acks.read(T, 4, 9)
    assert acks.low(T, P) is None


def test_partitions_and_topics_are_apart() -> None:
    acks = AckTracker()
    for topic, partition, offset in ((T, 0, 5), (T, 1, 7), ("outcomes", 0, 9)):
        acks.read(topic, partition, offset)
    acks.done(T, 1, 7)
    assert (acks.low(T, 0), acks.low(T, 1), acks.low("outcomes", 0)) == (5, 8, 9)


def test_what_was_never_read_cannot_be_finished() -> None:
    acks = AckTracker()
    with pytest.raises(ValueError, match="never read"):
        acks.done(T, P, 1)
    acks.read(T, P, 1)
    with pytest.raises(ValueError, match="never read"):
        acks.done(T, P, 2)


def test_offsets_only_grow() -> None:
    acks = AckTracker()
    acks.read(T, P, 5)
    with pytest.raises(ValueError, match="offset 5 was read after 5"):
        acks.read(T, P, 5)


def test_finishing_twice_changes_nothing() -> None:
    acks = AckTracker()
    for offset in (1, 2, 3):
        acks.read(T, P, offset)
    for _ in range(2):
        acks.done(T, P, 2)
        acks.done(T, P, 1)
    assert acks.low(T, P) == 3


@given(st.data())
def test_low_is_the_oldest_unfinished(data: st.DataObject) -> None:
    """Against a plain set, for any holes in the offsets and any order of finishing."""
    acks, unfinished, read = AckTracker(), set[int](), list[int]()
    waiting = sorted(data.draw(st.sets(st.integers(0, 200), max_size=40)))
    while waiting or unfinished:
        if waiting and (not unfinished or data.draw(st.booleans())):
            offset = waiting.pop(0)
            acks.read(T, P, offset)
            unfinished.add(offset)
            read.append(offset)
        else:
            offset = data.draw(st.sampled_from(sorted(unfinished)))
            acks.done(T, P, offset)
            unfinished.remove(offset)
        assert acks.low(T, P) == (min(unfinished) if unfinished else read[-1] + 1)


def test_many_outstanding_in_reverse_cost_no_more_than_one_step_each() -> None:
    acks = AckTracker()
    count = 50_000
    for offset in range(count):
        acks.read(T, P, offset)
    for offset in reversed(range(1, count)):
        acks.done(T, P, offset)
    assert acks.low(T, P) == 0
    acks.done(T, P, 0)
    assert acks.low(T, P) == count
