"""docs/simulate.md shows a worked example: its commands run, and print what the page says."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.docs.repository import ROOT
from tests.golden import wire
from tests.golden.driver import Demo, home_of
from tests.simulation.recorded import history

_PAGE = (ROOT / "docs" / "simulate.md").read_text()
_SETTINGS = wire.Settings(
    catalog=str(ROOT / "examples" / "flights"), stream_clock=True, partitions=2, key_groups=8
)
_FIRST_MS = 1_790_000_000_000


def _lines() -> Iterator[wire.Line]:
    """The demo's first day for 40 passengers, as a broker has it that takes a record a millisecond."""
    demo = Demo(days=1, passengers=40, every=1, seed=2013)
    offsets: defaultdict[tuple[str, int], int] = defaultdict(int)
    records = [("profiles", one) for one in demo.profiles()] + [("events", one) for one in demo.events()]
    for number, (topic, one) in enumerate(records):
        place = topic, home_of(one.key, _SETTINGS.partitions)
        yield wire.Record(*place, offsets[place], _FIRST_MS + number, one.key, one.value, tuple(one.headers))
        offsets[place] += 1
        if number % 50 == 0:
            yield wire.Epoch(_FIRST_MS + number)


def _unversioned(text: str) -> str:
    """Leave out the hash of the catalog and the release of the zone data, which change with both."""
    return re.sub(r"catalog [0-9a-f]{12}-tz\S+", "catalog VERSION", text).strip()


def test_the_worked_example_prints_what_the_page_says(tmp_path: Path) -> None:
    section = _PAGE.partition("## A worked example")[2].partition("\n## ")[0]
    [commands, shown] = re.findall(r"```(?:sh)?\n(.*?)```", section, re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    history(tmp_path / "shard", _SETTINGS, _lines()).write(tmp_path / "history", "stream", 2)
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert _unversioned(done.stdout) == _unversioned(shown)
    assert (tmp_path / "report.html").read_text().count("<svg") == 3
