#!/usr/bin/env bash
# A partition that a consumer of confluent-kafka paused, lost in a rebalance and got back is still paused: it never reads
# from it again, and nothing says so.
#
# Packages: confluent-kafka 2.16.1 (librdkafka with it); its mock broker stands in for Kafka.
# Seen: a consumer pauses its partitions. A second one joins the group, reads some of them, and leaves. The first gets them
# back with on_assign, and polls no record of them, neither with the assignor "range" nor with "cooperative-sticky". After
# resume() it reads them. assign() of one's own does not end a pause either.
# Guess from memory: a new assignment begins without pauses, as with Java's consumer, which forgets the pause of a partition
# that was revoked. Who keeps an own list of paused partitions and clears it in on_revoke waits for ever.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet confluent-kafka==2.16.1

cat >"$folder/try.py" <<'PY'
import sys
import time

from confluent_kafka import Consumer, Producer

TOPIC = "letters"
QUIET = {"log_level": 0}
PATIENCE_S = 60
LISTEN_S = 5


def joined(address, assignor, assigned):
    settings = {"bootstrap.servers": address, "group.id": assignor, "auto.offset.reset": "earliest"}
    consumer = Consumer(settings | QUIET | {"partition.assignment.strategy": assignor, "session.timeout.ms": 6000})
    consumer.subscribe([TOPIC], on_assign=lambda _, places: assigned.extend(place.partition for place in places))
    return consumer


def owned(consumer):
    return {place.partition for place in consumer.assignment()}


def poll(consumers, done):
    """Poll until `done`; return the partitions that records came from, for each consumer."""
    came = [set() for _ in consumers]
    end = time.monotonic() + PATIENCE_S
    while not done(came):
        if time.monotonic() > end:
            sys.exit("the group did not settle")
        for consumer, partitions in zip(consumers, came, strict=True):
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                partitions.add(message.partition())
    return came


def tried(assignor):
    broker = Producer({"test.mock.num.brokers": 1} | QUIET)
    (address,) = (f"{node.host}:{node.port}" for node in broker.list_topics(timeout=30).brokers.values())
    everything = set(broker.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions)
    assigned = []
    first = joined(address, assignor, assigned)
    poll([first], lambda _: owned(first) == everything)
    first.pause(first.assignment())
    for partition in everything:
        broker.produce(TOPIC, b"x", partition=partition)
    broker.flush(30)
    second = joined(address, assignor, [])
    _, lent = poll([first, second], lambda came: came[1] and came[1] == owned(second))
    second.close()
    assigned.clear()
    poll([first], lambda _: owned(first) == everything and lent <= set(assigned))
    for partition in everything:
        broker.produce(TOPIC, b"y", partition=partition)
    broker.flush(30)
    until = time.monotonic() + LISTEN_S
    (paused,) = poll([first], lambda _: time.monotonic() > until)
    first.resume(first.assignment())
    (resumed,) = poll([first], lambda came: came[0] == everything)
    first.close()
    print(f"{assignor}: lost {sorted(lent)} and got them back; reads {sorted(paused)}, after resume() {sorted(resumed)}")
    return paused


if any([tried(assignor) for assignor in ("range", "cooperative-sticky")]):
    sys.exit("changed: a partition that comes back from another consumer is not paused any more")
PY
"$folder/venv/bin/python" "$folder/try.py" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
