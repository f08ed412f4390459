"""A write that the system refuses, for real: the process may not let its files grow."""

import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path

from tests.store.rig import Rig
from tocsin.errors import StateError
from tocsin.store.rocks import rocks_error

LIMIT_BYTES = 512 * 1024
TELLS_CURE = "the disk or its quota is full: free space and start again, nothing is lost"


def fill(path: Path) -> None:
    """Write until the store refuses; leave what Bytewax would have stored."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    rig = Rig(path / "shard")
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
    for number in range(100):
        rig.key_group().put(f"t/u{number}", f"{number}".ljust(20_000, "x"))
        try:
            rig.epoch()
        except StateError as error:
            sys.stdout.write(f"{number} {error}")
            rig.shard.close()  # an error of its own would hide the one that tells the cure
            break
    (path / "store").write_bytes(pickle.dumps(rig.store))


def test_a_refused_write_stops_the_shard_and_loses_nothing(tmp_path: Path) -> None:
    """The epoch that could not be applied is the last durable one: its row is the only copy, and is kept."""
    command = [sys.executable, "-m", "tests.store.test_disk_full", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    number, _, told = done.stdout.partition(" ")
    assert TELLS_CURE in told
    rig = Rig(tmp_path / "shard", store=pickle.loads((tmp_path / "store").read_bytes()))
    assert (rig.store.epoch or 0) == rig.base.meta.applied + 1 == int(number)
    found = [rig.key_group().get(f"t/u{user}") for user in range(int(number) + 1)]
    assert found == [f"{user}".ljust(20_000, "x") for user in range(int(number))] + [None]
    rig.shard.close()


def test_a_full_disk_is_told_from_other_troubles() -> None:
    full = rocks_error(Exception("IO error: No space left on device: While appending to file"), "written")
    other = rocks_error(Exception("IO error: Input/output error"), "written")
    assert TELLS_CURE in str(full)
    assert TELLS_CURE not in str(other)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
