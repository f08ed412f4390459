#!/usr/bin/env bash
# A poll() of confluent-kafka's AIOConsumer that is cancelled still takes the next record. Nobody gets it, and its offset is committed.
#
# Packages: confluent-kafka 2.16.1 (AIOConsumer of confluent_kafka.aio); its mock broker stands in for Kafka.
# Seen: a consumer gets "one". asyncio.wait_for(consumer.poll(60), 1) runs out of time. Then "two" and "three" are written, and the next
# poll() returns "three". After close() the group has committed offset 3, so no later member of the group gets "two" either. The same with
# consume(): a cancelled call loses up to as many records as it asked for. Cancelling ends the wait, not the call in its thread, and later
# calls wait behind that thread.
# Guess from memory: a cancelled read takes nothing, as with asyncio's own queue, or its record comes with the next read. A loop that waits
# for a record or for a signal to stop, whichever comes first, loses one each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet confluent-kafka==2.16.1

cat >"$folder/try.py" <<'PY'
import asyncio
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.aio import AIOConsumer

PATIENCE_S = 60
QUIET = {"log_level": 0}

broker = Producer({"test.mock.num.brokers": 1, **QUIET})
(node,) = broker.list_topics(timeout=PATIENCE_S).brokers.values()
settings = {"bootstrap.servers": f"{node.host}:{node.port}", "group.id": "g", "auto.offset.reset": "earliest", **QUIET}


async def polled(consumer):
    message = await consumer.poll(PATIENCE_S)
    return message.value().decode()


async def consumed(consumer):
    (message,) = await consumer.consume(1, PATIENCE_S)
    return message.value().decode()


async def seen(topic, read):
    producer = Producer(settings)
    producer.produce(topic, b"one", partition=0)
    producer.flush()
    consumer = AIOConsumer(dict(settings))
    await consumer.subscribe([topic])
    got = [await read(consumer)]
    try:
        await asyncio.wait_for(read(consumer), 1)
    except TimeoutError:
        pass
    for value in (b"two", b"three"):
        producer.produce(topic, value, partition=0)
        producer.flush()
    got.append(await read(consumer))
    await consumer.close()
    (place,) = Consumer(settings).committed([TopicPartition(topic, 0)], timeout=PATIENCE_S)
    return got, place.offset


for read in (polled, consumed):
    got, committed = asyncio.run(seen(read.__name__, read))
    print(f"{read.__name__}: {got}, committed offset {committed}")
    if (got, committed) != (["one", "three"], 3):
        sys.exit("changed: a cancelled read no longer takes a record with it")
PY
"$folder/venv/bin/python" "$folder/try.py"
