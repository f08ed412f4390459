#!/usr/bin/env bash
# The field `partition` of bytewax's KafkaSinkMessage has no effect: the message goes to the partition of its key.
#
# Packages: bytewax 0.21.1, confluent-kafka 2.16.1, CPython 3.11.
# Seen: ten messages with ten keys and partition=0 spread over all four partitions of a topic. The sink hands topic, key,
# value, headers and timestamp to librdkafka, and not the partition. The fields topic, headers and timestamp work.
# Guess from memory: a message that names its partition is written to it, as by confluent-kafka's produce(). A flow that sends
# records back to the partition that they came from, such as a replay, spreads them instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet bytewax==0.21.1 confluent-kafka==2.16.1

cat >"$folder/try.py" <<'PY'
import sys

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, run_main
from confluent_kafka import Consumer, Producer, TopicPartition

QUIET = {"log_level": "0"}
KEYS = [f"user-{number}".encode() for number in range(10)]


def ends(consumer, topic, partitions):
    """Count the records of each partition."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    return [consumer.get_watermark_offsets(place, timeout=30)[1] for place in places]


broker = Producer({"test.mock.num.brokers": 1} | QUIET)  # a broker inside librdkafka, for tests
(address,) = (f"{node.host}:{node.port}" for node in broker.list_topics(timeout=30).brokers.values())
sizes = {name: len(broker.list_topics(name, timeout=30).topics[name].partitions) for name in ("sink", "direct")}

flow = Dataflow("letters")
stream = op.input("source", flow, TestingSource([KafkaSinkMessage(key, b"x", partition=0) for key in KEYS]))
op.output("kafka", stream, KafkaSink([address], "sink", QUIET))
run_main(flow)
producer = Producer({"bootstrap.servers": address} | QUIET)
for key in KEYS:
    producer.produce("direct", b"x", key, partition=0)
producer.flush(30)

consumer = Consumer({"bootstrap.servers": address, "group.id": "reader"} | QUIET)
by_sink, direct = (ends(consumer, name, size) for name, size in sizes.items())
consumer.close()
print(f"records in each partition: {by_sink} by KafkaSink, {direct} by produce()")
if direct != [10, 0, 0, 0]:
    sys.exit("changed: produce() does not write to the partition that it is given")
if sum(by_sink) != 10 or by_sink == direct:
    sys.exit("changed: KafkaSink writes to the partition that the message names")
PY
"$folder/venv/bin/python" "$folder/try.py"
