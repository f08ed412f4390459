"""A dataflow to be killed: copies events to outcomes over the exact store.

`python -m tests.sources.copy_flow KAFKA PREFIX DIR`. Each copy names the process and moment that made it, so
one that is made twice differs from itself. SIGTERM ends it in order.
"""

import os
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from sinks.kafka import KafkaPublisher, PublisherPolicy
from sinks.outbox import OutboxSink
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer
from sources.queues import BatchLimits
from sources.source import Item, ShardSource, Wake, wake_all
from tests.sources.rig import PARTITIONS
from tocsin.model import topics
from tocsin.model.raw import OutRecord, packed, unpacked, unpacked_1
from tocsin.store import Shard
from tocsin.store.identity import Identity
from tocsin.store.outbox import Form

KEY_GROUPS = 2
EPOCH = timedelta(milliseconds=30)


class Text:
    """Codec of a state that this flow does not have."""

    def encode(self, record: str) -> bytes:
        return record.encode()

    def decode(self, data: bytes) -> str:
        return data.decode()


def copies(item: Item) -> list[object]:
    """Turn a batch into outcomes, and the wake item into one that names this process and the key groups."""
    stamp = f"{os.getpid()} {time.monotonic_ns()}"
    if isinstance(item, Wake):
        return [[OutRecord(topics.DEAD, 0, b"%d" % os.getpid(), " ".join(item.key_groups).encode())]]
    return [
        [
            OutRecord(topics.OUTCOMES, r.partition, r.key, b"%s %s" % (r.value, f"{stamp} {n}".encode()))
            for n, r in enumerate(item)
        ]
    ]


def build(kafka: str, prefix: str, folder: Path, stop: threading.Event) -> tuple[Dataflow, Shard[str]]:
    """Wire source, keying and outbox."""
    partitions = tuple(range(PARTITIONS))
    shard = Shard.open(
        folder,
        identity=Identity(cluster="", topics={}, partitions=PARTITIONS, key_groups=KEY_GROUPS),
        codec=Text(),
        cache_users=100,
        publish=KafkaPublisher(PublisherPolicy(kafka, prefix)),
        form=Form(packed, unpacked, unpacked_1),
    )
    consumer = KafkaConsumer(
        ConsumerPolicy(kafka, prefix, (topics.EVENTS,), partitions), limits=BatchLimits(urgent=20)
    )
    source = ShardSource(consumer, shard, stop=stop, wake=wake_all(partitions, KEY_GROUPS), emit=copies)
    flow = Dataflow("copy")
    records = op.map("key", op.input("hub", flow, source), lambda records: ("all", records))
    op.output("outbox", records, OutboxSink(shard))  # type: ignore[misc]  # the flow knows its items
    return flow, shard


def main() -> None:
    """Run until SIGTERM."""
    kafka, prefix, folder = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    flow, shard = build(kafka, prefix, Path(folder), stop)
    recovery = RecoveryConfig(str(shard.recovery_dir), timedelta(0))
    cli_main(flow, epoch_interval=EPOCH, recovery_config=recovery)
    shard.finish()
    shard.close()


if __name__ == "__main__":
    main()
