"""Priorities, credits, pauses: without Kafka."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from sources.queues import BatchLimits, Queues
from tocsin.model import topics
from tocsin.model.raw import RawRecord

SMALL = BatchLimits(urgent=10, spare=4, high=30, low=12, ahead=20)
NOW, LATER = topics.messages("sms"), topics.messages("sms", bulk=True)


class Bench:
    """Queues of all keyed topics, with a counter of offsets."""

    def __init__(self, limits: BatchLimits = SMALL) -> None:
        self.credits: dict[str, int] = {}
        self.queues = Queues(topics.KEYED, lambda topic: self.credits.get(topic, 1_000), limits)
        self._next: defaultdict[tuple[str, int], int] = defaultdict(int)

    def put(self, topic: str, count: int = 1, partition: int = 0) -> None:
        for _ in range(count):
            offset = self._next[topic, partition]
            self._next[topic, partition] += 1
            self.queues.puts[topic](RawRecord(topic, partition, offset, 0, None, None, ()))

    def take(self) -> list[str]:
        return [record.topic for record in self.queues.take()]


def test_records_that_are_put_back_come_first_and_in_their_order() -> None:
    bench = Bench()
    bench.put(topics.EVENTS, 5)
    first = bench.queues.take()
    bench.put(topics.EVENTS, 2)
    bench.queues.put_back(topics.EVENTS, first[2:])
    assert [record.offset for record in bench.queues.take()] == [2, 3, 4, 5, 6]


def test_urgent_topics_come_in_order_and_share_a_batch() -> None:
    bench = Bench()
    for topic in (NOW, topics.EVENTS, topics.OUTCOMES, topics.RETRIES, topics.RECEIPTS, topics.PROFILES):
        bench.put(topic)
    assert bench.take() == [
        topics.PROFILES, topics.RECEIPTS, topics.RETRIES, topics.EVENTS, NOW, topics.OUTCOMES,
    ]  # fmt: skip


def test_no_topic_takes_more_than_its_share() -> None:
    bench = Bench()
    bench.put(topics.EVENTS, 25)
    bench.put(NOW, 25)
    assert [bench.take().count(NOW) for _ in range(4)] == [10, 10, 5, 0]


def test_spare_topics_wait_for_urgent_ones_and_take_turns() -> None:
    bench = Bench()
    bench.put(topics.BULK, 8)
    bench.put(LATER, 8)
    bench.put(topics.EVENTS, 15)
    assert [bench.take() for _ in range(6)] == [
        [topics.EVENTS] * 10, [topics.EVENTS] * 5, [topics.BULK] * 4, [LATER] * 4, [topics.BULK] * 4,
        [LATER] * 4,
    ]  # fmt: skip


def test_a_topic_without_credits_does_not_keep_spare_ones_waiting() -> None:
    bench = Bench()
    bench.credits[NOW] = 0
    bench.put(NOW, 5)
    bench.put(topics.BULK, 2)
    assert bench.take() == [topics.BULK] * 2


def test_credits_below_zero_are_none() -> None:
    bench = Bench()
    bench.credits[NOW] = -3
    bench.put(NOW, 5)
    assert bench.take() == []


def test_a_topic_without_credits_is_full_and_hungry_again_in_time() -> None:
    bench = Bench()
    bench.credits[NOW] = 0
    bench.put(NOW, 30)
    bench.take()
    assert bench.queues.full() == [NOW]
    assert not bench.queues.hungry(NOW)
    assert bench.queues.wants_more(), "one stuck topic stopped the reading of all"

    bench.credits[NOW] = 9
    bench.take()
    assert not bench.queues.full()
    assert not bench.queues.hungry(NOW), "hysteresis"
    bench.take()
    assert bench.queues.hungry(NOW)


def test_spare_topics_are_full_at_the_mark() -> None:
    bench = Bench()
    bench.put(topics.BULK, 29)
    assert not bench.queues.full()
    bench.put(topics.BULK)
    assert bench.queues.full() == [topics.BULK]
    assert bench.queues.wants_more()


def test_a_topic_that_is_worked_off_slows_the_reading_instead() -> None:
    bench = Bench()
    bench.put(topics.EVENTS, 40)
    assert not bench.queues.full()
    assert not bench.queues.wants_more()
    for _ in range(3):
        bench.take()
    assert bench.queues.wants_more()


def test_dropping_a_partition_leaves_the_others() -> None:
    bench = Bench()
    bench.put(topics.EVENTS, 3, partition=0)
    bench.put(topics.EVENTS, 3, partition=1)
    bench.queues.drop(topics.EVENTS, 1)
    assert [record.partition for record in bench.queues.take()] == [0, 0, 0]
    assert len(bench.queues) == 0


@given(
    st.lists(st.tuples(st.sampled_from(topics.KEYED), st.integers(0, 2), st.integers(1, 40)), max_size=20),
    st.lists(st.integers(0, 30), min_size=1, max_size=10),
)
def test_every_record_comes_once_and_in_order(puts: list[tuple[str, int, int]], credits_: list[int]) -> None:
    bench = Bench()
    for topic, partition, count in puts:
        bench.put(topic, count, partition)
    total = len(bench.queues)
    seen: list[RawRecord] = []
    for credit in credits_:
        bench.credits = dict.fromkeys(topics.KEYED, credit)
        batch = bench.queues.take()
        counts = [sum(r.topic == topic for r in batch) for topic in topics.KEYED]
        assert max(counts) <= min(credit, SMALL.urgent)
        seen += batch
    bench.credits = {}
    while batch := bench.queues.take():
        seen += batch
    assert len(seen) == total
    for topic in topics.KEYED:
        for partition in range(3):
            offsets = [r.offset for r in seen if (r.topic, r.partition) == (topic, partition)]
            assert offsets == list(range(len(offsets)))
