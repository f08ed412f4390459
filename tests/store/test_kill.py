"""A dataflow over the exact store, killed at random moments, against an unbroken run."""

import json
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from bytewax.errors import BytewaxRuntimeError

from tests.store.flow import dataflow, run
from tests.store.rig import IDENTITY, Text, World
from tocsin.errors import StateError
from tocsin.store import Shard

EVENTS = 9_000
GROWTHS = (0, 1, 1, 5_000, 20_000, 60_000)
"""How many bytes a process shows before it is killed, a moment later."""


def _run(path: Path, *kill: object) -> int:
    """Run the flow until it ends or kills itself; return its exit code."""
    command = [sys.executable, "-m", "tests.store.flow", str(path), str(EVENTS), *map(str, kill)]
    return subprocess.run(command, timeout=200, check=False).returncode


def _published(path: Path) -> dict[str, list[tuple[str, str]]]:
    """All copies of each record that arrived whole."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in (path / "published").read_text().splitlines():
        if line.endswith("]"):
            name, content, stamp = json.loads(line)
            found[name].append((content, stamp))
    return found


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_shows_what_an_unbroken_run_shows(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert _run(whole) == 0
    for growth in random.sample(GROWTHS, len(GROWTHS)):
        assert _run(broken, growth, random.uniform(0, 0.05)) == -signal.SIGKILL
    assert _run(broken) == 0
    expected, got = _published(whole), _published(broken)
    assert {name: copies[0][0] for name, copies in got.items()} == {
        name: copies[0][0] for name, copies in expected.items()
    }
    differing = [name for name, copies in got.items() if len(set(copies)) > 1]
    assert differing == []
    writers = {stamp.split()[0] for copies in got.values() for _, stamp in copies}
    assert len(writers) > 3, "too few processes got far enough for the kills to prove anything"


def test_a_flow_on_a_store_put_back_from_an_older_copy_is_refused(tmp_path: Path) -> None:
    shard: Shard[str] = Shard.open(tmp_path, identity=IDENTITY, codec=Text(), cache_users=9, publish=World())
    empty = (shard.recovery_dir / "part-0.sqlite3").read_bytes()
    run(dataflow(shard, 200), shard.recovery_dir)
    shard.finish()
    shard.close()
    (shard.recovery_dir / "part-0.sqlite3").write_bytes(empty)
    again: Shard[Any] = Shard.open(tmp_path, identity=IDENTITY, codec=Text(), cache_users=9, publish=World())
    with pytest.raises(BytewaxRuntimeError) as caught:
        run(dataflow(again, 200), again.recovery_dir)
    again.close()
    assert isinstance(caught.value.__cause__, StateError)
    assert "recovery store was lost or put back" in str(caught.value.__cause__)
