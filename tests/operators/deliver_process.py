"""A delivery process to be killed: `python -m tests.operators.deliver_process FOLDER URL NAME POLICY [N]`.

NAME is that of this start, 16 characters; POLICY is what follows a call without an answer. With N it kills
itself at a moment of its Nth call: a test that did it from outside would come too late now and then.

Reads `FOLDER/input` (one JSON message a line; the line's number is its offset), sends through a provider
whose send log is `FOLDER/calls`, writes what it puts out to `FOLDER/out`. Ends when all is acknowledged.
"""

import asyncio
import base64
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from flows.housekeeping import every
from sinks.channels import channel_sink
from sources.acks import AckTracker
from tests.operators.delivery import QUICK, NoStats, plain, policy
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.channel import ChannelDelivery
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.queue import QueuePolicy
from tocsin.delivery.runtime import Runtime
from tocsin.errors import Rejected, Transient
from tocsin.model.content import Outgoing
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Channel
from tocsin.model.unanswered import OnUnknown
from tocsin.providers.base import Limits, Receipt

TOPIC = "messages.email.now"


def appending(path: Path) -> int:
    """Open for whole lines: a kill in the middle of a write leaves half a one, which no broker would keep."""
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class LoggingProvider:
    """Takes a message some time after the call and answers some time after that; fails by number."""

    name = "logging"
    channel = Channel.EMAIL
    limits = Limits(timeout_s=5)
    ask_after_s = 0.0

    def __init__(self, path: Path, calls: int = 0) -> None:
        self._path = path
        self._calls_left = calls
        self._log = appending(path)
        self._failed: set[str] = set()

    def accepts(self, message: object) -> bool:
        return True

    async def send(self, outgoing: Outgoing) -> Receipt:
        message = outgoing.message
        number = message.origin.offset
        await asyncio.sleep(number % 5 / 500)
        if number % 11 == 0:
            raise Rejected("no")
        if number % 7 == 0 and message.message_id not in self._failed:
            self._failed.add(message.message_id)
            raise Transient("busy")
        os.write(self._log, f"{message.user} {number} {message.message_id}\n".encode())
        self._calls_left -= 1
        if not self._calls_left:
            threading.Timer(number % 7 / 500, os.kill, (os.getpid(), signal.SIGKILL)).start()
            await asyncio.sleep(60)
        await asyncio.sleep(number % 3 / 200)
        return Receipt(f"id-{number}")

    async def find(self, outgoing: Outgoing, since_ms: int) -> Receipt | None:
        number = outgoing.message.origin.offset
        found = f" {outgoing.message.message_id}\n".encode() in self._path.read_bytes()
        return Receipt(f"id-{number}") if found else None

    async def close(self) -> None:
        """Nothing to give back."""


class LinesPartition(StatefulSourcePartition[tuple[str, list[RawRecord]], int]):
    """Hands lines out while the channel allows it; its state is the oldest unfinished one."""

    def __init__(
        self, lines: list[bytes], start: int | None, acks: AckTracker, room: Callable[[], int]
    ) -> None:
        self._lines = lines
        self._next = start or 0
        self._start = start or 0
        self._acks = acks
        self._room = room
        self.gap = False

    def next_batch(self) -> list[tuple[str, list[RawRecord]]]:
        self.gap = False
        if self._next == len(self._lines) and (self._acks.low(TOPIC, 0) or 0) == self._next:
            raise StopIteration
        end = min(self._next + min(50, self._room()), len(self._lines))
        batch = [self._record(offset) for offset in range(self._next, end)]
        self._next = end
        return [("key_group", batch)] if batch else []

    def snapshot(self) -> int:
        self.gap = True
        low = self._acks.low(TOPIC, 0)
        return self._start if low is None else low

    def _record(self, offset: int) -> RawRecord:
        self._acks.read(TOPIC, 0, offset)
        line = self._lines[offset]
        user = json.loads(line)["user"]
        return RawRecord(TOPIC, 0, offset, 4_000, f"acme/{user}".encode(), line, ())


class LinesSource(FixedPartitionedSource[tuple[str, list[RawRecord]], int]):
    def __init__(self, lines: list[bytes], acks: AckTracker, room: Callable[[], int]) -> None:
        self._open: Callable[[int | None], LinesPartition] = lambda start: LinesPartition(
            lines, start, acks, room
        )
        self.part: LinesPartition | None = None

    def list_parts(self) -> list[str]:
        return ["lines"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> LinesPartition:
        self.part = self._open(resume_state)
        return self.part

    def in_gap(self) -> bool:
        return self.part is not None and self.part.gap


class FileSink(FixedPartitionedSink[list[OutRecord], None], StatefulSinkPartition[list[OutRecord], None]):
    """Appends records to a file before the epoch can close."""

    def __init__(self, path: Path) -> None:
        self._file = appending(path)

    def list_parts(self) -> list[str]:
        return ["outbox"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "FileSink":
        return self

    def write_batch(self, values: list[list[OutRecord]]) -> None:
        lines = [as_line(record) for records in values for record in records]
        os.write(self._file, "".join(lines).encode())

    def snapshot(self) -> None:
        return None


def as_line(record: OutRecord) -> str:
    packed = [record.topic, text(record.key), text(record.value), [[k, text(v)] for k, v in record.headers]]
    return json.dumps(packed) + "\n"


def text(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode()


def ending_with(parent: int) -> Callable[[], None]:
    """Make a task that ends this process once the test that started it is gone, even by a kill."""

    def look() -> None:
        if os.getppid() != parent:
            os._exit(1)

    return look


def main(folder: Path, redis_url: str, incarnation: str, on_unknown: OnUnknown, calls: int = 0) -> None:
    runtime = Runtime()
    runtime.start()
    provider = LoggingProvider(folder / "calls", calls)
    channel = ChannelDelivery(
        policy(
            queue=QueuePolicy(credits=24, buffered=100),
            attempt=AttemptPolicy(retry=QUICK, on_unknown=on_unknown),
        ),
        runtime=runtime,
        ledger=Ledger(LedgerPolicy(url=redis_url, prefix="t:"), incarnation),
        render=plain,
        providers_for=lambda _: [provider],
        stats=NoStats(),
    )
    acks = AckTracker()
    lines = (folder / "input").read_bytes().splitlines()
    source = LinesSource(lines, acks, lambda: channel.allowance(TOPIC))
    flow = Dataflow("deliver")
    up: Any = op.input("lines", flow, source)
    out = channel_sink("email", up, channel=channel, done=acks.done, in_gap=source.in_gap)
    op.output("outbox", out, FileSink(folder / "out"))
    recovery = RecoveryConfig(folder / "store")
    with every(1.0, ending_with(os.getppid())):
        cli_main(flow, epoch_interval=timedelta(milliseconds=30), recovery_config=recovery)
    runtime.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], cast("OnUnknown", sys.argv[4]), *map(int, sys.argv[5:]))
