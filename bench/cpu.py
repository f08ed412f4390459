"""Which part of a bench uses the CPU: its own process, its servers, the shards."""

import os
from collections import defaultdict
from collections.abc import Mapping

import psutil

_PARTS = (
    ("bench.fast_provider", "providers"),
    ("kafka.Kafka", "broker"),
    ("tansu", "broker"),
    ("valkey", "redis"),
    ("redis-server", "redis"),
    ("clickhouse", "clickhouse"),
    ("-m flows", "shards"),
)
"""What a command line holds, and the part that it is counted to."""


def cpu_by_part() -> dict[str, float]:
    """Sum the seconds of CPU of this process and of all that it has started, by part."""
    found, this = defaultdict[str, float](float), psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        try:
            used = sum(process.cpu_times()[:2])
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        part = "events" if process.pid == os.getpid() else _part_of(line)
        found[part] += used
    return found


def us_an_item(before: Mapping[str, float], after: Mapping[str, float], items: int) -> dict[str, int]:
    """Give microseconds of CPU an item, by part."""
    return {part: round((used - before.get(part, 0.0)) / items * 1e6) for part, used in sorted(after.items())}


def _part_of(line: str) -> str:
    """Name the part of a command line.

    >>> _part_of("python -m bench.fast_provider --port=1"), _part_of("python -m something.else")
    ('providers', 'others')
    """
    return next((part for text, part in _PARTS if text in line), "others")
