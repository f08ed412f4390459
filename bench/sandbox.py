"""Ceiling of the provider sandbox: `python -m bench.sandbox [--seconds S] [--connections C] [--json]`.

The sandbox runs in a process of its own; raw clients here repeat one right request a provider on connections
kept open. Its CPU a request is what other benchmarks have to leave to it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import httpx2
import jwt
import psutil
import uvloop

from tests.sandbox.box import ACCOUNT, DEVICE, assertion, mail_document, push_document

FORM = "application/x-www-form-urlencoded"


def http_request(path: str, authorization: str, body: bytes, kind: str = "application/json") -> bytes:
    """Build one HTTP/1.1 request."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: sandbox\r\nauthorization: {authorization}\r\n"
        f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Repeater(asyncio.Protocol):
    """Sends one request again as soon as its answer is whole (answers are small: one read)."""

    def __init__(self, request: bytes, ok: bytes) -> None:
        self._request = request
        self._ok = ok
        self._sent_s = 0.0
        self.latencies_s: list[float] = []
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._sent_s = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not data.startswith(self._ok):
            raise RuntimeError(data)
        self.latencies_s.append(time.perf_counter() - self._sent_s)
        if self.running:
            self._send()


class Http2Repeater(asyncio.Protocol):
    """The same over HTTP/2, some streams at a time on one connection."""

    def __init__(self, headers: list[tuple[str, str]], body: bytes, streams: int) -> None:
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration())
        self._headers, self._body, self._streams = headers, body, streams
        self._sent_s: dict[int, float] = {}
        self.latencies_s: list[float] = []
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._h2.initiate_connection()
        for _ in range(self._streams):
            self._send()
        self._transport.write(self._h2.data_to_send())

    def _send(self) -> None:
        number = self._h2.get_next_available_stream_id()
        self._sent_s[number] = time.perf_counter()
        self._h2.send_headers(number, self._headers)
        self._h2.send_data(number, self._body, end_stream=True)

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived) and (b":status", b"200") not in event.headers:
                raise RuntimeError(event.headers)
            if isinstance(event, h2.events.StreamEnded):
                self.latencies_s.append(time.perf_counter() - self._sent_s.pop(event.stream_id))
                if self.running:
                    self._send()
        self._transport.write(self._h2.data_to_send())


def requests(folder: Path, url: str) -> dict[str, tuple[bytes, bytes]]:
    """Build a right request for each HTTP/1.1 provider, and how its answer begins."""
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion(folder)}
    token = httpx2.post(f"{url}/fcm/token", data=grant).json()["access_token"]
    html = "<p>Your flight UA 1545 leaves from gate 12 in 40 minutes.</p>" * 40
    content = [{"type": "text/plain", "value": html[:600]}, {"type": "text/html", "value": html}]
    mail = json.dumps(mail_document(content=content)).encode()
    sms = b"To=%2B4915112345678&From=%2B15005550006&Body=Your+flight+UA+1545+leaves+from+gate+12"
    sms += b"&StatusCallback=https%3A%2F%2Fexample.org%2Fcb%3Fmessage_id%3D" + b"0" * 32
    push = json.dumps({"message": push_document()}).encode()
    login = httpx2.BasicAuth(ACCOUNT, "token")._auth_header  # noqa: SLF001 - the encoded login
    path = f"/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    return {
        "sendgrid": (http_request("/sendgrid/v3/mail/send", "Bearer SG.x", mail), b"HTTP/1.1 202"),
        "twilio": (http_request(path, login, sms, FORM), b"HTTP/1.1 201"),
        "fcm": (
            http_request("/fcm/v1/projects/tocsin-sandbox/messages:send", f"Bearer {token}", push),
            b"HTTP/1.1 200",
        ),
    }


def apns_headers(folder: Path) -> list[tuple[str, str]]:
    """Build the headers of a right push to Apple."""
    claims = {"iss": "TOCSINTEAM", "iat": int(time.time())}
    token = jwt.encode(claims, (folder / "apns.p8").read_text(), "ES256", headers={"kid": "TOCSIN0KEY"})
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "sandbox"),
        (":path", f"/3/device/{DEVICE}"),
        ("authorization", f"bearer {token}"),
        ("apns-topic", "org.example.fly"),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
    ]


def _same(protocol: asyncio.Protocol) -> asyncio.Protocol:
    return protocol


async def run_for(repeaters: list[Any], seconds: float, server: psutil.Process) -> dict[str, float]:
    """Let the clients run, the first fifth as warm-up; give rate, latency and the server's CPU."""
    await asyncio.sleep(seconds / 5)
    for repeater in repeaters:
        repeater.latencies_s.clear()
    began, before = time.perf_counter(), sum(server.cpu_times()[:2])
    await asyncio.sleep(seconds)
    took, cpu = time.perf_counter() - began, sum(server.cpu_times()[:2]) - before
    latencies = sorted(value for repeater in repeaters for value in repeater.latencies_s)
    for repeater in repeaters:
        repeater.running = False
    count = len(latencies)
    return {
        "per_s": round(count / took),
        "p50_ms": round(latencies[count // 2] * 1000, 2),
        "p99_ms": round(latencies[count * 99 // 100] * 1000, 2),
        "cpu_us": round(cpu / count * 1e6),
        "per_s_of_a_core": round(count / cpu),
    }


async def measure(
    folder: Path, addresses: dict[str, Any], pid: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Measure each provider in turn."""
    loop, server, results = asyncio.get_running_loop(), psutil.Process(pid), {}
    host, _, port = addresses["http"].removeprefix("http://").partition(":")
    for name, (request, ok) in requests(folder, addresses["http"]).items():
        repeaters: list[Any] = [Repeater(request, ok) for _ in range(args.connections)]
        for repeater in repeaters:
            await loop.create_connection(partial(_same, repeater), host, int(port))
        results[name] = await run_for(repeaters, args.seconds, server)
    body, port = (
        json.dumps({"aps": {"alert": {"title": "Boarding", "body": "Gate 12"}}}).encode(),
        addresses["h2"],
    )
    streams = [Http2Repeater(apns_headers(folder), body, args.connections // 4) for _ in range(4)]
    for stream in streams:
        await loop.create_connection(partial(_same, stream), host, int(port.rpartition(":")[2]))
    results["apns"] = await run_for(streams, args.seconds, server)
    return results


def main() -> None:
    """Start a sandbox, measure it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tocsin.devkit.sandbox", f"--dir={folder}", "--h2-port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                addresses = json.loads(process.stdout.readline())
                results = uvloop.run(measure(Path(folder), addresses, process.pid, args))
            finally:
                process.terminate()
    if args.json:
        print(json.dumps(results))
        return
    for name, figures in results.items():
        print(name, *(f"{key}={value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
