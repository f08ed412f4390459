"""Requests a second around an outage: `python -m bench.outage [--json] [--rate R] [--outage S] [--kind K]`.

Four channels get R messages a second each, one in fifty critical, for 15 s. Then the provider of each fails
for S seconds in its own way, and is watched for twice as long:

| kind | during the outage | afterwards |
|---|---|---|
| 503 | answers 503 at once | as before |
| dropped | closes the connection without an answer | as before |
| slow | takes each message, and answers after 20 s | as before |
| quota | answers 503 at once | answers 429 beyond twice the rate before |

The channel, the ledger (an embedded Valkey) and the Twilio adapter are those of the product. The bench stands
in for Kafka, and for the gate: what is returned is fed again when it is due.
"""

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, cast

import msgspec

from bench.deliver import CallCounts, bodies_of, encode, percentiles, provider_of, renderer
from tocsin.delivery.channel import ChannelDelivery, channel_policy
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.devkit.servers import REDIS, Servers
from tocsin.model import topics
from tocsin.model.message import Retry
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Channel

KINDS = ("503", "dropped", "slow", "quota")
NOW = topics.messages("sms")
_BEFORE_S, _SLOW_S, _DELAY_S, _TURN_S = 15, 20.0, 0.05, 0.005
_TAKEN = b'{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null}'
_outcomes = msgspec.json.Decoder(Outcome)
_retries = msgspec.json.Decoder(Retry)


class Provider:
    """A server that answers as it is told, and counts requests by second."""

    def __init__(self, began_s: float) -> None:
        self.mode = "ok"
        self.quota = 0
        self.taken = 0
        self.requests: Counter[int] = Counter()
        self._began_s = began_s

    def answer(self) -> tuple[float, bytes] | None:
        """Return delay and answer of the request that has come; None to close its connection."""
        second = int(time.monotonic() - self._began_s)
        self.requests[second] += 1
        if self.mode == "503":
            return _DELAY_S, _http("503 Service Unavailable", b"{}")
        if self.mode == "dropped":
            return None
        if self.quota and self.requests[second] > self.quota:
            return _DELAY_S, _http("429 Too Many Requests", b'{"code":20429}', b"Retry-After: 1\r\n")
        self.taken += 1
        return _SLOW_S if self.mode == "slow" else _DELAY_S, _http("201 Created", _TAKEN)

    def connection(self) -> asyncio.Protocol:
        """Serve one connection."""
        return Connection(self)


def _http(status: str, body: bytes, more: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + more + b"\r\n" + body


class Connection(asyncio.Protocol):
    """Reads one request at a time."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        self._data = b""
        answer = self._provider.answer()
        if answer is None:
            self._transport.abort()
        else:
            asyncio.get_running_loop().call_later(answer[0], self._write, answer[1])

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


class Lane:
    """One channel with its provider, and the topic and gate that the bench stands in for."""

    def __init__(self, kind: str, began_s: float, rate: int) -> None:
        self.kind = kind
        self.provider = Provider(began_s)
        self.counts = CallCounts()
        self.resent = 0
        self.drained_s = 0.0
        self.waits: dict[str, list[float]] = {"critical": [], "new": []}
        self._rate = rate
        self._topic: deque[RawRecord] = deque()
        self._returned: list[tuple[int, int, RawRecord]] = []
        self._made: dict[str, tuple[float, bool]] = {}
        self._offset = 0
        self._bodies = bodies_of("sms")
        self.channel: ChannelDelivery
        self.back_s = 0.0

    @property
    def open(self) -> int:
        """Messages without an end."""
        return len(self._made)

    def make(self, elapsed_s: float) -> None:
        """Write the messages due by now."""
        while self._offset < elapsed_s * self._rate:
            number = b"%s-%d" % (self.kind.encode(), self._offset)
            critical = self._offset % 50 == 0
            body = self._bodies[self._offset % len(self._bodies)]
            body = body.replace(b"NUMBER", number).replace(b"USER", b"u" + number)
            if critical:
                body = body.replace(b"{", b'{"priority":"critical",', 1)
            self._made[number.decode()] = (time.monotonic(), critical)
            self._put(b"default/u" + number, body)

    def _put(self, key: bytes, body: bytes) -> None:
        self._topic.append(RawRecord(NOW, 0, self._offset, time.time_ns() // 1_000_000, key, body, ()))
        self._offset += 1

    def turn(self) -> None:
        """Go on as a worker does."""
        now_ms = time.time_ns() // 1_000_000
        while self._returned and self._returned[0][0] <= now_ms:
            self._topic.append(heappop(self._returned)[2])
        most = min(100, self.channel.allowance(NOW), len(self._topic))
        self.channel.accept([self._topic.popleft() for _ in range(most)])
        self.channel.advance()
        for record in self.channel.take_output()[0]:
            self._take(record)

    def _take(self, record: OutRecord) -> None:
        if record.topic == topics.RETRIES:
            retry = _retries.decode(record.value or b"")
            message = msgspec.structs.replace(retry.message, decided_ms=retry.due_ms)
            again = RawRecord(NOW, 0, 0, retry.due_ms, record.key, encode(message), ())
            heappush(self._returned, (retry.due_ms, id(again), again))
        elif record.topic == topics.OUTCOMES:
            line = _outcomes.decode(record.value or b"")
            if line.status in ("sent", "dead") and line.message_id in self._made:
                self._end(line)

    def _end(self, line: Outcome) -> None:
        made_s, critical = self._made.pop(line.message_id)
        self.resent += line.reason == "resent_after_unknown"
        if self.back_s and not self.drained_s:
            ended_s = time.monotonic()
            if critical:
                self.waits["critical"].append(ended_s - max(made_s, self.back_s))
            elif made_s > self.back_s:
                self.waits["new"].append(ended_s - made_s)


def _serve(lanes: list[Lane]) -> list[int]:
    """Start the providers on a loop of their own; return their ports."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def start() -> list[int]:
        made = [await loop.create_server(lane.provider.connection, "127.0.0.1", 0) for lane in lanes]
        return [server.sockets[0].getsockname()[1] for server in made]

    return asyncio.run_coroutine_threadsafe(start(), loop).result(10)


def _channel(lane: Lane, port: int, runtime: Runtime, ledger: Ledger) -> ChannelDelivery:
    provider = provider_of("sms", port, 512)
    return ChannelDelivery(
        channel_policy(Channel.SMS, in_flight=256),
        runtime=runtime,
        ledger=ledger,
        render=renderer().render,
        providers_for=lambda _: [provider],
        stats=lane.counts,
    )


def run(arguments: argparse.Namespace, redis_url: str) -> Iterator[dict[str, Any]]:
    runtime, began_s = Runtime(), time.monotonic()
    runtime.start()
    lanes = [Lane(kind, began_s, arguments.rate) for kind in arguments.kind or KINDS]
    for number, (lane, port) in enumerate(zip(lanes, _serve(lanes), strict=True)):
        ledger = Ledger(LedgerPolicy(url=redis_url, prefix=f"bench{number}:"), "b" * 16)
        lane.channel = _channel(lane, port, runtime, ledger)
    ends = (_BEFORE_S, _BEFORE_S + arguments.outage, _BEFORE_S + 3 * arguments.outage)
    while (elapsed_s := time.monotonic() - began_s) < ends[2]:
        for lane in lanes:
            _switch(lane, elapsed_s, ends, arguments.rate)
            lane.make(elapsed_s)
            lane.turn()
        time.sleep(_TURN_S)
    for lane in lanes:
        yield _figures(lane, ends)
    runtime.stop()


def _switch(lane: Lane, elapsed_s: float, ends: tuple[int, int, int], rate: int) -> None:
    """Let the outage of a lane begin and end."""
    during = ends[0] <= elapsed_s < ends[1]
    lane.provider.mode = ("503" if lane.kind == "quota" else lane.kind) if during else "ok"
    if elapsed_s >= ends[1]:
        lane.back_s = lane.back_s or time.monotonic()
        lane.provider.quota = 2 * rate if lane.kind == "quota" else 0
        if not lane.drained_s and lane.open <= rate // 4:
            lane.drained_s = elapsed_s - ends[1]


def _figures(lane: Lane, ends: tuple[int, int, int]) -> dict[str, Any]:
    seconds = [lane.provider.requests[second] for second in range(ends[2])]
    before, during, after = seconds[5 : ends[0]], seconds[ends[0] : ends[1]], seconds[ends[1] :]
    usual = sum(before) / len(before)
    ended = lane._offset - lane.open  # noqa: SLF001 - of this module
    return {
        "kind": lane.kind,
        "before_per_s": round(usual, 1),
        "during_per_s": round(sum(during) / len(during), 2),
        "peak_after_per_s": max(after),
        "peak_over_before": round(max(after) / usual, 2),
        "drained_after_s": round(lane.drained_s, 1) or None,
        "allowed_s": ends[2] - ends[1],
        "refused": lane.counts.results["throttled"],
        "taken_twice": max(0, lane.provider.taken - ended),
        "marked_resent": lane.resent,
        "critical_wait_s": percentiles(lane.waits["critical"] or [0.0]),
        "new_wait_s": percentiles(lane.waits["new"] or [0.0]),
        "by_second_after": after[:: max(1, len(after) // 24)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=int, default=60)
    parser.add_argument("--outage", type=int, default=60)
    parser.add_argument("--kind", choices=KINDS, action="append")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), {REDIS}) as servers:
        found = list(run(arguments, servers.settings["TOCSIN_REDIS"]))
    if arguments.json:
        print(json.dumps(found))
        return
    for figures in found:
        print(figures.pop("kind"))
        for name, value in figures.items():
            print(f"  {name:18} {value}")


if __name__ == "__main__":
    main()
