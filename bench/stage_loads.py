"""What `bench.stages` decides: the job of `bench.peers`, or the honest mix with one of its two catalogs."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from bench.fleet import Record
from bench.fleet import profiles as fleet_profiles
from bench.mixes import MIXES, write_mix_catalog
from bench.peers import workload

JOB: Final = Path(__file__).parent / "peers" / "catalogs" / "job"
_JOB_START_MS: Final = 1_750_000_000_000
_EVENTS_A_MS: Final = 10
Written: TypeAlias = tuple[str, int, bytes]
"""A user, the time of the record in ms, and its value."""


class Load(NamedTuple):
    """Profiles, and the events that are decided after them."""

    catalog: Path
    tenant: str
    profiles: Iterator[Written]
    events: Iterator[Written]


def _job(options: argparse.Namespace, folder: Path) -> Load:
    known = (
        (user, _JOB_START_MS - 1, json.dumps(profile).encode())
        for user, profile in workload.profiles(options.users)
    )
    number = options.warmup + options.events
    return Load(JOB, workload.TENANT, known, iter(workload.events(number, options.users, _JOB_START_MS)))


def _honest(options: argparse.Namespace, folder: Path) -> Load:
    """Take the mix at 10,000 events a second of event time: no timer is due meanwhile."""
    catalog = write_mix_catalog(folder / "catalog", "honest", full=options.catalog == "full")
    now_ms = int(time.time() * 1000)
    events = MIXES["honest"].events(options.users, options.warmup + options.events)
    return Load(catalog, "default", _timed(fleet_profiles(options.users), now_ms), _timed(events, now_ms))


def _timed(records: Iterator[Record], start_ms: int) -> Iterator[Written]:
    for number, (_, key, value) in enumerate(records):
        yield key.decode().partition("/")[2], start_ms + number // _EVENTS_A_MS, value


LOADS: Final[dict[str, Callable[[argparse.Namespace, Path], Load]]] = {
    "job": _job,
    "plain": _honest,
    "full": _honest,
}
