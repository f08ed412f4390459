"""Delivery in a prototype of our own engine: Kafka, template, ledger, HTTP call, outcome, Kafka.

`python -m bench.peers.delivery_prototype BOOTSTRAP MESSAGES OUTCOMES PARTITIONS IN_FLIGHT REDIS PROVIDER DIR`
is one process.
Claims and marks of the ledger are batched per turn of the loop; Jinja2 renders; pyreqwest calls. It has no
retries, no order within a user, no time limits, no failover and one provider.
"""

import asyncio
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import jinja2
import msgspec
import redis.asyncio
import uvloop
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from confluent_kafka import Consumer, Producer, TopicPartition
from pyreqwest.client import ClientBuilder

_GROUPS = 16
_BATCH, _LEAST = 200, 50
_LEDGER_S = 86_400
_POLL = timedelta(milliseconds=2)
_TEMPLATE = Path(__file__).parent / "catalogs" / "job" / "templates" / "late" / "sms.j2"


class Message(msgspec.Struct, gc=False):
    id: str
    user: str
    to: str
    data: dict[str, Any]


Done = deque[tuple[Message, int, float]]
_decode = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.Encoder().encode


class Sender:
    """Claims, renders, calls and marks, on an asyncio loop in a thread of its own."""

    def __init__(self, redis_url: str, provider: str) -> None:
        self.loop = uvloop.new_event_loop()
        self._redis_url, self._url = redis_url, f"{provider}/v1/send"
        self._template = jinja2.Environment(autoescape=False).from_string(_TEMPLATE.read_text())
        self._claims: list[tuple[str, asyncio.Future[Any]]] = []
        self._marks: list[str] = []
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result()

    async def _start(self) -> None:
        self._client = await ClientBuilder().build().__aenter__()
        self._redis = redis.asyncio.Redis.from_url(self._redis_url)
        self._wake = asyncio.Event()
        self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(0.001)
            claims, self._claims = self._claims, []
            marks, self._marks = self._marks, []
            pipe = self._redis.pipeline(transaction=False)
            for key, _ in claims:
                pipe.set(key, b"claimed", nx=True, ex=_LEDGER_S)
            for key in marks:
                pipe.set(key, b"sent", ex=_LEDGER_S)
            answers = await pipe.execute()
            for (_, claim), answer in zip(claims, answers, strict=False):
                claim.set_result(answer)

    def submit(self, messages: list[Message], done: Done) -> None:
        for message in messages:
            self.loop.create_task(self._send(message, done))

    async def _send(self, message: Message, done: Done) -> None:
        start, claim = time.perf_counter(), self.loop.create_future()
        self._claims.append((message.id, claim))
        self._wake.set()
        status = await self._call(message) if await claim else 0
        done.append((message, status, time.perf_counter() - start))

    async def _call(self, message: Message) -> int:
        body = {"to": message.to, "body": self._template.render(data=message.data)}
        response = await self._client.post(self._url).body_json(body).build().send()
        await response.json()
        self._marks.append(message.id)
        self._wake.set()
        return int(response.status)


class Credits:
    """How many messages are outstanding, and how many may be."""

    def __init__(self, most: int) -> None:
        self.room = most


class Reader(StatefulSourcePartition[tuple[str, list[Message]], dict[int, int]]):
    """Reads as many messages as there are credits for."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, credits_: Credits) -> None:
        options = {"bootstrap.servers": bootstrap, "group.id": "prototype", "enable.auto.commit": False}
        self._consumer = Consumer({**options, "auto.offset.reset": "earliest"})
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        self._credits = credits_
        self._offsets: dict[int, int] = {}

    def next_batch(self) -> list[tuple[str, list[Message]]]:
        if self._credits.room < _LEAST:
            return []
        groups: dict[str, list[Message]] = defaultdict(list)
        for read in self._consumer.consume(min(_BATCH, self._credits.room), 0.001):
            message = _decode(read.value() or b"")
            groups[f"g{hash(message.user) % _GROUPS}"].append(message)
            self._offsets[read.partition() or 0] = (read.offset() or 0) + 1
            self._credits.room -= 1
        return list(groups.items())

    def snapshot(self) -> dict[int, int]:
        return dict(self._offsets)


class Deliver(StatefulBatchLogic[list[Message], list[bytes], list[Message]]):
    """Hands messages to the sender and collects what is done every 2 ms."""

    def __init__(self, sender: Sender, credits_: Credits) -> None:
        self._sender, self._credits = sender, credits_
        self._pending: dict[str, Message] = {}
        self._done: Done = deque()

    def on_batch(self, values: list[list[Message]]) -> tuple[list[list[bytes]], bool]:
        for messages in values:
            self._pending |= {message.id: message for message in messages}
            self._sender.loop.call_soon_threadsafe(self._sender.submit, messages, self._done)
        return self._drained(), False

    def on_notify(self) -> tuple[list[list[bytes]], bool]:
        return self._drained(), False

    def _drained(self) -> list[list[bytes]]:
        out: list[bytes] = []
        while self._done:
            message, status, took_s = self._done.popleft()
            del self._pending[message.id]
            self._credits.room += 1
            told = "sent" if status == 201 else str(status)
            out.append(_encode({"id": message.id, "status": told, "user": message.user, "took_s": took_s}))
        return [out] if out else []

    def notify_at(self) -> datetime | None:
        return datetime.now(UTC) + _POLL if self._pending else None

    def snapshot(self) -> list[Message]:
        return list(self._pending.values())


class Outcomes(StatefulSinkPartition[list[bytes], None]):
    """Writes outcomes; an epoch ends when all are acknowledged."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True}
        )

    def write_batch(self, values: list[list[bytes]]) -> None:
        for batch in values:
            self._producer.produce_batch(self._topic, [{"value": value} for value in batch])
        self._producer.poll(0)

    def snapshot(self) -> None:
        self._producer.flush()


class Source(FixedPartitionedSource[Any, Any]):
    def __init__(self, build: Callable[[], Reader]) -> None:
        self._build = build

    def list_parts(self) -> list[str]:
        return ["reader"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Reader:
        return self._build()


class Sink(FixedPartitionedSink[Any, Any]):
    def __init__(self, build: Callable[[], Outcomes]) -> None:
        self._build = build

    def list_parts(self) -> list[str]:
        return ["outcomes"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Outcomes:
        return self._build()


def main(bootstrap: str, messages: str, outcomes: str, *more: str) -> None:
    partitions, in_flight, redis_url, provider, folder = more
    sys.setswitchinterval(0.0005)
    recovery = Path(folder) / "recovery"
    recovery.mkdir(parents=True)
    init_db_dir(recovery, 1)
    sender, room = Sender(redis_url, provider), Credits(int(in_flight))
    flow = Dataflow("prototype")
    read: Any = op.input("in", flow, Source(lambda: Reader(bootstrap, messages, int(partitions), room)))
    sent: Any = op.stateful_batch("deliver", read, lambda _: Deliver(sender, room))
    keyed = op.map("key", sent, lambda item: ("outcomes", item[1]))
    op.output("out", keyed, Sink(lambda: Outcomes(bootstrap, outcomes)))
    epoch, config = timedelta(seconds=1), RecoveryConfig(str(recovery))
    cli_main(flow, epoch_interval=epoch, recovery_config=config)


if __name__ == "__main__":
    main(*sys.argv[1:])
