"""The publisher: everything arrives once and in order, or `confirm` says what did not."""

import time
from typing import cast

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from msgspec.structs import replace

from sinks.fan_out import FanOutPublisher
from sinks.kafka import KafkaPublisher, PublisherPolicy
from sources.client import reader_config
from sources.errors import EOF
from sources.topics import TopicAdmin, TopicPlan
from tests.providers.messages import encode, message
from tests.sources.mock_kafka import INIT_PRODUCER_ID, METADATA, PRODUCE, MockCluster
from tests.waiting import until
from tocsin.errors import SinkError
from tocsin.formats.codec import decode_outcome
from tocsin.formats.dead_letters import read_dead_letter
from tocsin.model import topics
from tocsin.model.message import Slots
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord, VersionNote

PARTITIONS = 3
NAMES = (topics.EVENTS, topics.OUTCOMES, topics.DEAD)


class Shelf:
    """Topics of a test on a real broker, with what is in them."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.policy = PublisherPolicy(kafka, prefix)
        self._admin = TopicAdmin(kafka, prefix)
        self._admin.create(TopicPlan(PARTITIONS, replication=1), NAMES)

    def content(self, topic: str) -> list[RawRecord]:
        """Read a topic to its end, partition by partition."""
        return [r for p in range(PARTITIONS) for r in read_partition(self.policy, topic, p)]


def read_partition(policy: PublisherPolicy, topic: str, partition: int) -> list[RawRecord]:
    """Read one partition from its beginning to its end."""
    consumer = Consumer(reader_config(policy.bootstrap, "test"))
    consumer.assign([TopicPartition(policy.prefix + topic, partition, 0)])
    records: list[RawRecord] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        error = message.error()
        if error is not None and error.code() == EOF:
            break
        assert error is None, error
        pairs = cast(list[tuple[str, bytes]], message.headers() or [])
        headers = tuple(pairs)
        records.append(
            RawRecord(topic, partition, message.offset() or 0, 0, message.key(), message.value(), headers)
        )
    consumer.close()
    return records


@pytest.fixture
def shelf(kafka: str, topic_prefix: str) -> Shelf:
    return Shelf(kafka, topic_prefix)


def numbered(count: int, *, topic: str = topics.EVENTS, start: int = 0) -> list[OutRecord]:
    return [OutRecord(topic, n % PARTITIONS, b"k%d" % n, b"%d" % n) for n in range(start, start + count)]


def test_records_arrive_as_they_are_on_the_partition_they_name(shelf: Shelf) -> None:
    publisher = KafkaPublisher(shelf.policy)
    records = [
        OutRecord(topics.EVENTS, 2, b"same", b"one"),
        OutRecord(topics.EVENTS, 1, b"same", None),
        OutRecord(topics.DEAD, 0, None, b"two", (("a", b"1"), ("a", b""), ("b", b"\xff"))),
    ]
    publisher.publish(records)
    publisher.confirm(20)

    found = shelf.content(topics.EVENTS) + shelf.content(topics.DEAD)
    assert [OutRecord(r.topic, r.partition, r.key, r.value, r.headers) for r in found] == [
        records[1],
        records[0],
        records[2],
    ]


def test_order_of_a_partition_holds_over_publishes_with_and_without_headers(shelf: Shelf) -> None:
    publisher = KafkaPublisher(shelf.policy)
    records = numbered(900)
    records[100:110] = [replace(record, headers=(("h", b"1"),)) for record in records[100:110]]
    for at in range(0, 900, 90):
        publisher.publish(records[at : at + 90])
    publisher.confirm(20)

    for partition in range(PARTITIONS):
        found = [int(r.value or b"") for r in read_partition(shelf.policy, topics.EVENTS, partition)]
        assert found == list(range(partition, 900, PARTITIONS))


def test_a_full_queue_drops_nothing(shelf: Shelf) -> None:
    policy = replace(shelf.policy, options={"queue.buffering.max.messages": "50"})
    publisher = KafkaPublisher(policy)
    plain = numbered(2_000)
    marked = [replace(r, headers=(("h", b"1"),)) for r in numbered(500, topic=topics.OUTCOMES)]
    publisher.publish(plain + marked)
    publisher.confirm(30)

    for partition in range(PARTITIONS):
        found = [int(r.value or b"") for r in read_partition(shelf.policy, topics.EVENTS, partition)]
        assert found == list(range(partition, 2_000, PARTITIONS))
    assert len(shelf.content(topics.OUTCOMES)) == 500


def test_nothing_to_confirm_is_confirmed(shelf: Shelf) -> None:
    publisher = KafkaPublisher(shelf.policy)
    publisher.publish([])
    publisher.confirm(0)


class TestFailures:
    """On a mock broker that fails on order."""

    def test_an_unconfirmed_record_is_an_error_in_time(self) -> None:
        with MockCluster() as cluster:
            cluster.create("t.events", PARTITIONS)
            publisher = KafkaPublisher(PublisherPolicy(cluster.bootstrap, "t."))
            cluster.down()
            publisher.publish(numbered(10))
            before = time.monotonic()
            with pytest.raises(SinkError, match=r"10 records not acknowledged within 0\.5 s"):
                publisher.confirm(0.5)
            assert time.monotonic() - before < 25, "the 30 s of the client held, not the 0.5 s asked for"

    def test_it_has_connected_before_it_publishes(self) -> None:
        with MockCluster() as cluster:
            cluster.create("t.outcomes", PARTITIONS)
            cluster.watch()
            publisher = KafkaPublisher(PublisherPolicy(cluster.bootstrap, "t."))
            publisher.connect()
            assert METADATA in cluster.asked(), "a broker has answered"
            until(lambda: INIT_PRODUCER_ID in cluster.asked(), "the producer asks for its id")
            assert PRODUCE not in cluster.asked()

    def test_one_that_has_connected_does_not_wait_for_its_id(self) -> None:
        """Half a second is the client's own wait until it asks again.

        Without the second question a fifth of them wait for it. Load may make a tenth late.
        """
        broker = Producer({"test.mock.num.brokers": 1})
        (address,) = broker.list_topics(timeout=30).brokers.values()
        broker.produce("t.outcomes", b"makes the topic")
        broker.flush(30)
        waits_s = []
        for _ in range(80):
            publisher = KafkaPublisher(PublisherPolicy(f"{address.host}:{address.port}", "t."))
            publisher.connect()
            before = time.monotonic()
            publisher.publish([OutRecord(topics.OUTCOMES, 0, b"key", b"value")])
            publisher.confirm(20)
            waits_s.append(time.monotonic() - before)
        assert sorted(waits_s)[-9] < 0.45

    def test_a_broker_that_is_away_stops_no_start(self) -> None:
        with MockCluster() as cluster:
            cluster.down()
            publisher = KafkaPublisher(
                PublisherPolicy(cluster.bootstrap, "t.", {"socket.timeout.ms": "1000"})
            )
            publisher.connect()
            publisher.publish([])

    def test_a_broker_that_comes_back_gets_everything_in_order(self) -> None:
        with MockCluster() as cluster:
            cluster.create("t.events", PARTITIONS)
            policy = PublisherPolicy(cluster.bootstrap, "t.")
            publisher = KafkaPublisher(policy)
            cluster.down()
            publisher.publish(numbered(30))
            with pytest.raises(SinkError):
                publisher.confirm(0.2)
            cluster.up()
            publisher.publish(numbered(30, start=30))
            publisher.confirm(20)
            for partition in range(PARTITIONS):
                found = [int(r.value or b"") for r in read_partition(policy, topics.EVENTS, partition)]
                assert found == list(range(partition, 60, PARTITIONS))

    def test_errors_that_pass_are_retried_and_nothing_doubled(self) -> None:
        with MockCluster() as cluster:
            cluster.create("t.events", PARTITIONS)
            policy = PublisherPolicy(cluster.bootstrap, "t.")
            publisher = KafkaPublisher(policy)
            cluster.fail(PRODUCE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT)
            publisher.publish(numbered(60))
            publisher.confirm(20)
            for partition in range(PARTITIONS):
                found = [int(r.value or b"") for r in read_partition(policy, topics.EVENTS, partition)]
                assert found == list(range(partition, 60, PARTITIONS))

    @pytest.mark.parametrize("headers", [(), (("h", b"1"),)])
    def test_a_refused_record_is_named_without_its_content(
        self, headers: tuple[tuple[str, bytes], ...]
    ) -> None:
        with MockCluster() as cluster:
            cluster.create("t.events", 1)
            publisher = KafkaPublisher(PublisherPolicy(cluster.bootstrap, "t."))
            cluster.fail(PRODUCE, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 3)
            publisher.publish([OutRecord(topics.EVENTS, 0, b"ada@example.org", b"secret", headers)])
            with pytest.raises(SinkError, match=r"events/0: .*TOPIC_AUTHORIZATION_FAILED") as caught:
                publisher.confirm(20)
            assert "secret" not in str(caught.value)
            assert "ada@" not in str(caught.value)
            with pytest.raises(SinkError):
                publisher.confirm(1)

    def test_a_small_record_called_too_large_blames_the_topic(self) -> None:
        with MockCluster() as cluster:
            cluster.create("t.events", 1)
            publisher = KafkaPublisher(PublisherPolicy(cluster.bootstrap, "t."))
            cluster.fail(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
            publisher.publish([OutRecord(topics.EVENTS, 0, b"k", b"small")])
            with pytest.raises(SinkError, match=r"events/0: .*max\.message\.bytes"):
                publisher.confirm(20)

    @pytest.mark.parametrize("headers", [(), (("h", b"1"),)])
    def test_a_record_too_large_for_its_topic_becomes_a_dead_letter(
        self, headers: tuple[tuple[str, bytes], ...]
    ) -> None:
        with MockCluster() as cluster:
            for name in NAMES:
                cluster.create("t." + name, 1)
            policy = PublisherPolicy(cluster.bootstrap, "t.")
            publisher = KafkaPublisher(policy)
            large = OutRecord(topics.OUTCOMES, 0, b"acme/ann", b"x" * 600_000, headers)
            cluster.fail(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
            publisher.publish([large])
            publisher.confirm(20)
            publisher.publish([OutRecord(topics.OUTCOMES, 0, b"k", b"next")])
            publisher.confirm(20)

            (dead,) = map(read_dead_letter, read_partition(policy, topics.DEAD, 0))
            assert (dead.origin_topic, dead.stage, dead.reason) == (topics.OUTCOMES, "publish", "too_large")
            assert (dead.key, dead.value, dead.headers) == (large.key, large.value, headers)
            assert [r.value for r in read_partition(policy, topics.OUTCOMES, 0)] == [b"next"]

    def test_a_message_too_large_for_its_topic_ends_as_dead_and_gives_its_slot_back(self) -> None:
        with MockCluster() as cluster:
            topic = topics.messages("email")
            for name in (*NAMES, topic, topics.RECEIPTS):
                cluster.create("t." + name, 1)
            policy = PublisherPolicy(cluster.bootstrap, "t.")
            publisher = KafkaPublisher(policy)
            data = msgspec.Raw(b'"%b"' % (b"x" * 600_000))
            large = message(data=data, slots=Slots(1, 1))
            cluster.fail(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
            publisher.publish([OutRecord(topic, 0, b"acme/ann", encode(large))])
            publisher.confirm(20)

            (dead,) = read_partition(policy, topics.DEAD, 0)
            (line,) = map(decode_outcome, read_partition(policy, topics.OUTCOMES, 0))
            (report,) = read_partition(policy, topics.RECEIPTS, 0)
            assert read_dead_letter(dead).reason == line.reason == "too_large"
            assert (line.status, line.message_id, line.at_ms) == ("dead", large.message_id, large.decided_ms)
            receipt = msgspec.json.decode(report.value or b"", type=ReceiptEvent)
            assert (receipt.kind, receipt.slots) == ("failed", Slots(1, 1).at(large.decided_ms))

    def test_larger_than_the_client_allows_loses_only_the_value(self) -> None:
        with MockCluster() as cluster:
            for name in NAMES:
                cluster.create("t." + name, 1)
            policy = PublisherPolicy(cluster.bootstrap, "t.", {"message.max.bytes": "1000000"})
            publisher = KafkaPublisher(policy)
            publisher.publish([OutRecord(topics.OUTCOMES, 0, b"acme/ann", b"x" * 1_200_000)])
            publisher.confirm(20)

            (dead,) = map(read_dead_letter, read_partition(policy, topics.DEAD, 0))
            assert (dead.origin_topic, dead.key, dead.value) == (topics.DEAD, b"acme/ann", None)
            assert "1200000 bytes" in dead.error


def test_versions_and_records_part_ways() -> None:
    taken: dict[str, list[object]] = {"kafka": [], "versions": []}

    class Branch:
        def __init__(self, name: str, failure: str = "") -> None:
            self._name = name
            self._failure = failure

        def publish(self, records: object) -> None:
            assert isinstance(records, list)
            taken[self._name] += records

        def confirm(self, timeout_s: float) -> None:
            assert timeout_s > 0
            if self._failure:
                raise SinkError(self._failure)

    record, note = OutRecord(topics.EVENTS, 0, b"k", b"v"), VersionNote("acme/ann", 3)
    both = FanOutPublisher(Branch("kafka"), Branch("versions"))
    both.publish([record, note, record])
    both.confirm(5)
    assert taken == {"kafka": [record, record], "versions": [note]}

    with pytest.raises(SinkError, match="redis"):
        FanOutPublisher(Branch("kafka"), Branch("versions", "redis")).confirm(5)
