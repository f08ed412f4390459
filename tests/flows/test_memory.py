"""What a process tells malloc, seen from outside: how often the kernel must map a page for it again."""

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
