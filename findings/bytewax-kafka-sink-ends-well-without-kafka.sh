#!/usr/bin/env bash
# bytewax's KafkaSink ends a dataflow without an error when Kafka took nothing, and a resumed run does not write it again.
#
# Packages: bytewax 0.21.1, confluent-kafka 2.16.1, CPython 3.11. Its documentation says "can support at-least-once".
# Seen: three messages go to an address where nobody listens, with recovery on and message.timeout.ms at 1 s, for the script's
# sake (librdkafka's own is 5 minutes). run_main() returns. A second run with the same recovery store, and with a broker,
# writes nothing: the source counts as read to its end. The topic stays empty. The sink gives librdkafka no delivery callback,
# and flush() returns once librdkafka has given the messages up.
# Guess from memory: a sink raises when its messages were not delivered, so that the epoch is not finished.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet bytewax==0.21.1 confluent-kafka==2.16.1

cat >"$folder/try.py" <<'PY'
import socket
import sys
import tempfile
from datetime import timedelta

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main
from confluent_kafka import Consumer, Producer, TopicPartition

TOPIC = "letters"
QUIET = {"log_level": "0"}


def run(address, store):
    """Run a dataflow that writes three messages; return how many reached the sink."""
    seen = []
    flow = Dataflow("letters")
    stream = op.input("source", flow, TestingSource([KafkaSinkMessage(None, b"x") for _ in range(3)]))
    stream = op.inspect("seen", stream, lambda _, message: seen.append(message))
    op.output("sink", stream, KafkaSink([address], TOPIC, {"message.timeout.ms": "1000"} | QUIET))
    run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(store))
    return len(seen)


def stored(consumer, partitions):
    """Count the records that the topic holds."""
    places = [TopicPartition(TOPIC, partition) for partition in range(partitions)]
    ends = [consumer.get_watermark_offsets(place, timeout=30)[1] for place in places]
    return sum(ends)


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    nobody = f"127.0.0.1:{free.getsockname()[1]}"
broker = Producer({"test.mock.num.brokers": 1} | QUIET)  # a broker inside librdkafka, for tests
(address,) = (f"{node.host}:{node.port}" for node in broker.list_topics(timeout=30).brokers.values())
partitions = len(broker.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions)
consumer = Consumer({"bootstrap.servers": address, "group.id": "reader"} | QUIET)

with tempfile.TemporaryDirectory() as lost, tempfile.TemporaryDirectory() as fresh:
    init_db_dir(lost, 1)
    init_db_dir(fresh, 1)
    away = run(nobody, lost)
    print(f"Kafka away: the run ends without an error, {away} messages went into the sink")
    resumed = run(address, lost)
    after_resume = stored(consumer, partitions)
    print(f"resumed with Kafka: {resumed} messages went into the sink, the topic holds {after_resume}")
    begun_anew = run(address, fresh)
    after_all = stored(consumer, partitions)
    print(f"with an empty store: {begun_anew} messages went into the sink, the topic holds {after_all}")
consumer.close()
if (away, resumed, after_resume, begun_anew, after_all) != (3, 0, 0, 3, 3):
    sys.exit("changed: KafkaSink no longer loses silently what Kafka did not take")
PY
"$folder/venv/bin/python" "$folder/try.py"
