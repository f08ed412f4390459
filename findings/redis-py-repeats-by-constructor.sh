#!/usr/bin/env bash
# Whether redis-py sends a command again after its answer was lost depends on how the client was made: Redis(host, port)
# sends an INCR eleven times, Redis.from_url() with the same address sends it once.
#
# Package: redis 8.1.0 (redis-py).
# Seen, with a server that counts INCR and cuts the connection instead of answering: Redis(host=…, port=…).incr() reaches
# it 11 times and then raises ConnectionError; Redis.from_url("redis://…").incr() reaches it once. redis.asyncio.Redis
# does the same. The default policy of 10 retries is an argument of Redis(); from_url() makes a connection pool, which has
# none.
# Guess from memory: from_url() is another spelling of the same client, and a command that is not idempotent is sent once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet redis==8.1.0

cat >"$folder/try.py" <<'PY'
import asyncio
import contextlib
import socketserver
import sys
import threading

import redis
import redis.asyncio

counted = []


class Cutting(socketserver.BaseRequestHandler):
    """Greets clients, and cuts the connection once it has counted."""

    def handle(self):
        while data := self.request.recv(65_536):
            if b"INCR" in data:
                counted.append(1)
                return
            self.request.sendall(b"+OK\r\n" * max(1, data.count(b"CLIENT\r\n")))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def times(made):
    counted.clear()
    with contextlib.suppress(redis.ConnectionError):
        made.incr("k")
    return len(counted)


async def times_async(made):
    counted.clear()
    with contextlib.suppress(redis.ConnectionError):
        await made.incr("k")
    return len(counted)


server = Server(("127.0.0.1", 0), Cutting)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_address[1]
url = f"redis://127.0.0.1:{port}/0?protocol=2"
by_address = times(redis.Redis(host="127.0.0.1", port=port, protocol=2))
by_url = times(redis.Redis.from_url(url))
by_address_async = asyncio.run(times_async(redis.asyncio.Redis(host="127.0.0.1", port=port, protocol=2)))
by_url_async = asyncio.run(times_async(redis.asyncio.Redis.from_url(url)))
print(f"Redis(): {by_address} and {by_address_async} (async) times, from_url(): {by_url} and {by_url_async} (async)")
stated = (11, 11, 1, 1)
sys.exit(0 if (by_address, by_address_async, by_url, by_url_async) == stated else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/try.py"
