"""The exact store alone, inside Bytewax: `python -m bench.state --users 1000000 --rate 1000 --json`.

Loads users with records of some 400 B into one shard, starts anew on them and touches random ones at the
given rate, one read, write and outgoing record an event, some with a timer. With `--timers 5` each user has
five open timers of 400 B, of which an event moves one, and a record that names them. An epoch's close is the
time in which the source may not read: from its `snapshot()` to the next `next_batch()`. Then a tenth of the
users runs at the same rate, so that `close_vs_tenth` tells whether the close grows with what is held.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import bytewax.operators as op
import msgspec
import psutil
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from bench.reference import Reference
from bench.targets import Target, told
from sources.partitioner import key_group_of, partition_of
from tocsin.store import Identity, KeyGroup, Shard

IDENTITY = Identity(cluster="bench", topics={}, partitions=16, key_groups=8)
WARM_UP_S = 3.0
TIMER_EVERY = 20
BATCH = 4_000
Bundle = tuple[str, list[str]]
HELD = b'{"event":{"id":"0123456789","type":"order.shipped","data":{"order":"A-1","items":3}}}' * 5
COMMON = b'{"locale":"de-AT","timezone":"Europe/Vienna","preferences":{"enabled":true,"categories":{' * 2


class User(msgspec.Struct, array_like=True, gc=False):
    """Some 400 B encoded, and 100 B for each open timer."""

    profile: bytes
    seen: tuple[int, ...] = ()
    holds: tuple[bytes, ...] = ()


class Records:
    """Codec of `User`."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(User)

    def encode(self, record: User) -> bytes:
        return self._encoder.encode(record)

    def decode(self, data: bytes) -> User:
        return self._decoder.decode(data)


class Nowhere:
    """A publisher that counts."""

    def __init__(self) -> None:
        self.shown = 0

    def publish(self, records: Sequence[Any]) -> None:
        self.shown += len(records)

    def confirm(self, timeout_s: float) -> None:
        pass


class Options(NamedTuple):
    """What to run. The load runs first, in a process of its own."""

    users: int
    rate: int
    seconds: float
    epoch_ms: int
    cache_users: int
    path: Path
    timers: int


class Meter:
    """What the source measures, warm-up aside."""

    def __init__(self) -> None:
        self.opened = time.perf_counter()
        self.first_batch = 0.0
        self.warm_since = 0.0
        self.close_ms: list[float] = []
        self.events = 0
        self.cpu_s = 0.0
        self._closing = 0.0

    def batch(self, events: int) -> None:
        """Note that the source may read again."""
        now = time.perf_counter()
        self.first_batch = self.first_batch or now
        if self.warm_since:
            self.events += events
        elif now - self.first_batch > WARM_UP_S:
            self.warm_since, self.cpu_s = now, time.process_time()
        if self._closing and self.warm_since:
            self.close_ms.append((now - self._closing) * 1000)
        self._closing = 0.0

    def closing(self) -> None:
        """Note that the source may not read."""
        self._closing = time.perf_counter()


class Everyone:
    """Each user once, as fast as they are taken."""

    def __init__(self, options: Options) -> None:
        self._numbers = iter(range(options.users))

    def take(self) -> list[str] | None:
        return [user_key(number) for number in islice(self._numbers, BATCH)] or None


class Anyone:
    """Users at random, at a rate."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._random = random.Random(1)
        self._taken = 0
        self._begun = 0.0

    def take(self) -> list[str] | None:
        now = time.perf_counter()
        self._begun = self._begun or now
        if now - self._begun > self._options.seconds + WARM_UP_S:
            return None
        due = min(int((now - self._begun) * self._options.rate) - self._taken, BATCH)
        self._taken += due
        return [user_key(self._random.randrange(self._options.users)) for _ in range(due)]


def user_key(number: int) -> str:
    return f"tenant/user{number:07d}"


def profile_of(user: str) -> bytes:
    """Build what compresses about as well as a real profile: half of it is like everybody's."""
    return COMMON + hashlib.sha512(user.encode()).digest() * 3


def key_group_key(user: str) -> str:
    name = user.encode()
    return f"{partition_of(name, IDENTITY.partitions)}.{key_group_of(name, IDENTITY.key_groups)}"


class Partition(StatefulSourcePartition[tuple[str, Bundle], int]):
    def __init__(self, shard: Shard[User], feed: Everyone | Anyone, meter: Meter, resume: int | None) -> None:
        shard.resume(resume)
        self._shard, self._feed, self._meter = shard, feed, meter

    def next_batch(self) -> list[tuple[str, Bundle]]:
        users = self._feed.take()
        self._meter.batch(len(users or ()))
        self._shard.durable()
        if users is None:
            raise StopIteration
        bundles: dict[str, list[str]] = defaultdict(list)
        for user in users:
            bundles[key_group_key(user)].append(user)
        return [(key_group, (key_group, named)) for key_group, named in bundles.items()]

    def next_awake(self) -> datetime | None:
        return None if isinstance(self._feed, Everyone) else datetime.now(UTC) + timedelta(milliseconds=1)

    def snapshot(self) -> int:
        self._meter.closing()
        return self._shard.closing()


class Input(FixedPartitionedSource[tuple[str, Bundle], int]):
    def __init__(self, shard: Shard[User], feed: Everyone | Anyone, meter: Meter) -> None:
        self._shard, self._feed, self._meter = shard, feed, meter

    def list_parts(self) -> list[str]:
        return ["source"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Partition:
        return Partition(self._shard, self._feed, self._meter, resume_state)


class Touch(op.StatefulBatchLogic[Bundle, list[str], Any]):
    def __init__(self, shard: Shard[User], timers: int, stored: tuple[str, Any] | None) -> None:
        self._shard, self._timers = shard, timers
        self._key_group: KeyGroup[User] | None = shard.key_group(*stored) if stored else None

    def on_batch(self, values: list[Bundle]) -> tuple[list[list[str]], bool]:
        out: list[str] = []
        for key, users in values:
            self._key_group = self._key_group or self._shard.key_group(key)
            for user in users:
                out.append(touch(self._key_group, user, self._timers))
        return [out], False

    def snapshot(self) -> Any:
        assert self._key_group is not None
        return self._key_group.key, self._key_group.snapshot()


def touch(key_group: KeyGroup[User], user: str, timers: int) -> str:
    """Decide one event: read, write, perhaps a timer, one record out; the first one sets a user's timers."""
    record = key_group.get(user)
    if record is None:
        record = User(
            profile_of(user), holds=tuple(profile_of(f"{user}{each}")[-100:] for each in range(timers))
        )
        for each in range(timers):
            key_group.hold(user, f"n{each}", _due_ms(user, each), HELD, is_new=True)
    count = len(record.seen)
    record.seen = (*record.seen[-8:], count)
    key_group.put(user, record)
    if timers:
        key_group.hold(user, f"n{count % timers}", _due_ms(user, count), HELD)
    elif hash(user) % TIMER_EVERY == 0:
        key_group.hold(user, "digest", count + 1_000_000, COMMON)
    return user


def _due_ms(user: str, number: int) -> int:
    """Spread timers over a month, years from now."""
    return 4_000_000_000_000 + hash((user, number)) % 2_592_000_000


class Slot(StatefulSinkPartition[list[str], Any]):
    def __init__(self, shard: Shard[User], resume: Any) -> None:
        shard.outbox_resume(resume)
        self._shard = shard

    def write_batch(self, items: list[list[str]]) -> None:
        for records in items:
            self._shard.collect(records)

    def snapshot(self) -> Any:
        return self._shard.outbox_snapshot()


class Output(FixedPartitionedSink[list[str], Any]):
    def __init__(self, shard: Shard[User]) -> None:
        self._shard = shard

    def list_parts(self) -> list[str]:
        return ["outbox"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Slot:
        return Slot(self._shard, resume_state)


def run(options: Options, feed: Everyone | Anyone, epoch_ms: int) -> Meter:
    """Run the flow to the end of the feed."""
    meter = Meter()
    shard: Shard[User] = Shard.open(
        options.path,
        identity=IDENTITY,
        codec=Records(),
        cache_users=options.cache_users,
        publish=Nowhere(),
    )
    flow = Dataflow("bench")
    items = op.input("source", flow, Input(shard, feed, meter))
    touched = op.stateful_batch("key_groups", items, lambda stored: Touch(shard, options.timers, stored))
    op.output("outbox", op.map("key", touched, lambda pair: ("outbox", pair[1])), Output(shard))
    recovery = RecoveryConfig(shard.recovery_dir, timedelta(0))
    interval = timedelta(milliseconds=epoch_ms)
    cli_main(flow, epoch_interval=interval, recovery_config=recovery)
    shard.finish()
    shard.close()
    return meter


def load(options: Options) -> float:
    """Write all users in a process of its own, so that its memory is not counted; return users a second."""
    command = [sys.executable, "-m", "bench.state", "--load", "--users", str(options.users)]
    began = time.perf_counter()
    subprocess.run([*command, f"--timers={options.timers}", "--path", str(options.path)], check=True)
    loaded_per_s = options.users / (time.perf_counter() - began)
    os.sync()  # or the first epochs wait for the load's pages
    return loaded_per_s


def measure(options: Options) -> dict[str, Any]:
    """Load, start anew, run, and say what came out."""
    loaded_per_s = load(options)
    with Reference() as reference:
        meter = run(options, Anyone(options), options.epoch_ms)
        elapsed = time.perf_counter() - meter.warm_since
    closes = sorted(meter.close_ms)
    return {
        "users": options.users,
        "timers": options.users * options.timers,
        "loaded_per_s": round(loaded_per_s),
        "start_s": round(meter.first_batch - meter.opened, 3),
        "events_per_s": round(meter.events / elapsed),
        "epochs": len(closes),
        "close_p50_ms": round(closes[len(closes) // 2], 2),
        "close_p99_ms": round(closes[int(len(closes) * 0.99)], 2),
        "close_max_ms": round(closes[-1], 2),
        "cpu_percent": round(100 * (time.process_time() - meter.cpu_s) / elapsed, 1),
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6),
        "reference_loop_ms": reference.figures,
        "disk_mb": round(sum(file.stat().st_size for file in options.path.rglob("*.sst")) / 1e6),
    }


def compared(options: Options, figures: dict[str, Any]) -> dict[str, Any]:
    """Run a tenth of the users in a process of its own; return the ratio of the closes, and the targets."""
    command = [sys.executable, "-m", "bench.state", "--alone", "--json", f"--users={options.users // 10}"]
    command += [f"--rate={options.rate}", f"--seconds={options.seconds}", f"--timers={options.timers}"]
    ran = subprocess.run(
        [*command, f"--epoch-ms={options.epoch_ms}"], check=True, stdout=subprocess.PIPE, text=True
    )
    tenth = json.loads(ran.stdout)
    ratio = round(figures["close_p50_ms"] / max(tenth["close_p50_ms"], 0.01), 2)
    targets = {
        "start_s": Target(figures["start_s"], at_most=2),
        "rss_mb": Target(figures["rss_mb"], at_most=600),
        "close_vs_tenth": Target(ratio, at_most=1.5),
    }
    return {
        "close_p50_ms_of_a_tenth": tenth["close_p50_ms"],
        "close_vs_tenth": ratio,
        "targets": told(targets),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=20, help="measured, after a warm-up of 3 s")
    parser.add_argument("--epoch-ms", type=int, default=50)
    parser.add_argument("--cache-users", type=int, default=200_000)
    parser.add_argument("--timers", type=int, default=0, help="open timers of each user")
    parser.add_argument("--path", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--load", action="store_true", help="only load")
    parser.add_argument("--alone", action="store_true", help="without the run of a tenth of the users")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    path = said.path or Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    options = Options(said.users, said.rate, said.seconds, said.epoch_ms, said.cache_users, path, said.timers)
    if said.load:
        run(options, Everyone(options), epoch_ms=500)
        return
    try:
        figures = measure(options)
    finally:
        if not said.path:
            shutil.rmtree(path)
    if not said.alone:
        figures |= compared(options, figures)
    print(json.dumps(figures) if said.json else "\n".join(f"{name:14} {figures[name]}" for name in figures))


if __name__ == "__main__":
    main()
