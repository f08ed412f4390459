#!/usr/bin/env bash
# One record with a timestamp makes confluent-kafka's AIOProducer fail the records that were produced beside it.
#
# Packages: confluent-kafka 2.16.1 (AIOProducer of confluent_kafka.aio); its mock broker stands in for Kafka.
# Seen: three records of one topic are produced, the second with timestamp=…, which the docstring of produce() names. produce() takes all
# three. A second later the futures of all three raise NotImplementedError, "Message timestamps are not currently supported in batch mode",
# and the topic stays empty. Headers, which the docstring names too, are refused by produce() itself, and fail nobody else. The synchronous
# Producer takes both.
# Guess from memory: an argument that a client does not support is refused in the call that has it, as headers are. Records of other
# callers in the same process are sent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet confluent-kafka==2.16.1

cat >"$folder/try.py" <<'PY'
import asyncio
import logging
import os
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.aio import AIOProducer

TOPIC = "letters"
PATIENCE_S = 60
QUIET = {"log_level": 0}
logging.disable()

broker = Producer({"test.mock.num.brokers": 1, **QUIET})
broker.list_topics(TOPIC, timeout=PATIENCE_S)
(node,) = broker.list_topics(timeout=PATIENCE_S).brokers.values()
settings = {"bootstrap.servers": f"{node.host}:{node.port}", "group.id": "g", **QUIET}


async def refused_at_once(producer, **more):
    """Tell whether produce() itself refuses a record."""
    try:
        await producer.produce(TOPIC, value=b"x", **more)
    except NotImplementedError:
        return True
    return False


async def fates():
    producer = AIOProducer({"bootstrap.servers": settings["bootstrap.servers"], **QUIET})
    futures = [await producer.produce(TOPIC, value=b"1")]
    headers_refused = await refused_at_once(producer, headers=[("a", b"b")])
    futures.append(await producer.produce(TOPIC, value=b"2", timestamp=1_764_000_000_000))
    futures.append(await producer.produce(TOPIC, value=b"3"))
    found = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), PATIENCE_S)
    return headers_refused, [type(each).__name__ for each in found]


headers_refused, found = asyncio.run(fates())
_, end = Consumer(settings).get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=PATIENCE_S)
print(f"headers refused by produce(): {headers_refused}; the three records: {found}; written: {end}")
same = headers_refused and found == ["NotImplementedError"] * 3 and end == 0
if not same:
    print("changed: a record with a timestamp no longer fails the others")
sys.stdout.flush()
os._exit(not same)  # the producer is not closed: the batch that failed is still in it
PY
"$folder/venv/bin/python" "$folder/try.py"
