"""Kafka in and out: `python -m bench.source [--json] [--records N] [--partitions N]`.

Consume rate of the consumer over several topics, idle latency from a record's producing to its handing out,
bulk behind which an event must not wait, decode time per event, and publish rate with confirmation. On the
embedded broker, or on the one in TOCSIN_TEST_KAFKA; broker and bench share the machine.
"""

import argparse
import contextlib
import json
import os
import tempfile
import threading
import time
import timeit
import uuid
from collections.abc import Iterator
from pathlib import Path

from sinks.kafka import KafkaPublisher, PublisherPolicy
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer
from sources.topics import TopicAdmin, TopicPlan
from tocsin.devkit.servers import KAFKA, Servers
from tocsin.formats.codec import EventLimits, decode_event
from tocsin.model import topics
from tocsin.model.raw import OutRecord, RawRecord

NAMES = (topics.EVENTS, topics.RECEIPTS, topics.BULK, topics.OUTCOMES)
EVENT = json.dumps(
    {
        "specversion": "1.0",
        "id": "UA1545-20130101-delayed",
        "source": "/airlines/UA",
        "type": "flight.delayed",
        "subject": "passenger-00123",
        "time": "2013-01-01T05:17:00-05:00",
        "tenant": "default",
        "datacontenttype": "application/json",
        "data": {
            "flight": "UA1545",
            "from": "EWR",
            "to": "IAH",
            "minutes": 17,
            "gate": "C12",
            "aircraft": "N14228",
        },
    }
).encode()
_EPOCH_RECORDS = 3_000


class Stage:
    """Topics on a broker, and ways in and out."""

    def __init__(self, kafka: str, partitions: int) -> None:
        self.kafka, self.partitions = kafka, partitions
        self.prefix = f"bench-{uuid.uuid4().hex[:8]}."
        TopicAdmin(kafka, self.prefix).create(TopicPlan(partitions, replication=1), NAMES)
        self.publisher = KafkaPublisher(PublisherPolicy(kafka, self.prefix))

    def consumer(self, names: tuple[str, ...] = NAMES) -> KafkaConsumer:
        consumer = KafkaConsumer(
            ConsumerPolicy(self.kafka, self.prefix, names, tuple(range(self.partitions)))
        )
        consumer.start(None)
        return consumer

    def write(self, topic: str, count: int) -> None:
        for start in range(0, count, _EPOCH_RECORDS):
            size = min(_EPOCH_RECORDS, count - start)
            self.publisher.publish(
                [OutRecord(topic, n % self.partitions, b"default/u%d" % n, EVENT) for n in range(size)]
            )
            self.publisher.confirm(60)


def publish(stage: Stage, count: int) -> dict[str, float]:
    """Publish in epochs, each confirmed before the next."""
    cpu, start = time.process_time(), time.perf_counter()
    stage.write(topics.EVENTS, count)
    seconds = time.perf_counter() - start
    return {"per_s": round(count / seconds), "cpu_us": round((time.process_time() - cpu) / count * 1e6, 2)}


def consume(stage: Stage, count: int) -> dict[str, float]:
    """Read several topics from their beginning."""
    for name in (topics.RECEIPTS, topics.OUTCOMES):
        stage.write(name, count // 4)
    total = count + count // 4 * 2
    consumer = stage.consumer()
    cpu, start, got, batches = time.process_time(), time.perf_counter(), 0, 0
    while got < total:
        size = len(consumer.take())
        got, batches = got + size, batches + bool(size)
    seconds = time.perf_counter() - start
    consumer.close()
    cpu_us = (time.process_time() - cpu) / total * 1e6
    return {"per_s": round(total / seconds), "cpu_us": round(cpu_us, 2), "batch": round(total / batches)}


def latency(stage: Stage, *, behind_bulk: int = 0) -> dict[str, float]:
    """Write one event at a time and wait until the consumer hands it out, as the flow would poll."""
    consumer = stage.consumer()
    _drain(consumer, stage.partitions)
    writer = KafkaPublisher(PublisherPolicy(stage.kafka, stage.prefix))
    for partition in range(stage.partitions):
        writer.publish([OutRecord(topics.RECEIPTS, partition, b"warm", EVENT)])
    writer.confirm(30)
    sent: dict[bytes, float] = {}
    done = threading.Event()

    def produce() -> None:
        stage.write(topics.BULK, behind_bulk)
        _trickle(writer, stage.partitions, sent, done)

    threading.Thread(target=produce, daemon=True).start()
    waits_ms: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    while not (done.is_set() and len(waits_ms) == len(sent)):
        batch = consumer.take()
        now = time.perf_counter()
        waits_ms += [(now - sent[r.key or b""]) * 1_000 for r in batch if r.topic == topics.EVENTS]
        if batch and behind_bulk:
            time.sleep(len(batch) * 10e-6)
        elif not batch:
            time.sleep(0.001)
    busy = (time.process_time() - cpu) / (time.perf_counter() - start)
    consumer.close()
    waits_ms.sort()
    count = len(waits_ms)
    p50, p99 = waits_ms[count // 2], waits_ms[int(count * 0.99)]
    return {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "cpu": round(busy, 2)}


def _trickle(
    writer: KafkaPublisher, partitions: int, sent: dict[bytes, float], done: threading.Event
) -> None:
    for n in range(300):
        key = b"%d" % n
        sent[key] = time.perf_counter()
        writer.publish([OutRecord(topics.EVENTS, n % partitions, key, EVENT)])
        time.sleep(0.01)
    writer.confirm(30)
    done.set()


def _drain(consumer: KafkaConsumer, partitions: int) -> None:
    while consumer.take() or not all(map(consumer.caught_up, range(partitions))):
        pass


def decode() -> dict[str, float]:
    """Decode a typical event; the best of many runs, in CPU time."""
    raw = RawRecord(topics.EVENTS, 0, 1, 1_357_035_420_000, b"k", EVENT, ())
    limits = EventLimits(256 * 1024, 7 * 86_400, 3_600, check_time=True)
    runs = timeit.repeat(lambda: decode_event(raw, limits), number=2_000, repeat=200, timer=time.thread_time)
    return {"us": round(min(runs) / 2_000 * 1e6, 2), "bytes": len(EVENT)}


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """Name a broker."""
    if named := os.environ.get("TOCSIN_TEST_KAFKA"):
        yield named
        return
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), {KAFKA}) as servers:
        yield servers.settings["TOCSIN_KAFKA"]


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--partitions", type=int, default=16)
    args = parser.parse_args()
    result: dict[str, dict[str, float]] = {"decode": decode()}
    with broker() as kafka:
        stage = Stage(kafka, args.partitions)
        result["idle_latency"] = latency(stage)
        result["publish"] = publish(stage, args.records)
        result["consume"] = consume(stage, args.records)
        result["latency_behind_bulk"] = latency(Stage(kafka, args.partitions), behind_bulk=100_000)
    if args.json:
        print(json.dumps(result))
        return
    for name, figures in result.items():
        print(f"{name:20}", *(f"{figure}={value}" for figure, value in figures.items()))


if __name__ == "__main__":
    main()
