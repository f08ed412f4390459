#!/usr/bin/env bash
# An idempotent producer of librdkafka often sends its first record half a second or a second late, though its broker answers at once.
#
# Packages: confluent-kafka 2.16.1 (librdkafka 2.16.0), with librdkafka's own mock broker.
# Seen: a new producer's first record is acknowledged after some 1, 50, 500 or 1,000 ms; most of twenty take 500 or more. The producer
# needs an id from a broker first. It asks when it is made; where no connection is up by then, it asks again after 500 ms, whatever
# happens meanwhile. A call of `list_topics` before, which waits for an answer of the broker, leaves half of them as late. After a
# second call none of twenty is late. Without idempotence none is, either.
# Guess from memory: once a call to the broker has been answered, the producer is ready.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet confluent-kafka==2.16.1

cat >"$folder/try.py" <<'PY'
import logging
import sys
import time

from confluent_kafka import Producer

TOPIC = "letters"
LATE_MS = 400
OF = 20
quiet = logging.getLogger("quiet")
quiet.addHandler(logging.NullHandler())
quiet.propagate = False

broker = Producer({"test.mock.num.brokers": 1}, logger=quiet)
(address,) = broker.list_topics(timeout=30).brokers.values()
broker.produce(TOPIC, b"makes the topic")
broker.flush(30)


def first_record_ms(idempotent, calls):
    producer = Producer(
        {"bootstrap.servers": f"{address.host}:{address.port}", "enable.idempotence": idempotent}, logger=quiet
    )
    for _ in range(calls):
        producer.list_topics(TOPIC, timeout=30)
    began = time.monotonic()
    producer.produce(TOPIC, b"first")
    producer.flush(30)
    return round((time.monotonic() - began) * 1000)


late = {}
for idempotent, calls in ((True, 0), (True, 1), (True, 2), (False, 0)):
    took = sorted(first_record_ms(idempotent, calls) for _ in range(OF))
    late[idempotent, calls] = sum(each > LATE_MS for each in took)
    print(f"idempotent: {idempotent}, calls before: {calls}; {late[idempotent, calls]} of {OF} late; ms: {took}")
as_seen = late[True, 0] > 5 and late[True, 1] > 2 and late[True, 2] == 0 and late[False, 0] == 0
sys.exit(0 if as_seen else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/try.py"
