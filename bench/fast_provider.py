"""A provider that cannot be the limit: answers Twilio, FCM and SendGrid after a delay, and checks nothing.

`python -m bench.fast_provider --port P --delay-ms D [--record FILE] [--tls FOLDER] [--count]`, on 127.0.0.1,
with asyncio protocols on uvloop. With `--record` each call whose text holds `bench-NUMBER-` adds a line to a
file: the number, and the wall clock in ms. With `--tls` it uses the folder's certificate, made if it is not
there. With `--count` it prints how many connections it took when it is terminated.
"""

import argparse
import asyncio
import re
import signal
import ssl
import time
from pathlib import Path
from typing import TextIO, cast

import uvloop

_TWILIO = b'{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null}'
_SMS = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_TWILIO),
    _TWILIO,
)
_PUSH = b'{"name":"projects/tocsin-sandbox/messages/0:1700000000000000%0123456789abcdef"}'
_TOKEN = b'{"access_token":"bench","expires_in":3600,"token_type":"Bearer"}'
_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%s"
_NUMBER = re.compile(rb"bench-(\d+)-")
_MAIL = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: 0123456789abcdef\r\nContent-Length: 0\r\n\r\n"


class Answers(asyncio.Protocol):
    """Reads requests with a Content-Length; one at a time a connection, as HTTP/1.1 clients send them."""

    connections = 0

    def __init__(self, delay_s: float, record: TextIO | None = None) -> None:
        self._delay_s = delay_s
        self._record = record
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        Answers.connections += 1

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._data) >= end + 4 + length:
            answer = _answer_to(head)
            if self._record and (number := _NUMBER.search(self._data)):
                self._record.write(f"{number[1].decode()} {time.time() * 1000:.3f}\n")
            self._data = b""
            asyncio.get_running_loop().call_later(self._delay_s, self._answer, answer)

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


def _answer_to(head: bytes) -> bytes:
    if b"/v3/mail/send" in head:
        return _MAIL
    if b"/messages:send" in head:
        return _JSON % (len(_PUSH), _PUSH)
    return _JSON % (len(_TOKEN), _TOKEN) if b"/token" in head else _SMS


async def serve(port: int, delay_s: float, record: TextIO | None, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Answers(delay_s, record), "127.0.0.1", port, backlog=4096, ssl=tls
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


def _tls(folder: Path | None) -> ssl.SSLContext | None:
    """Build the server's context; imported here, for without TLS this runs beside any build."""
    if folder is None:
        return None
    from tocsin.devkit.sandbox.keys import tls_context

    return tls_context(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, default=50)
    parser.add_argument("--record", type=Path, help="file for the number and time of each call")
    parser.add_argument("--tls", type=Path, help="folder of the certificate")
    parser.add_argument("--count", action="store_true", help="print the number of connections at the end")
    arguments = parser.parse_args()
    record = arguments.record.open("w", buffering=1) if arguments.record else None
    uvloop.run(serve(arguments.port, arguments.delay_ms / 1000, record, _tls(arguments.tls)))
    if arguments.count:
        print(Answers.connections)


if __name__ == "__main__":
    main()
