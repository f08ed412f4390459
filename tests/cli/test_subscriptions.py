"""`tocsin subscribe`, `unsubscribe` and `subscriptions` on a Kafka, and what they say of mistakes."""

import json
from collections.abc import Iterator

import pytest

from sinks.kafka import KafkaPublisher, PublisherPolicy
from sources.partitioner import partition_of
from sources.reader import TopicReader
from tests.sources.mock_kafka import MockCluster
from tocsin.cli.main import build
from tocsin.formats.subscriptions import decode_subscription, subscription_key
from tocsin.model import topics
from tocsin.model.raw import OutRecord

pytestmark = pytest.mark.loopback
FLIGHT = "flight/UA 1545"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockCluster]:
    with MockCluster() as found:
        found.create("tocsin.subscriptions", 4)
        monkeypatch.setenv("TOCSIN_KAFKA", found.bootstrap)
        monkeypatch.setenv("TOCSIN_PARTITIONS", "4")
        yield found


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = build(words)([*words], standalone_mode=False)
    said = capsys.readouterr()
    return int(code or 0), said.out + said.err


def test_subscribed_listed_and_unsubscribed(cluster: MockCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "subscriptions") == (0, "Nobody is subscribed to any topic of tenant default.\n")
    assert run(capsys, "subscribe", FLIGHT, "ann", "bob", "eve/2") == (0, f"✓ {FLIGHT}: 3 users subscribed\n")
    run(capsys, "subscribe", "news", "ann", "--since", "2026-05-01T00:00:00Z")
    with TopicReader(cluster.bootstrap, "tocsin.") as reader:
        records = list(reader.read(topics.SUBSCRIPTIONS))
    assert {record.key: record.partition for record in records} == {
        key: partition_of(key, 4)
        for key in [subscription_key("default", FLIGHT, user) for user in ("ann", "bob", "eve/2")]
        + [subscription_key("default", "news", "ann")]
    }
    assert all(decode_subscription(record).subscribed for record in records)
    assert run(capsys, "unsubscribe", FLIGHT, "bob") == (0, f"✓ {FLIGHT}: 1 user unsubscribed\n")
    listed = json.loads(run(capsys, "subscriptions", "--json")[1])
    assert [(one["topic"], one["user"], one["since"]) for one in listed] == [
        (FLIGHT, "ann", ""), (FLIGHT, "eve/2", ""), ("news", "ann", "2026-05-01 00:00:00 UTC"),
    ]  # fmt: skip
    table = run(capsys, "subscriptions", FLIGHT)[1]
    assert ("eve/2" in table, "news" in table) == (True, False)
    assert "news" in run(capsys, "subscriptions", "--user", "ann")[1]
    assert run(capsys, "subscriptions", "news", "--user", "bob")[1] == (
        "bob is not subscribed to news of tenant default.\n"
    )


def test_a_subscription_of_another_partitioner_ends_where_it_lies(
    cluster: MockCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """A null value on another partition would leave the user subscribed."""
    key = subscription_key("default", "t", "ann")
    elsewhere = (partition_of(key, 4) + 1) % 4
    publisher = KafkaPublisher(PublisherPolicy(cluster.bootstrap, "tocsin."))
    publisher.publish([OutRecord(topics.SUBSCRIPTIONS, elsewhere, key, b"{}")])
    publisher.confirm(20)
    assert run(capsys, "unsubscribe", "t", "ann")[0] == 0
    assert run(capsys, "subscriptions")[1].startswith("Nobody is subscribed")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["unsubscribe", "t", "ann", "bob"], "not subscribed to t of tenant default: ann, bob;"),
        (["subscribe", "t", "ann", "--since", "yesterday"], "since: not RFC 3339"),
        (["subscribe", "t", "ann", "--tenant", "a/b"], "--tenant: a tenant's name has no '/'"),
        (["subscribe", "", "ann"], "key: not tenant/topic/user"),
        (["subscribe", "t", "a\nb"], "user is empty, longer than"),
        (["subscribe", "t", ""], "user is empty, longer than"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    cluster: MockCluster, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    code, said = run(capsys, *words)
    assert code > 0
    assert text in said
    with TopicReader(cluster.bootstrap, "tocsin.") as reader:
        assert list(reader.read(topics.SUBSCRIPTIONS)) == []


def test_without_the_topic_it_says_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with MockCluster() as cluster:
        monkeypatch.setenv("TOCSIN_KAFKA", cluster.bootstrap)
        code, said = run(capsys, "subscriptions")
        assert (code, "topic tocsin.subscriptions is not there: run `tocsin topics create`" in said) == (
            1,
            True,
        )
