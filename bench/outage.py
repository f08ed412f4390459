"""Requests a second around an outage: `python -m bench.outage [--json] [--rate R] [--outage S] [--kind K]`.

Five channels get R messages a second each, one in fifty critical, for 15 s. Then the provider of each fails
for S seconds in its own way, and is watched for twice as long:

| kind | during the outage | afterwards |
|---|---|---|
| 503 | answers 503 at once | as before |
| dropped | closes the connection without an answer | as before |
| slow | takes each message, and answers after 20 s | as before |
| quota | answers 503 at once | answers 429 beyond twice the rate before |
| steady | answers as before | as before |

The last one has no outage: it is a channel beside the others. Its latency, from message to outcome, during
the outage of the others is compared with that before.

The channel, the ledger (an embedded Valkey) and the Twilio adapter are those of the product. The bench stands
in for Kafka, and for the gate: what is returned comes again when it is due.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections import Counter, deque
from heapq import heappop, heappush
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import uvloop

from bench.deliver.accounts import Server, account_of
from bench.deliver.contenders import ROOT
from bench.deliver.messages import bodies_of, encode
from bench.deliver.worker import CallCounts, percentiles, provider_of, renderer
from tocsin.delivery.channel import ChannelDelivery, channel_policy
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.devkit.servers import REDIS, Servers
from tocsin.model import topics
from tocsin.model.message import Retry
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Channel

KINDS = ("503", "dropped", "slow", "quota", "steady")
NOW = topics.messages("sms")
_SET_UP_S, _BEFORE_S = 20, 15
_SLOW_S, _DELAY_S, _TURN_S = 20.0, 0.05, 0.005
_TAKEN = b'{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null}'
_outcomes = msgspec.json.Decoder(Outcome)
_retries = msgspec.json.Decoder(Retry)


class Schedule(NamedTuple):
    """When the outage of a kind begins and ends, by the monotonic clock that all processes share."""

    kind: str
    began_s: float
    outage_s: int
    rate: int

    @property
    def down_s(self) -> float:
        """When the outage begins."""
        return self.began_s + _BEFORE_S

    @property
    def back_s(self) -> float:
        """When it ends."""
        return self.down_s + self.outage_s


class Provider:
    """A server that answers by a schedule, and counts requests by second."""

    def __init__(self, schedule: Schedule) -> None:
        self.taken = 0
        self.requests: Counter[int] = Counter()
        self._schedule = schedule

    def answer(self) -> tuple[float, bytes] | None:
        """Return delay and answer of the request that has come; None to close its connection."""
        at, now_s = self._schedule, time.monotonic()
        second = int(now_s - at.began_s)
        self.requests[second] += 1
        down = at.down_s <= now_s < at.back_s and at.kind != "steady"
        if down and at.kind in ("503", "quota"):
            return _DELAY_S, _http("503 Service Unavailable", b"{}")
        if down and at.kind == "dropped":
            return None
        if at.kind == "quota" and now_s >= at.back_s and self.requests[second] > 2 * at.rate:
            return _DELAY_S, _http("429 Too Many Requests", b'{"code":20429}', b"Retry-After: 1\r\n")
        self.taken += 1
        return _SLOW_S if down and at.kind == "slow" else _DELAY_S, _http("201 Created", _TAKEN)

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


class ChannelRun:
    """One channel with its provider, and the topic and gate that the bench stands in for."""

    def __init__(self, schedule: Schedule, channel: ChannelDelivery, counts: CallCounts) -> None:
        self.at = schedule
        self.channel = channel
        self.counts = counts
        self.resent = 0
        self.drained_s = 0.0
        self.waits: dict[str, list[float]] = {"critical": [], "new": []}
        self.latency: dict[str, list[float]] = {"before": [], "during": []}
        self._topic: deque[RawRecord] = deque()
        self._returned: list[tuple[int, int, RawRecord]] = []
        self._made: dict[str, tuple[float, bool]] = {}
        self._offset = 0
        self._bodies = bodies_of("sms")

    @property
    def open(self) -> int:
        """Messages without an end."""
        return len(self._made)

    @property
    def ended(self) -> int:
        """Messages with an end."""
        return self._offset - self.open

    def make(self, now_s: float) -> None:
        """Write the messages due by now."""
        while self._offset < (now_s - self.at.began_s) * self.at.rate:
            number = b"%s-%d" % (self.at.kind.encode(), self._offset)
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
        now_ms, now_s = time.time_ns() // 1_000_000, time.monotonic()
        while self._returned and self._returned[0][0] <= now_ms:
            self._topic.append(heappop(self._returned)[2])
        most = min(100, self.channel.allowance(NOW), len(self._topic))
        self.channel.accept([self._topic.popleft() for _ in range(most)])
        self.channel.advance()
        for record in self.channel.take_output()[0]:
            self._take(record)
        if now_s >= self.at.back_s and not self.drained_s and self.open <= self.at.rate // 4:
            self.drained_s = now_s - self.at.back_s

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
        ended_s = time.monotonic()
        if self.at.began_s + 5 <= made_s < self.at.back_s:
            self.latency["before" if ended_s < self.at.down_s else "during"].append(ended_s - made_s)
        if ended_s < self.at.back_s or self.drained_s:
            return
        if critical:
            self.waits["critical"].append(ended_s - max(made_s, self.at.back_s))
        elif made_s > self.at.back_s:
            self.waits["new"].append(ended_s - made_s)


def _serve(schedules: list[Schedule], pipe: Pipe) -> None:
    """Run the providers of these schedules here until told to stop; then tell what they counted."""
    uvloop.run(_serving(schedules, pipe))


async def _serving(schedules: list[Schedule], pipe: Pipe) -> None:
    loop, providers = asyncio.get_running_loop(), [Provider(schedule) for schedule in schedules]
    servers = [await loop.create_server(each.connection, "127.0.0.1", 0) for each in providers]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    await loop.run_in_executor(None, pipe.recv)
    pipe.send([(each.taken, dict(each.requests)) for each in providers])


def _channel_run(schedule: Schedule, port: int, runtime: Runtime, redis_url: str) -> ChannelRun:
    account = account_of("sms", Server(f"http://127.0.0.1:{port}"), Path(), 512)
    provider, counts = provider_of(account), CallCounts()
    channel = ChannelDelivery(
        channel_policy(Channel.SMS, in_flight=256),
        runtime=runtime,
        ledger=Ledger(LedgerPolicy(url=redis_url, prefix=f"{schedule.kind}:"), "b" * 16),
        render=renderer(ROOT / "examples/flights").render,
        providers_for=lambda _: [provider],
        stats=counts,
    )
    return ChannelRun(schedule, channel, counts)


def run(arguments: argparse.Namespace, redis_url: str) -> list[dict[str, Any]]:
    began_s, kinds = time.monotonic() + _SET_UP_S, arguments.kind or KINDS
    schedules = [Schedule(kind, began_s, arguments.outage, arguments.rate) for kind in kinds]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(schedules, theirs), daemon=True)
    server.start()
    runtime = Runtime()
    runtime.start()
    ports = zip(schedules, ours.recv(), strict=True)
    runs = [_channel_run(schedule, port, runtime, redis_url) for schedule, port in ports]
    end_s = schedules[0].back_s + 2 * arguments.outage
    while (now_s := time.monotonic()) < end_s:
        for each in runs:
            each.make(now_s)
            each.turn()
        time.sleep(_TURN_S)
    ours.send("stop")
    figures = [_figures(each, *counted) for each, counted in zip(runs, ours.recv(), strict=True)]
    runtime.stop()
    return figures


def _figures(each: ChannelRun, taken: int, requests: dict[int, int]) -> dict[str, Any]:
    outage_s = each.at.outage_s
    seconds = [requests.get(second, 0) for second in range(_BEFORE_S + 3 * outage_s)]
    before, during = seconds[5:_BEFORE_S], seconds[_BEFORE_S : _BEFORE_S + outage_s]
    after = seconds[_BEFORE_S + outage_s :]
    usual = sum(before) / len(before)
    if each.at.kind == "steady":
        return _beside(each.latency)
    return {
        "kind": each.at.kind,
        "before_per_s": round(usual, 1),
        "during_per_s": round(sum(during) / len(during), 2),
        "peak_after_per_s": max(after),
        "peak_over_before": round(max(after) / usual, 2),
        "drained_after_s": round(each.drained_s, 1) or None,
        "allowed_s": 2 * outage_s,
        "refused": each.counts.results["throttled"],
        "taken_twice": max(0, taken - each.ended),
        "marked_resent": each.resent,
        "critical_wait_s": percentiles(each.waits["critical"] or [0.0]),
        "new_wait_s": percentiles(each.waits["new"] or [0.0]),
        "by_second_after": after[:: max(1, len(after) // 24)],
    }


def _beside(latency: dict[str, list[float]]) -> dict[str, Any]:
    """Compare the latency of a channel before and during the outage of others."""
    found = {when: percentiles([wait * 1_000 for wait in waits] or [0.0]) for when, waits in latency.items()}
    p99 = {when: sorted(waits)[len(waits) * 99 // 100] if waits else 0.0 for when, waits in latency.items()}
    ratio = round(p99["during"] / p99["before"], 2) if p99["before"] else None
    return {"kind": "steady", **{f"{when}_ms": each for when, each in found.items()}, "p99_ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=int, default=60)
    parser.add_argument("--outage", type=int, default=60)
    parser.add_argument("--kind", choices=KINDS, action="append")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), {REDIS}) as servers:
        found = run(arguments, servers.settings["TOCSIN_REDIS"])
    if arguments.json:
        print(json.dumps(found))
        return
    for figures in found:
        print(figures.pop("kind"))
        for name, value in figures.items():
            print(f"  {name:18} {value}")


if __name__ == "__main__":
    main()
