"""What a process tells malloc and the garbage collector, seen from outside."""

import subprocess
import sys

import pytest

# Twelve epochs of 8 MB in records of 700 bytes, and their pickle in one piece, each freed before the next.
_EPOCHS = """
import pickle, resource, sys
from flows.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def epochs(count):
    for _ in range(count):
        records = [bytes(700) for _ in range(12_000)]
        pickle.dumps(b"".join(records))

kept = keep_freed_memory() if sys.argv[1] == "keep" else False
epochs(4)
before = faults()
epochs(8)
print(int(kept), faults() - before)
"""


def _faults(mode: str) -> tuple[bool, int]:
    run = subprocess.run([sys.executable, "-c", _EPOCHS, mode], capture_output=True, text=True, check=True)
    kept, faults = map(int, run.stdout.split())
    return bool(kept), faults


def test_an_epoch_uses_the_memory_of_the_one_before() -> None:
    kept, faults = _faults("keep")
    if not kept:
        pytest.skip("this libc has no mallopt")
    _, untold = _faults("as it is")
    assert faults < untold / 4


# No server is there: each insert fails, and its exception holds what was to be inserted.
_FAILURES = """
import socket
from dashboards import store
from flows.memory import collect_seldom, collect_young
from sinks.clickhouse_store import ClickHouseLines
from tocsin.errors import SinkError

freed = []

class Body(bytes):
    def __del__(self):
        freed.append(1)

with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
lines = ClickHouseLines(lambda: store.connect(f"http://127.0.0.1:{port}/tocsin"))
collect_seldom()
for _ in range(20):
    try:
        lines.insert(Body(2 << 20))
    except SinkError:
        pass
before = len(freed)
collect_young()
print(before, len(freed))
"""


def test_failed_inserts_keep_what_they_were_to_insert_until_the_next_look_only() -> None:
    run = subprocess.run([sys.executable, "-c", _FAILURES], capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    assert before < 20, "nothing is kept any more: no process needs `collect_young`"
    assert after == 20
