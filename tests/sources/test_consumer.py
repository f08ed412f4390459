"""The consumer against a real broker: positions, priorities, pauses, refusals."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from confluent_kafka import Producer

from sources.client import BEGINNING
from sources.consumer import KafkaConsumer
from sources.queues import BatchLimits
from sources.state import SourceState, read_stored
from tests.sources.rig import PARTITIONS, World, read, settle, values, wait_for
from tocsin.errors import StateError
from tocsin.model import topics
from tocsin.model.raw import OutRecord

Start = Callable[..., KafkaConsumer]


def test_reads_every_record_as_it_was_written(world: World, start: Start) -> None:
    world.send(
        [
            OutRecord(topics.EVENTS, 2, b"acme/ann", b"one", (("ce_id", b"1"), ("empty", b""))),
            OutRecord(topics.EVENTS, 2, None, None),
        ]
    )

    first, second = read(start(world.consumer()), 2)

    assert (first.topic, first.partition, first.offset) == ("events", 2, 0)
    assert (first.key, first.value, first.headers) == (b"acme/ann", b"one", (("ce_id", b"1"), ("empty", b"")))
    assert abs(first.timestamp_ms - time.time() * 1000) < 60_000
    assert (second.key, second.value, second.headers, second.offset) == (None, None, (), 1)


def test_order_within_a_partition_is_kept(world: World, start: Start) -> None:
    for partition in range(PARTITIONS):
        world.write(topics.EVENTS, 500, partition=partition)

    records = read(start(world.consumer()), 500 * PARTITIONS)

    for partition in range(PARTITIONS):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(500))


def test_resumes_exactly_where_the_state_says(world: World, start: Start) -> None:
    world.write(topics.EVENTS, 40)
    consumer = start(world.consumer(limits=BatchLimits(urgent=10)))
    before = read(consumer, 10)
    state = read_stored(consumer.state(7).stored())
    consumer.close()

    consumer = start(world.consumer(), state)
    after = read(consumer, 30) + settle(consumer)

    assert state.epoch == 7
    assert [r.offset for r in before + after] == list(range(40))


def test_a_topic_without_records_resumes_too(world: World, start: Start) -> None:
    consumer = start(world.consumer())
    wait_for(lambda: not consumer.take() and consumer.caught_up(0))
    state = consumer.state(1)
    consumer.close()
    world.write(topics.EVENTS, 3)

    assert values(read(start(world.consumer(), state), 3)) == ["events-0", "events-1", "events-2"]


def test_a_shard_reads_its_own_partitions_only(world: World, start: Start) -> None:
    for partition in range(PARTITIONS):
        world.write(topics.EVENTS, 5, partition=partition)

    consumer = start(world.consumer(partitions=(1, 3)))
    records = read(consumer, 10) + settle(consumer)

    assert {r.partition for r in records} == {1, 3}
    assert len(records) == 10


def test_the_first_start_reads_profiles_to_their_end_before_any_event(world: World, start: Start) -> None:
    world.write(topics.EVENTS, 50)
    world.write(topics.RECEIPTS, 5)
    for partition in range(PARTITIONS):
        world.write(topics.PROFILES, 1_500, partition=partition)
    consumer = start(world.consumer())
    assert consumer.loading

    order = [record.topic for record in read(consumer, 1_500 * PARTITIONS + 55)]

    assert order[: 1_500 * PARTITIONS] == [topics.PROFILES] * (1_500 * PARTITIONS)
    assert not consumer.loading


def test_the_first_start_reads_subscriptions_to_their_end_before_any_event(
    world: World, start: Start
) -> None:
    world.write(topics.EVENTS, 50)
    world.write(topics.PROFILES, 5)
    world.write(topics.SUBSCRIPTIONS, 900)
    consumer = start(world.consumer())
    order = [record.topic for record in read(consumer, 955)]
    assert set(order[:905]) == {topics.PROFILES, topics.SUBSCRIPTIONS}
    assert not consumer.loading


def test_a_crash_during_the_first_load_goes_on_loading(world: World, start: Start) -> None:
    world.write(topics.EVENTS, 5)
    world.write(topics.PROFILES, 30)
    consumer = start(world.consumer(limits=BatchLimits(urgent=10)))
    read(consumer, 10)
    state = read_stored(consumer.state(1).stored())
    consumer.close()

    consumer = start(world.consumer(), state)

    assert consumer.loading
    assert [r.topic for r in read(consumer, 25)] == [topics.PROFILES] * 20 + [topics.EVENTS] * 5


def test_profiles_written_later_do_not_hold_events_back(world: World, start: Start) -> None:
    consumer = start(world.consumer())
    world.write(topics.EVENTS, 5)
    assert len(read(consumer, 5)) == 5
    assert not consumer.loading


def test_records_that_are_put_back_are_not_read_and_come_again(world: World, start: Start) -> None:
    world.write(topics.EVENTS, 6)
    world.write(topics.RECEIPTS, 1)
    consumer = start(world.consumer())
    taken = [record for record in read(consumer, 7) if record.topic == topics.EVENTS]
    wait_for(lambda: not consumer.take() and consumer.caught_up(0))

    before_s = time.monotonic()
    consumer.put_back(taken[2:], "its schema is not there")

    assert consumer.state(1).offsets[topics.EVENTS][0] == 2
    assert consumer.caught_up(0), "timers go on"
    assert consumer.waiting.sentences == {topics.EVENTS: "events waits: its schema is not there"}
    again = consumer.take()
    assert again == [] or time.monotonic() - before_s >= 0.1
    again += read(consumer, 4 - len(again))
    assert [record.offset for record in again] == [2, 3, 4, 5]
    assert consumer.state(1).offsets[topics.EVENTS][0] == 6
    wait_for(lambda: not consumer.take() and not consumer.waiting.sentences)


def test_declared_topics_have_partitions_of_their_own_and_no_prefix(
    kafka: str, topic_prefix: str, start: Start
) -> None:
    foreign = World(kafka, f"{topic_prefix}foreign.", ["orders"])
    world = World(kafka, f"{topic_prefix}own.")
    name = topics.declared(f"{foreign.prefix}orders")
    for partition in range(PARTITIONS):
        foreign.write("orders", 2, partition=partition)
    read_too = (*world.names, name)
    consumer = start(world.consumer(topics=read_too, partitions=(1,), declared={name: (1, 3)}))

    records = read(consumer, 4) + settle(consumer)

    assert {(r.topic, r.partition) for r in records} == {(name, 1), (name, 3)}
    wait_for(lambda: not consumer.take() and consumer.caught_up(1))
    state = consumer.state(1)
    assert state.offsets[name] == {1: 2, 3: 2}
    consumer.close()
    without = start(world.consumer(partitions=(1,)), state)
    assert without.state(2).offsets[name] == {1: 2, 3: 2}, "a topic that is declared again goes on"


def test_bulk_never_delays_events(world: World, start: Start) -> None:
    world.write(topics.BULK, 6_000)
    consumer = start(world.consumer(limits=BatchLimits(high=1_000, low=500)))
    records = read(consumer, 300)
    world.write(topics.EVENTS, 50)

    while not values(records, topics.EVENTS):
        batch = consumer.take()
        assert len({record.topic for record in batch}) <= 1, "an event shared its batch with bulk"
        records += batch

    assert len(records) < 6_000, "the event waited for all of the bulk"
    records += read(consumer, 6_050 - len(records))
    assert values(records, topics.BULK) == [f"bulk-{n}" for n in range(6_000)]
    assert values(records, topics.EVENTS) == [f"events-{n}" for n in range(50)]


def test_no_credits_pause_a_topic_and_nothing_else(full_world: World, start: Start) -> None:
    stuck, free = topics.messages("sms"), topics.messages("email")
    credits_ = {stuck: 0}
    full_world.write(stuck, 3_000)
    full_world.write(free, 200)
    consumer = start(
        full_world.consumer(
            allowance=lambda topic: credits_.get(topic, 1_000),
            limits=BatchLimits(high=500, low=100, ahead=300),
        )
    )

    assert values(read(consumer, 200)) == [f"{free}-{n}" for n in range(200)]
    assert settle(consumer) == []
    buffered = consumer.queues.waiting(stuck)
    assert buffered < 3_000, "the topic was not paused"
    full_world.write(free, 10, start=200)
    assert values(read(consumer, 10)) == [f"{free}-{n}" for n in range(200, 210)]

    credits_[stuck] = 50
    assert values(read(consumer, 3_000)) == [f"{stuck}-{n}" for n in range(3_000)]


def test_credits_bound_each_batch(full_world: World, start: Start) -> None:
    topic = topics.messages("push")
    full_world.write(topic, 100)
    consumer = start(full_world.consumer(allowance=lambda _: 7))
    sizes: list[int] = []
    while sum(sizes) < 100:
        sizes.append(len(consumer.take()))
    assert max(sizes) == 7


def test_state_that_is_lost_is_refused_and_names_the_cure(world: World, start: Start) -> None:
    world.write(topics.EVENTS, 3)
    consumer = start(world.consumer())
    read(consumer, 3)
    consumer.commit(consumer.state(1), wait=True)
    consumer.close()

    with pytest.raises(StateError, match=r"group .*shard has read events/0 up to 3.*tocsin offsets forget"):
        start(world.consumer())


def test_another_group_is_not_a_lost_state(world: World, start: Start) -> None:
    consumer = start(world.consumer())
    world.write(topics.EVENTS, 1)
    read(consumer, 1)
    consumer.commit(consumer.state(1), wait=True)

    assert len(read(start(world.consumer(group="other")), 1)) == 1


def test_acked_topics_resume_from_the_group_when_the_state_is_lost(full_world: World, start: Start) -> None:
    full_world.write(topics.OUTCOMES, 10)

    def tracker() -> KafkaConsumer:
        return full_world.consumer(topics=(topics.OUTCOMES,), acked=frozenset({topics.OUTCOMES}))

    consumer = start(tracker())
    for record in read(consumer, 10)[:6]:
        consumer.acks.done(record.topic, record.partition, record.offset)
    consumer.commit(consumer.state(1), wait=True)
    consumer.close()

    again = read(start(tracker()), 4)

    assert [record.offset for record in again] == [6, 7, 8, 9]


def test_what_another_flow_has_finished_is_not_read_again_by_an_older_state(
    full_world: World, start: Start
) -> None:
    topic = topics.messages("email")
    full_world.write(topic, 10)
    made = partial(full_world.consumer, topics=(topic,), acked=frozenset({topic}))
    pipeline = start(made())
    for record in read(pipeline, 10)[:7]:
        pipeline.acks.done(topic, record.partition, record.offset)
    pipeline.commit(pipeline.state(9), wait=True)
    pipeline.close()

    before = SourceState(4, {topic: {0: 2, 1: 0}}, {}, {}, ())
    deliver = start(made(), before)
    assert [record.offset for record in read(deliver, 3)] == [7, 8, 9]
    ahead = SourceState(4, {topic: {0: 9}}, {}, {}, ())
    assert [record.offset for record in read(start(made(), ahead), 1)] == [9]
    forgotten = start(made(), before, forget=frozenset({topic}))
    assert [record.offset for record in read(forgotten, 10)] == list(range(10))


def test_unfinished_records_of_acked_topics_are_read_again(full_world: World, start: Start) -> None:
    topic = topics.messages("email")
    full_world.write(topic, 10)
    consumer = start(full_world.consumer(acked=frozenset({topic})))
    for record in read(consumer, 10):
        if record.offset != 4:
            consumer.acks.done(topic, record.partition, record.offset)
    state = consumer.state(1)
    consumer.close()

    assert state.offsets[topic][0] == 4
    again = start(full_world.consumer(acked=frozenset({topic})), state)
    assert [r.offset for r in read(again, 6)] == [4, 5, 6, 7, 8, 9]


def test_a_paused_partition_stays_paused_over_a_restart_until_accepted(world: World, start: Start) -> None:
    consumer = start(world.consumer(limits=BatchLimits(urgent=10)))
    world.write(topics.EVENTS, 30)
    world.write(topics.EVENTS, 3, partition=1)
    first = read(consumer, 10)
    consumer.pause(topics.EVENTS, 0, "too many bad records")
    others = settle(consumer)
    state = read_stored(consumer.state(3).stored())
    consumer.close()

    assert {r.partition for r in others} <= {1}
    handed = [r.offset for r in first if r.partition == 0]
    assert state.offsets[topics.EVENTS][0] == len(handed)

    consumer = start(world.consumer(), state)
    assert consumer.paused == {(topics.EVENTS, 0): "too many bad records"}
    assert 0 not in {r.partition for r in settle(consumer)}
    state = consumer.state(4)
    consumer.close()

    consumer = start(world.consumer(), state, accept_bad=True)
    again = read(consumer, 30 - len(handed))
    assert consumer.paused == {}
    assert handed + [r.offset for r in again if r.partition == 0] == list(range(30))


def test_caught_up_means_all_gate_inputs_are_handed_out(world: World, start: Start) -> None:
    world.write(topics.EVENTS, 3)
    allowed = {topics.EVENTS: 0}
    consumer = start(world.consumer(allowance=lambda topic: allowed.get(topic, 100)))
    assert not consumer.caught_up(0)
    wait_for(lambda: not consumer.take() and consumer.caught_up(1))
    assert not consumer.caught_up(0)

    allowed[topics.EVENTS] = 100
    read(consumer, 3)
    wait_for(lambda: not consumer.take() and consumer.caught_up(0))

    world.write(topics.RETRIES, 1)
    wait_for(lambda: bool(consumer.take()))
    wait_for(lambda: not consumer.take() and consumer.caught_up(0))


def test_lag_is_what_is_not_handed_out(world: World, start: Start) -> None:
    world.write(topics.EVENTS, 20)
    consumer = start(world.consumer(limits=BatchLimits(urgent=5)))
    read(consumer, 5)
    assert consumer.monitor.lags()[topics.EVENTS, 0] == 15
    read(consumer, 15)
    assert consumer.monitor.lags()[topics.EVENTS, 0] == 0


def test_markers_and_aborted_records_are_no_lag_once_they_are_passed(world: World, start: Start) -> None:
    producer = Producer({"bootstrap.servers": world.kafka, "transactional.id": world.prefix})
    producer.init_transactions(60)
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for _ in range(5):
            producer.produce(world.prefix + topics.EVENTS, b"value", b"k", partition=0)
        end(60)
    consumer = start(world.consumer())
    assert len(read(consumer, 5)) >= 5

    def passed() -> bool:
        consumer.take()
        return consumer.monitor.lags().get((topics.EVENTS, 0)) == 0

    wait_for(passed)


def test_the_lag_of_a_topic_that_is_held_back_grows_with_it(full_world: World, start: Start) -> None:
    stuck, untouched = topics.messages("sms"), topics.messages("push")
    credits_ = {stuck: 5, untouched: 0}
    consumer = start(
        full_world.consumer(
            allowance=lambda topic: credits_.get(topic, 100), limits=BatchLimits(high=500, low=100)
        )
    )
    full_world.write(stuck, 5)
    read(consumer, 5)
    credits_[stuck] = 0
    for start_at in (5, 1_005):
        full_world.write(stuck, 1_000, start=start_at)
        full_world.write(untouched, 1_000, start=start_at)
        settle(consumer)
    wait_for(lambda: consumer.take() == [] and consumer.assignment.gates[stuck].closed >= {0})

    def looked() -> bool:
        consumer.take()
        consumer.monitor.refresh()
        return (consumer.monitor.lags().get((stuck, 0)), consumer.monitor.lags().get((untouched, 0))) == (
            2_000,
            2_000,
        )

    wait_for(looked)


def test_offsets_reach_the_group_once_the_epoch_after_theirs_is_durable(world: World, start: Start) -> None:
    """Until then its records may only stand in our own outbox: another flow must not think it all done."""
    world.write(topics.EVENTS, 4)
    consumer = start(world.consumer())
    read(consumer, 4)
    consumer.durable(consumer.state(1))
    settle(consumer)
    assert not group_has_offsets(world)
    consumer.durable(consumer.state(2))

    wait_for(lambda: not consumer.take() and group_has_offsets(world))


def group_has_offsets(world: World) -> bool:
    """Ask whether a first start would be refused."""
    consumer = world.consumer()
    try:
        consumer.start(None)
    except StateError:
        return True
    finally:
        consumer.close()
    return False


def test_an_empty_partition_is_kept_as_its_beginning_or_its_end(world: World, start: Start) -> None:
    consumer = start(world.consumer())
    assert consumer.state(1).offsets[topics.EVENTS][0] == BEGINNING
    wait_for(lambda: not consumer.take() and consumer.caught_up(0))
    assert consumer.state(1).offsets[topics.EVENTS][0] == 0
